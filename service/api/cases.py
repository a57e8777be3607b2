"""Cases over HTTP: offer a study and answer for it, screen, give out, hand over, and see how far it is."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.orm import Session

from labeling.answers import Answer, Answers, Criterion
from labeling.assignment import Design, Reader
from labeling.flow import Flow, flow_svg
from labeling.splits import Shares
from service import assignments
from service.api.access import Curator, Look, Number, Offerer, Work, note_read
from service.api.case_schemas import (
    AgreementOut,
    AssignmentIn,
    CaseIn,
    CaseOut,
    HandOverIn,
    HandOverOut,
    PairIn,
    ReaderOut,
    RoundOut,
    ScreeningIn,
    StandingOut,
    SuspectOut,
    WordOut,
)
from service.api.drawings import drawn_slice
from service.api.problems import responses
from service.case_facts import read_onset
from service.case_identities import say_same, suspects
from service.case_images import slices_of
from service.case_keys import open_research_key
from service.case_quotas import set_quotas, standings
from service.case_states import CaseState
from service.cases import (
    LONGEST_PAGE,
    Case,
    admit_case,
    find_case,
    flow_of,
    judgement_of,
    list_cases,
    screen,
)
from service.errors import NotFound
from service.reader_agreement import by_reader, figures, pairs, questions
from service.reports import ReportSource, add_report, reports_of
from service.sight import find_own_study
from service.studies import Study

BRAIN = (40.0, 80.0)
"""Centre and width of the window, in HU."""

router = APIRouter(prefix="/api/v1/cases", tags=["cases"], responses=responses(401, 403, 404, 422, 503))


@router.post("", status_code=201, responses=responses(409))
def offer(request: Request, body: CaseIn, viewer: Offerer, session: Work) -> CaseOut:
    """Offer a study and answer for it; it is screened at once, and answers who it was decided by."""
    key = open_research_key(request.app.state.settings)
    answers = Answers(body.answers, body.icd10, read_onset(body.onset))
    if text := body.report.strip():
        study = find_own_study(session, body.study, viewer)
        known = reports_of(session, study)
        if not known or known[0].text != text:
            add_report(session, study, viewer, text, source=ReportSource.SENT)
    case = admit_case(session, viewer, body.study, answers, key, citizen_id=body.citizen_id)
    return _case_out(session, case, body.study)


@router.get("")
def list_offered(
    request: Request,
    viewer: Offerer,
    session: Look,
    state: CaseState | None = None,
    hospital: Annotated[str | None, Query(pattern=r"^\d{5}$")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> Sequence[CaseOut]:
    """Cases, the newest first."""
    found = list_cases(session, viewer, state=state, hcode=hospital, before=before, limit=limit)
    answer = [_case_out(session, case, uid) for case, uid in found]
    note_read(request, session, viewer, "case.list", detail={"cases": [each.number for each in answer]})
    return answer


@router.get("/flow")
def read_flow(viewer: Offerer, session: Look) -> Flow:
    """How many cases got how far, of the viewer's hospital or of the region."""
    return flow_of(session, viewer)


@router.get("/flow.svg", response_class=Response)
def draw_flow(viewer: Offerer, session: Look, language: Literal["en", "th"] = "en") -> Response:
    """The flow as a picture."""
    return Response(flow_svg(flow_of(session, viewer), language), media_type="image/svg+xml")


@router.get("/agreement")
def read_agreement(viewer: Curator, session: Look, question: str | None = None) -> Sequence[AgreementOut]:
    """Agreement by question over all readers; with a question, of every pair and of re-reads."""
    if question is None:
        return [_agreement_out(asked, found) for asked, found in figures(session)]
    if question not in questions():
        raise NotFound(f"{question!r} is not asked; {', '.join(questions())} are")
    return [
        _agreement_out(question, found, pair.first, pair.second)
        for pair in pairs(session, question)
        for found in (pair.kappa, pair.ac1)
    ]


@router.get("/agreement/readers")
def read_readers(viewer: Curator, session: Look, question: str = "any_ich") -> Sequence[ReaderOut]:
    """Every reader on one question, against the adjudicator's word or most of the others."""
    if question not in questions():
        raise NotFound(f"{question!r} is not asked; {', '.join(questions())} are")
    return [
        ReaderOut(
            reader=each.reader,
            reads=each.reads,
            found=each.found,
            cleared=each.cleared,
            kappa=_agreement_out(question, each.kappa),
            ac1=_agreement_out(question, each.ac1),
            again=_agreement_out(question, each.again),
        )
        for each in by_reader(session, question)
    ]


@router.get("/standings")
def read_standings(viewer: Offerer, session: Look) -> Sequence[StandingOut]:
    """How far every hospital is, against its quota, as far as the viewer sees it."""
    return [StandingOut.model_validate(each) for each in standings(session, viewer)]


