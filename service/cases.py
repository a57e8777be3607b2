"""Case: a study that a hospital offers for labelling, what was answered for it, and what became of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.answers import Answer, Answers, Criterion
from labeling.criteria import Judgement, Verdict, judge
from labeling.flow import Flow, count_reasons
from pacs_gateway.pseudonyms import Key
from service import audit
from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.case_facts import facts_of, read_onset
from service.case_keys import citizen_key, patient_keys
from service.case_states import MOVES, SETTLED, CaseState, CaseVerb, check_case_move
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import AlreadyExists, BadRequest, NotFound, NotReady
from service.screenings import LONGEST_NOTE, Screening
from service.sight import find_own_study
from service.states import StudyState
from service.studies import HUB, Study

LONGEST_PAGE = 200
LONGEST_CODES = 200
_STATES = {
    Verdict.ELIGIBLE: CaseState.ELIGIBLE,
    Verdict.EXCLUDED: CaseState.EXCLUDED,
    Verdict.NEEDS_PERSON: CaseState.UPLOADED,
}


class Case(Base):
    """One study offered for labelling; holds no name and no number of the patient, but keys made of them."""

    __tablename__ = "cases"
    __table_args__ = (Index("ix_cases_state_id", "state", "id"), Index("ix_cases_hcode_id", "hcode", "id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), unique=True)
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"))
    state: Mapped[CaseState] = mapped_column(words(CaseState))
    said: Mapped[dict[str, Any]]
    """`Answer` by `Criterion`, as the hospital answered."""
    icd10: Mapped[str] = mapped_column(Text)
    onset: Mapped[str] = mapped_column(String(40))
    """ISO moment or day; empty where unknown."""
    confirmed: Mapped[dict[str, Any]]
    """`Answer` by `Criterion`, as a person settled it who looked."""
    excluded_by: Mapped[list[Any]]
    doubts: Mapped[list[Any]]
    """Lists of [criterion, doubt]."""
    patient_key: Mapped[str] = mapped_column(String(64))
    """HMAC of hospital and HN."""
    citizen_key: Mapped[str] = mapped_column(String(64))
    likeness_key: Mapped[str] = mapped_column(String(64))
    """HMAC of name, birth date and sex; empty unless all are known."""
    admitted_by: Mapped[str] = mapped_column(String(100))
    admitted_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    screened_by: Mapped[str] = mapped_column(String(100))
    """Empty where no person had to look."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def admit_case(
    session: Session, viewer: Viewer, study_uid: str, answers: Answers, key: Key, *, citizen_id: str = ""
) -> Case:
    """Offer a study, or answer anew for one that is not given out yet; it is screened at once.

    Args:
        session: A writing session.
        viewer: Who answers, for their own hospital.
        study_uid: Study Instance UID of a study that the hub has.
        answers: What the hospital says.
        key: The secret behind every key.
        citizen_id: 13 digits; only an HMAC of it is kept.

    Raises:
        NotFound: no such study at the viewer's hospital. NotReady: it is still arriving.
        AlreadyExists: the case has been given out. BadRequest: a citizen id or code that is none.
    """
    study = find_own_study(session, study_uid, viewer)
    if study.state is StudyState.RECEIVING:
        raise NotReady("the study is still arriving")
    if len(answers.icd10) > LONGEST_CODES:
        raise BadRequest(f"codes of {len(answers.icd10)} characters; at most {LONGEST_CODES}")
    case = session.scalar(locked(select(Case).where(Case.study_id == study.id)))
    if case is None:
        case = Case(
            study_id=study.id,
            hcode=study.hcode,
            state=CaseState.UPLOADED,
            said={},
            icd10="",
            onset="",
            confirmed={},
            excluded_by=[],
            doubts=[],
            citizen_key="",
            screened_by="",
            admitted_by=viewer.username,
            **patient_keys(study, key),
        )
        session.add(case)
    elif case.state not in (CaseState.UPLOADED, CaseState.ELIGIBLE, CaseState.EXCLUDED):
        raise AlreadyExists(f"the case is {case.state.value} already; its answers stay")
    case.said = {criterion.value: answer.value for criterion, answer in answers.said.items()}
    case.icd10, case.onset = clean(answers.icd10), answers.onset.isoformat() if answers.onset else ""
    case.citizen_key = citizen_key(key, citizen_id) or case.citizen_key
    _screen(session, case, study)
    audit.record(session, viewer.username, "case.admit", study_id=study.id, detail=_detail(case))
    return case


