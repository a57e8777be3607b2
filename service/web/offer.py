"""A technician answers for a case from the archive: the study's criteria, onset, code and official report."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response, UploadFile
from pydantic import BaseModel

from labeling.answers import Answer, Answers, Criterion
from labeling.criteria import Judgement
from pacs_gateway.thai import decode_thai
from service.api.access import Bringer, Look, Work, note_read
from service.case_facts import facts_of
from service.case_keys import open_research_key
from service.case_states import CaseState
from service.cases import Case, admit_case, case_of, judgement_of
from service.errors import BadRequest
from service.reports import ReportSource, add_report, reports_of
from service.sight import find_own_study
from service.web.fields import thai_moment
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Uid = Annotated[str, Path(max_length=64)]
LONGEST_REPORT = 60_000
"""Bytes of an attached report: 20,000 characters of Thai."""
OPEN = (CaseState.UPLOADED, CaseState.ELIGIBLE, CaseState.EXCLUDED)
"""While a case may be answered for anew."""


class OfferForm(BaseModel):
    """What the form sends; an answer that is left out is not known."""

    adult: Answer = Answer.UNKNOWN
    deficit: Answer = Answer.UNKNOWN
    stroke_code: Answer = Answer.UNKNOWN
    within_72_h: Answer = Answer.UNKNOWN
    diagnostic: Answer = Answer.UNKNOWN
    report: Answer = Answer.UNKNOWN
    no_surgery: Answer = Answer.UNKNOWN
    icd10: str = ""
    day: str = ""
    clock: str = ""
    citizen_id: str = ""
    text: str = ""
    """The official report, pasted."""
    attached: UploadFile | None = None
    """The same, as a text file."""

    def answers(self) -> Answers:
        """What the hospital says.

        Raises:
            BadRequest: the onset is no day, or no time of one.
        """
        said = {criterion: Answer(getattr(self, criterion.value)) for criterion in Criterion}
        return Answers(said, self.icd10.strip(), _onset(self.day, self.clock))

    def reports(self) -> Iterator[str]:
        """The report as it was pasted, and as it was attached.

        Raises:
            BadRequest: the file is too long, or no text.
        """
        yield self.text
        if self.attached is None or not self.attached.filename:
            return
        content = self.attached.file.read(LONGEST_REPORT + 1)
        if len(content) > LONGEST_REPORT:
            raise BadRequest(f"the attached report has more than {LONGEST_REPORT} bytes")
        if b"\0" in content or content.startswith(b"%PDF"):
            raise BadRequest("the attached report is no text file; of a PDF or Word file, copy the text")
        yield decode_thai(content, "")[0].removeprefix("\ufeff")


@router.get("/studies/{uid}/offer")
def show_offer(uid: Uid, viewer: Bringer, request: Request, session: Look) -> Response:
    """The questions, filled in with what was answered before."""
    study = find_own_study(session, uid, viewer)
    case = case_of(session, study)
    judged = judgement_of(session, case) if case else None
    facts = facts_of(session, study)
    note_read(request, session, viewer, "case.read", study_id=study.id)
    return render(
        request,
        "offer.html",
        viewer,
        study=study,
        case=case,
        may_change=case is None or case.state in OPEN,
        criteria=[(each, _said(case, each)) for each in Criterion],
        onset=_fields(case),
        facts=facts,
        reports=len(reports_of(session, study)),
        reasons=_reasons(request, judged),
        doubts=_doubts(request, judged),
        thai=words_of(request).language is Language.TH,
    )


@router.post("/studies/{uid}/offer")
def offer(
    uid: Uid, viewer: Bringer, request: Request, session: Work, form: Annotated[OfferForm, Form()]
) -> Response:
    """Take the answers; the case is screened at once, and the page says what came of it."""
    study = find_own_study(session, uid, viewer)
    for text in form.reports():
        if text.strip():
            add_report(session, study, viewer, text, source=ReportSource.PASTED)
    key = open_research_key(request.app.state.settings)
    admit_case(session, viewer, uid, form.answers(), key, citizen_id=form.citizen_id.strip())
    return see_other(request, f"/studies/{uid}/offer", flash="offered")


def _onset(day: str, clock: str) -> datetime | date | None:
    if not day:
        return None
    if clock:
        return thai_moment(f"{day}T{clock}")
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise BadRequest(f"{day!r} is no day; write it as 2026-11-22") from None


def _fields(case: Case | None) -> tuple[str, str]:
    """Day and time of the onset as the form's fields take them; it is kept with Thailand's zone."""
    kept = case.onset if case else ""
    return kept[:10], kept[11:16]


def _said(case: Case | None, criterion: Criterion) -> str:
    return str(case.said.get(criterion.value, "unknown")) if case else "unknown"


def _reasons(request: Request, judged: Judgement | None) -> list[str]:
    thai = words_of(request).language is Language.TH
    return [(each.reason.th if thai else each.reason.en) for each in judged.excluded_by] if judged else []


def _doubts(request: Request, judged: Judgement | None) -> list[tuple[str, str]]:
    thai = words_of(request).language is Language.TH
    found = judged.doubts if judged else ()
    return [
        (each.criterion.question.th, each.text.th) if thai else (each.criterion.question.en, each.text.en)
        for each in found
    ]