@router.put("/quotas", status_code=204)
def ask_for(body: dict[str, int], viewer: Curator, session: Work) -> None:
    """Ask hospitals (by code) for so many cases; those not named keep what they have."""
    set_quotas(session, viewer, body)


@router.get("/suspects")
def list_suspects(viewer: Curator, session: Look) -> Sequence[SuspectOut]:
    """Patients that look alike and that nobody has decided."""
    return [SuspectOut(first=first, second=second) for _, first, second in suspects(session)]


@router.post("/suspects", status_code=204)
def decide_suspects(body: PairIn, viewer: Curator, session: Work) -> None:
    """Say whether two cases are of one patient."""
    say_same(session, viewer, body.first, body.second, body.same)


@router.post("/assignment", status_code=201)
def give_out(body: AssignmentIn, viewer: Curator, session: Work) -> RoundOut:
    """Give out what is eligible: balanced at random, with hidden overlap."""
    design = Design(
        common=body.common,
        test_reads=body.test_reads,
        double_share=body.double_share,
        rereads=body.rereads,
        seed=body.seed,
    )
    made = assignments.assign_cases(
        session,
        viewer,
        [Reader(each.username, each.share) for each in body.readers],
        design,
        Shares(tuple(body.held_out_hospitals), body.held_out_months),
        adjudicators=body.adjudicators,
    )
    return RoundOut(number=made.id, readers=_progress(session))


@router.get("/progress")
def read_progress(viewer: Curator, session: Look) -> Sequence[dict[str, Any]]:
    """How far every reader is."""
    return _progress(session)


@router.post("/hand-over")
def pass_on(body: HandOverIn, viewer: Curator, session: Work) -> HandOverOut:
    """Pass on what a reader has not read."""
    moved, dropped, unplaced = assignments.hand_over_reads(session, viewer, body.reader, to=body.to)
    return HandOverOut(moved=moved, dropped=dropped, unplaced=unplaced)


@router.get("/{number}")
def read_case(request: Request, number: Number, viewer: Offerer, session: Look) -> CaseOut:
    """One case."""
    case = find_case(session, viewer, number)
    answer = _case_out(session, case, session.get_one(Study, case.study_id).study_instance_uid)
    note_read(request, session, viewer, "case.read", study_id=case.study_id, detail={"case": number})
    return answer


@router.post("/{number}/screening", responses=responses(409))
def settle_doubts(number: Number, body: ScreeningIn, viewer: Curator, session: Work) -> CaseOut:
    """Settle what the criteria left to a person."""
    case = screen(session, viewer, number, body.confirmed, note=body.note)
    return _case_out(session, case, session.get_one(Study, case.study_id).study_instance_uid)


@router.get("/{number}/slices/{n}.webp", response_class=Response)
def draw_slice(
    request: Request,
    number: Number,
    n: Annotated[int, Path(ge=1, le=10_000)],
    viewer: Curator,
    session: Look,
) -> Response:
    """Slice N from the bottom, as who screens a case or compares two looks at it: pixels only."""
    case = find_case(session, viewer, number)
    study, slices = session.get_one(Study, case.study_id), slices_of(session, case)
    if n > len(slices):
        raise NotFound(f"slice {n} of {len(slices)}")
    series, instance, _ = slices[n - 1]
    drawn = drawn_slice(session, request.app.state.storage, study, series, instance, window=BRAIN)
    note_read(request, session, viewer, "case.slice", study_id=study.id, detail={"case": number, "slice": n})
    return Response(drawn, media_type="image/webp")


def _progress(session: Session) -> list[dict[str, Any]]:
    return [
        {"reader": each.reader, "done": each.done, "total": each.total}
        for each in assignments.progress(session)
    ]


def _case_out(session: Session, case: Case, uid: str) -> CaseOut:
    doubts = judgement_of(session, case).doubts if case.doubts else ()
    return CaseOut(
        number=case.id,
        study_instance_uid=uid,
        hospital=case.hcode,
        state=case.state,
        answers={Criterion(word): Answer(answer) for word, answer in case.said.items()},
        confirmed={Criterion(word): Answer(answer) for word, answer in case.confirmed.items()},
        icd10=case.icd10,
        onset=case.onset,
        excluded_by=[
            WordOut(criterion=each, th=each.reason.th, en=each.reason.en)
            for each in map(Criterion, case.excluded_by)
        ],
        doubts=[WordOut(criterion=each.criterion, th=each.text.th, en=each.text.en) for each in doubts],
        admitted_at=case.admitted_at,
    )


def _agreement_out(
    question: str, found: Any, first: str | None = None, second: str | None = None
) -> AgreementOut:
    return AgreementOut(
        question=question,
        coefficient=found.coefficient,
        first=first,
        second=second,
        value=found.value,
        low=found.low,
        high=found.high,
        undefined=found.undefined,
        observed=found.observed,
        cases=found.cases,
        prevalence=dict(found.prevalence),
    )