def screen(
    session: Session, viewer: Viewer, number: int, confirmed: Mapping[Criterion, Answer], *, note: str = ""
) -> Case:
    """Settle what the criteria left to a person; UNKNOWN takes an earlier word back.

    Raises:
        NotFound: the viewer sees no such case. IllegalTransition: it has been given out.
        BadRequest: a note of more than 2000 characters.
    """
    if len(note) > LONGEST_NOTE:
        raise BadRequest(f"a note of {len(note)} characters; at most {LONGEST_NOTE}")
    case = find_case(session, viewer, number, lock=True)
    settled = {**case.confirmed, **{criterion.value: answer.value for criterion, answer in confirmed.items()}}
    case.confirmed = {word: answer for word, answer in settled.items() if answer != Answer.UNKNOWN}
    case.screened_by = viewer.username
    _screen(session, case, session.get_one(Study, case.study_id))
    session.add(
        Screening(
            case_id=case.id,
            confirmed={criterion.value: answer.value for criterion, answer in confirmed.items()},
            state=case.state,
            excluded_by=list(case.excluded_by),
            note=clean(note),
            screened_by=viewer.username,
        )
    )
    audit.record(session, viewer.username, "case.screen", study_id=case.study_id, detail=_detail(case))
    return case


def screen_again(session: Session, study: Study) -> Case | None:
    """Screen a study's case once more, now that more is known of the study than when it was offered.

    A hospital answers as soon as the images are up; what the images say comes later: a skull defect with the
    analysis, the moment of the CT with the headers. A case that has been given out stays as it is.

    Returns:
        The case where that changed it; None otherwise, or where the study is no case.
    """
    case = session.scalar(locked(select(Case).where(Case.study_id == study.id)))
    if case is None or case.state not in MOVES[CaseVerb.SCREEN].sources:
        return None
    before = (case.state, case.excluded_by, case.doubts)
    _screen(session, case, study)
    if before == (case.state, case.excluded_by, case.doubts):
        return None
    audit.record(session, HUB, "case.screen", study_id=study.id, detail=_detail(case))
    return case


def find_case(session: Session, viewer: Viewer, number: int, *, lock: bool = False) -> Case:
    """The case, if there is one and it is of the viewer's hospital, or the viewer sees the region.

    Raises:
        NotFound: otherwise.
    """
    query = select(Case).where(Case.id == number, visible_to(viewer, Case.hcode))
    if case := session.scalar(locked(query) if lock else query):
        return case
    raise NotFound(f"no case has the number {number}")


