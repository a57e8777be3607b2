"""The ML team's cases: the list, and one case with what was answered, what the data say, and the decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.answers import Answer, Criterion, Facts, Source
from labeling.icd10 import read_codes
from service.accounts import Permission
from service.adjudications import consensus_of
from service.api.access import Browser, Look, Work, note_read
from service.assignments import Assignment, progress, reads_made
from service.case_facts import facts_of, hours_to_ct, read_onset
from service.case_images import slices_of
from service.case_states import CaseState
from service.cases import Case, count_states, find_case, judgement_of, list_cases, screen
from service.errors import NotReady
from service.hospitals import hospital_names
from service.screenings import LONGEST_NOTE, screenings_of
from service.studies import Study
from service.web.page import render, see_other, words_of
from service.web.words import Language, Words

router = APIRouter(include_in_schema=False)

PAGE = 50
SHOWN_SLICES = 4
"""Pictures of a case beside its questions, evenly over the head."""
SCREENABLE = (CaseState.UPLOADED, CaseState.ELIGIBLE, CaseState.EXCLUDED)


@dataclass(frozen=True, slots=True)
class Asked:
    """One criterion on the page of a case."""

    criterion: Criterion
    question: str
    said: str
    data: str
    """What the data say, in words; empty where they say nothing."""
    holds: str
    source: Source
    confirmed: str
    doubts: tuple[str, ...]


class ScreeningForm(BaseModel):
    """What the form sends; an empty answer leaves a criterion as it is."""

    adult: Answer | None = None
    deficit: Answer | None = None
    stroke_code: Answer | None = None
    within_72_h: Answer | None = None
    diagnostic: Answer | None = None
    report: Answer | None = None
    no_surgery: Answer | None = None
    note: Annotated[str, Form(max_length=LONGEST_NOTE)] = ""

    def confirmed(self) -> dict[Criterion, Answer]:
        """What was settled."""
        found = {criterion: getattr(self, criterion.value) for criterion in Criterion}
        return {criterion: answer for criterion, answer in found.items() if answer is not None}


@router.get("/cases")
def show_cases(
    entry: Browser,
    request: Request,
    session: Look,
    state: Annotated[str, Query(pattern="^[a-z]{0,20}$")] = "",
    hospital: Annotated[str, Query(pattern=r"^(\d{5})?$")] = "",
    reader: Annotated[str, Query(max_length=100)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> Response:
    """Cases, the newest first, by state, hospital and reader."""
    viewer = entry.chosen().must(Permission.CURATE)
    chosen = CaseState(state) if state in set(CaseState) else None
    found = list_cases(
        session, viewer, state=chosen, hcode=hospital or None, reader=reader or None, before=before,
        limit=PAGE + 1,
    )  # fmt: skip
    shown = [case for case, _ in found[:PAGE]]
    thai = words_of(request).language is Language.TH
    made = reads_made(session, [case.id for case in shown])
    kept = {"state": chosen or "", "hospital": hospital, "reader": reader}
    values: dict[str, Any] = {
        "rows": [(case, _reasons(case, thai=thai), made.get(case.id)) for case in shown],
        "counts": count_states(session, viewer, hcode=hospital or None, reader=reader or None),
        "names": hospital_names(session, thai=thai),
        "readers": [each.reader for each in progress(session)],
        "state": chosen,
        "hospital": hospital,
        "reader": reader,
        "states": list(CaseState),
        "address": lambda **changes: _address(kept | changes),
        "before": shown[-1].id if len(found) > PAGE else None,
    }
    note_read(request, session, viewer, "case.list", detail={"cases": [case.id for case in shown]})
    return render(request, "cases.html", viewer, **values)


@router.get("/cases/{number:int}")
def show_case(
    number: Annotated[int, Path(ge=1, le=2**53)], entry: Browser, request: Request, session: Look
) -> Response:
    """One case: answers, data, contradictions, decisions, and what its readers made of it."""
    viewer = entry.chosen().must(Permission.CURATE)
    case = find_case(session, viewer, number)
    study = session.get_one(Study, case.study_id)
    t = words_of(request)
    assigned = session.scalars(
        select(Assignment).where(Assignment.case_id == number).order_by(Assignment.reader, Assignment.read_no)
    ).all()
    consensus, _, decided = consensus_of(session, number)
    values: dict[str, Any] = {
        "case": case,
        "study": study,
        "name": hospital_names(session, thai=t.language is Language.TH).get(case.hcode or "", ""),
        "asked": _asked(session, case, study, t),
        "may_screen": case.state in SCREENABLE,
        "screenings": screenings_of(session, number),
        "assigned": assigned,
        "consensus": consensus,
        "decided": decided,
        "hours": hours_to_ct(session, case.onset, study),
        "pictures": _pictures(session, case),
        "reasons": _reasons(case, thai=t.language is Language.TH),
        "words": _criteria(thai=t.language is Language.TH),
    }
    note_read(request, session, viewer, "case.read", study_id=case.study_id, detail={"case": number})
    return render(request, "case.html", viewer, **values)


@router.post("/cases/{number:int}/screening")
def decide(
    number: Annotated[int, Path(ge=1, le=2**53)],
    entry: Browser,
    request: Request,
    session: Work,
    form: Annotated[ScreeningForm, Form()],
) -> Response:
    """Settle what the criteria left to a person; who, when and why are kept."""
    viewer = entry.chosen().must(Permission.CURATE)
    screen(session, viewer, number, form.confirmed(), note=form.note)
    return see_other(request, f"/cases/{number}", flash="screened")


def _asked(session: Session, case: Case, study: Study, t: Words) -> list[Asked]:
    thai = t.language is Language.TH
    judged, facts = judgement_of(session, case), facts_of(session, study)
    return [
        Asked(
            criterion,
            criterion.question.th if thai else criterion.question.en,
            str(case.said.get(criterion.value, Answer.UNKNOWN.value)),
            _data_say(criterion, case, facts, t),
            judged.decided[criterion][0].value,
            judged.decided[criterion][1],
            str(case.confirmed.get(criterion.value, "")),
            tuple(
                each.text.th if thai else each.text.en
                for each in judged.doubts
                if each.criterion is criterion
            ),
        )
        for criterion in Criterion
    ]


def _data_say(criterion: Criterion, case: Case, facts: Facts, t: Words) -> str:
    """What the data say of a criterion, in words; nothing that names the patient."""
    if criterion is Criterion.ADULT and facts.age_years is not None:
        return t("cases.data.age", n=int(facts.age_years))
    if criterion is Criterion.STROKE_CODE and case.icd10:
        codes = read_codes(case.icd10)
        return ", ".join(f"{each.written} ({t('cases.code.' + each.kind.value)})" for each in codes)
    if criterion is Criterion.WITHIN_72_H and case.onset:
        onset = _moment(read_onset(case.onset), t)
        return t("cases.data.onset", onset=onset, ct=_moment(facts.acquired, t))
    if criterion is Criterion.REPORT:
        return t("cases.data.report" if facts.report else "cases.data.no_report")
    if criterion is Criterion.NO_SURGERY and facts.skull_defect:
        return t("cases.data.defect")
    if criterion is Criterion.DIAGNOSTIC and facts.motion:
        return t("cases.data.motion")
    return ""


def _moment(value: Any, t: Words) -> str:
    if value is None:
        return "–"
    return t.moment(value) if hasattr(value, "hour") else t.day(value)


def _pictures(session: Session, case: Case) -> list[int]:
    """Slices to be shown, from 1; none where the images are gone."""
    try:
        count = len(slices_of(session, case))
    except NotReady:
        return []
    return sorted({max(1, round(count * (at + 1) / (SHOWN_SLICES + 1))) for at in range(SHOWN_SLICES)})


def _criteria(*, thai: bool) -> Mapping[str, str]:
    return {each.value: each.reason.th if thai else each.reason.en for each in Criterion}


def _reasons(case: Case, *, thai: bool) -> list[str]:
    return [_criteria(thai=thai)[word] for word in case.excluded_by]


def _address(values: Mapping[str, Any]) -> str:
    query = urlencode({name: str(value) for name, value in values.items() if value})
    return f"/cases?{query}" if query else "/cases"