def list_cases(
    session: Session,
    viewer: Viewer,
    *,
    state: CaseState | None = None,
    hcode: str | None = None,
    reader: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[tuple[Case, str]]:
    """Cases with their Study Instance UID, newest first; `before` is the last number of the page before."""
    from service.assignments import Assignment  # it is about cases, and imports them

    query = select(Case, Study.study_instance_uid).join(Study, Study.id == Case.study_id)
    query = query.where(visible_to(viewer, Case.hcode))
    if state is not None:
        query = query.where(Case.state == state)
    if hcode is not None:
        query = query.where(Case.hcode == hcode)
    if reader is not None:
        query = query.where(Case.id.in_(select(Assignment.case_id).where(Assignment.reader == reader)))
    if before is not None:
        query = query.where(Case.id < before)
    rows = session.execute(query.order_by(Case.id.desc()).limit(max(1, min(limit, LONGEST_PAGE))))
    return [(case, uid) for case, uid in rows]


def count_states(
    session: Session, viewer: Viewer, *, hcode: str | None = None, reader: str | None = None
) -> dict[CaseState, int]:
    """How many cases stand where; of a hospital, or of those given to a reader, where named."""
    from service.assignments import Assignment

    query = select(Case.state, func.count()).where(visible_to(viewer, Case.hcode)).group_by(Case.state)
    if hcode is not None:
        query = query.where(Case.hcode == hcode)
    if reader is not None:
        query = query.where(Case.id.in_(select(Assignment.case_id).where(Assignment.reader == reader)))
    return {state: count for state, count in session.execute(query)}


def judgement_of(session: Session, case: Case) -> Judgement:
    """How the criteria judge a case by what is known now."""
    study = session.get_one(Study, case.study_id)
    return _judge(session, case, study)


def flow_of(session: Session, viewer: Viewer) -> Flow:
    """How many cases got how far."""
    own = visible_to(viewer, Case.hcode)
    counts: Counter[CaseState] = Counter()
    for state, count in session.execute(select(Case.state, func.count()).where(own).group_by(Case.state)):
        counts[state] = count
    excluded = session.scalars(select(Case.excluded_by).where(Case.state == CaseState.EXCLUDED, own))
    settled = sum(counts[state] for state in SETTLED)
    adjudicated = session.scalar(
        select(func.count()).where(own, Case.state.in_(SETTLED), Case.id.in_(_adjudicated()))
    )
    read = settled + counts[CaseState.READ]
    assigned = read + counts[CaseState.ASSIGNED]
    return Flow(
        uploaded=sum(counts.values()),
        waiting=counts[CaseState.UPLOADED],
        excluded=counts[CaseState.EXCLUDED],
        reasons=count_reasons([Criterion(word) for word in words_] for words_ in excluded),
        eligible=assigned + counts[CaseState.ELIGIBLE],
        assigned=assigned,
        read=read,
        agreed=settled - (adjudicated or 0),
        adjudicated=adjudicated or 0,
    )


def move_case(case: Case, verb: CaseVerb, to: CaseState) -> None:
    """Put a case into a state that the verb leads to.

    Raises:
        IllegalTransition: it does not.
    """
    check_case_move(case.state, verb, to)
    case.state, case.changed_at = to, now()


def _adjudicated() -> Any:
    from service.adjudications import Adjudication  # it is about cases, and imports them

    return select(Adjudication.case_id)


def _screen(session: Session, case: Case, study: Study) -> None:
    judgement = _judge(session, case, study)
    case.excluded_by = [criterion.value for criterion in judgement.excluded_by]
    case.doubts = [[each.criterion.value, each.doubt.value] for each in judgement.doubts]
    move_case(case, CaseVerb.SCREEN, _STATES[judgement.verdict])
    session.flush()


def _judge(session: Session, case: Case, study: Study) -> Judgement:
    answers = Answers(
        {Criterion(word): Answer(answer) for word, answer in case.said.items()},
        case.icd10,
        read_onset(case.onset),
    )
    confirmed = {Criterion(word): Answer(answer) for word, answer in case.confirmed.items()}
    return judge(answers, facts_of(session, study), confirmed=confirmed)


def _detail(case: Case) -> audit.Detail:
    return {"case": case.id, "state": case.state.value, "excluded_by": ",".join(case.excluded_by)}


def case_of(session: Session, study: Study) -> Case | None:
    """The case that was made of a study, where one was."""
    return session.scalar(select(Case).where(Case.study_id == study.id))


def states_of(session: Session, studies: Sequence[Study]) -> dict[int, CaseState]:
    """Where the cases of these studies stand, by the study's number; others are not offered."""
    rows = select(Case.study_id, Case.state).where(Case.study_id.in_([study.id for study in studies]))
    return {study: state for study, state in session.execute(rows)}
