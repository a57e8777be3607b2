"""Study: what arrived, in which state it is, and the verbs that change it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import Note, Refusal, StrokeType
from service import audit, metrics
from service.arrivals import by_portal, clean, study_columns
from service.db import Base, Id, Json, UtcDateTime, now, words
from service.errors import NotFound
from service.flags import follow_study, replace_flags
from service.hospitals import Hospital
from service.series import replace_series
from service.states import OUTCOMES, RESULTS, Lane, Priority, StudyState, check_transition, place_of

if TYPE_CHECKING:
    from pacs_gateway.arrivals import ArrivedStudy, StudyProgress

LONGEST_ERROR = 2000

HUB = "hub"
"""Who the audit names where no person asked."""


class Study(Base):
    """One study of one patient: identity as repaired, counts, state."""

    __tablename__ = "studies"
    __table_args__ = (
        Index("ix_studies_place", "place", "id"),
        Index("ix_studies_hcode_place", "hcode", "place", "id"),
        Index("ix_studies_state_place", "state", "place", "id"),
        Index("ix_studies_hcode_state_place", "hcode", "state", "place", "id"),
        Index("ix_studies_patient", "hcode", "patient_id"),
        Index("ix_studies_patient_id", "patient_id", postgresql_ops={"patient_id": "text_pattern_ops"}),
        Index("ix_studies_birth_date", "birth_date", "sex"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(Text, unique=True)
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"))
    """None while nobody knows which hospital the caller speaks for."""
    state: Mapped[StudyState] = mapped_column(words(StudyState))
    place: Mapped[int] = mapped_column(Id)
    """Its place in the worklist, smallest first; see `states.place_of`."""
    priority: Mapped[Priority] = mapped_column(words(Priority))
    lane: Mapped[Lane] = mapped_column(words(Lane))

    patient_id: Mapped[str] = mapped_column(Text, default="")
    patient_name: Mapped[str] = mapped_column(Text, default="")
    birth_date: Mapped[date | None]
    sex: Mapped[str] = mapped_column(Text, default="")
    age_years: Mapped[float | None]
    accession_number: Mapped[str] = mapped_column(Text, default="", index=True)
    study_date: Mapped[date | None]
    study_description: Mapped[str] = mapped_column(Text, default="")
    modality: Mapped[str] = mapped_column(Text, default="")
    repairs: Mapped[list[Any]] = mapped_column(Json, default=list)
    """What was mended in the identity as sent, in words."""

    revision: Mapped[int] = mapped_column(default=0)
    """Counts the arrived sets and the requests to analyse again; 0 until the study is complete."""
    digest: Mapped[str] = mapped_column(String(64), default="")
    """SHA-256 of the arrived set of this revision."""
    instances: Mapped[int] = mapped_column(default=0)
    duplicates: Mapped[int] = mapped_column(default=0)
    conflicts: Mapped[int] = mapped_column(default=0)
    completion_code: Mapped[str] = mapped_column(String(60), default="")
    completion_text: Mapped[str] = mapped_column(Text, default="")
    reasons: Mapped[list[Any]] = mapped_column(Json, default=list)
    """Why it was refused, as `Refusal` words."""
    notes: Mapped[list[Any]] = mapped_column(Json, default=list)
    """Remarks on a refused study, each {code, text}."""
    failed_step: Mapped[str | None] = mapped_column(String(60))
    error: Mapped[str | None] = mapped_column(Text)

    first_received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ready_at: Mapped[datetime | None]
    result_at: Mapped[datetime | None]
    reviewed_at: Mapped[datetime | None]


def load_study(session: Session, study_id: int, *, lock: bool = True) -> Study:
    """The study for a job that changes it; others that would change it wait, unless `lock` is False.

    Raises:
        NotFound: there is none.
    """
    if study := session.get(Study, study_id, with_for_update=lock):
        return study
    raise NotFound(f"no study has the number {study_id}")


def waiting_since(session: Session, moment: datetime, *, limit: int = 100) -> Sequence[Study]:
    """Studies that have been ready to be analysed since then and are not in a worker's hands."""
    return session.scalars(
        select(Study).where(Study.state == StudyState.READY, Study.ready_at < moment).limit(limit)
    ).all()


def note_receiving(session: Session, progress: "StudyProgress") -> Study:
    """Show a study that is still arriving; one already analysed keeps its state until complete again."""
    study = _by_uid(session, progress.study_instance_uid)
    if study is None:
        study = _new_study(
            session, progress.study_instance_uid, _hospital_of(progress), progress.first_received_at
        )
    if study.state is StudyState.RECEIVING:
        study.instances = progress.instances
        study.lane = Lane.RETROSPECTIVE if by_portal(progress.senders) else Lane.LIVE
        study.place = _place(study)
    study.last_received_at = max(study.last_received_at, progress.last_received_at)
    session.flush()
    return study


def register_study(
    session: Session,
    arrived: "ArrivedStudy",
    stored: Mapping[str, str],
    *,
    lane: Lane = Lane.LIVE,
    priority: Priority = Priority.ROUTINE,
) -> Study:
    """Take a complete study into the hub; the same set of files again changes nothing.

    A new set of files is a new revision: the study is ready once more and the earlier result is superseded.
    It keeps its place and its flags until the new result is there, so a flag does not vanish meanwhile.
    One study a scope: on PostgreSQL two scopes that hold several rows could wait for each other.

    Args:
        session: A writing session.
        arrived: The study as the gateway judged it complete.
        stored: Storage key by the SHA-256 of each instance.
        lane: For a study not seen before.
        priority: For a study not seen before.
    """
    study = _by_uid(session, arrived.study_instance_uid)
    if study is None:
        study = _new_study(
            session, arrived.study_instance_uid, arrived.identity.hcode, arrived.first_received_at
        )
    elif study.digest == arrived.digest:
        return study
    if study.revision == 0:  # until now it was only seen arriving
        study.lane, study.priority = lane, priority
    _take(session, study, arrived)
    replace_series(session, study.id, arrived.instances, stored)
    if study.revision == 0:
        study.place = _place(study)
    reopen(session, study)
    return study


def reopen(session: Session, study: Study, *, actor: str = HUB) -> None:
    """Begin a new revision, to be analysed (again); the earlier result is superseded from now on."""
    if study.state is not StudyState.READY:
        _move(study, StudyState.READY)
    study.revision += 1
    study.ready_at, study.result_at = now(), None
    study.reasons, study.notes, study.failed_step, study.error = [], [], None, None
    follow_study(session, study.id, hcode=study.hcode, state=study.state)
    audit.record(session, actor, "study.reopen", study_id=study.id, detail={"revision": study.revision})


def begin_analysis(session: Session, study: Study) -> None:
    """Note that a worker has it; a worker that starts over after a crash may say so again.

    Raises:
        IllegalTransition: the study is not waiting to be analysed.
    """
    if study.state is not StudyState.ANALYSING:
        _move(study, StudyState.ANALYSING)
        follow_study(session, study.id, hcode=study.hcode, state=study.state)
    session.flush()


def mark_refused(
    session: Session, study: Study, reasons: Sequence[Refusal], notes: Sequence[Note] = ()
) -> None:
    """Say that the study is not assessed, and why; saying the same again changes nothing."""
    assert reasons, "a refusal has at least one reason"
    if study.state is StudyState.REFUSED and study.reasons == [reason.value for reason in reasons]:
        return
    study.reasons = [reason.value for reason in reasons]
    study.notes = [{"code": note.code, "text": note.text} for note in notes]
    set_outcome(session, study, StudyState.REFUSED, ())


def mark_failed(session: Session, study: Study, step: str, error: str) -> None:
    """Say at which step the analysis broke, and how; a later failure of the same revision changes nothing."""
    if study.state is StudyState.FAILED:
        return
    study.failed_step, study.error = step[:60], clean(error)[:LONGEST_ERROR]
    set_outcome(session, study, StudyState.FAILED, ())


def supersede(session: Session, study: Study) -> None:
    """Put a study out of use, because another has taken its place; it stays readable."""
    _move(study, StudyState.SUPERSEDED)
    set_flags(session, study, ())
    audit.record(session, HUB, "study.superseded", study_id=study.id)


def set_outcome(session: Session, study: Study, state: StudyState, flagged: Iterable[StrokeType]) -> None:
    """End an analysis: state, time, flags and place; the result has not been reviewed yet."""
    assert state in OUTCOMES, state
    _move(study, state)
    study.result_at, study.reviewed_at = now(), None
    set_flags(session, study, flagged)
    if state in RESULTS:
        waited = (study.result_at - study.last_received_at).total_seconds()
        metrics.observe(session, metrics.RESULT_SECONDS, max(waited, 0.0))
    audit.record(session, HUB, f"study.{state.value}", study_id=study.id, detail={"revision": study.revision})


def set_flags(session: Session, study: Study, flagged: Iterable[StrokeType]) -> None:
    """Replace the stroke types that stand flagged, and put the study where it now belongs in the worklist."""
    study.place = _place(study)
    session.flush()
    replace_flags(session, study.id, flagged, hcode=study.hcode, state=study.state, place=study.place)


def _new_study(session: Session, uid: str, hcode: str | None, first_received_at: datetime) -> Study:
    study = Study(
        study_instance_uid=clean(uid),
        hcode=hcode if hcode and session.get(Hospital, hcode) else None,
        state=StudyState.RECEIVING,
        lane=Lane.LIVE,
        priority=Priority.ROUTINE,
        revision=0,
        digest="",
        instances=0,
        first_received_at=first_received_at,
        last_received_at=first_received_at,
    )
    study.place = _place(study)
    session.add(study)
    session.flush()
    return study


def _hospital_of(progress: "StudyProgress") -> str | None:
    return next((sender.hcode for sender in progress.senders if sender.hcode), None)


def _take(session: Session, study: Study, arrived: "ArrivedStudy") -> None:
    columns = study_columns(arrived)
    hcode = arrived.identity.hcode
    if hcode and hcode != study.hcode:
        columns["repairs"].append(_take_hospital(session, study, hcode))
    fresh = columns["instances"] - (study.instances if study.revision else 0)
    metrics.count(session, metrics.RECEIVED_INSTANCES, max(fresh, 0))
    for name, value in columns.items():
        setattr(study, name, value)


def _take_hospital(session: Session, study: Study, hcode: str) -> str:
    if session.get(Hospital, hcode) is None:
        return f"hospital: the code {clean(hcode)!r} is not in the region's list"
    if study.hcode is None:
        study.hcode = hcode
        return f"hospital: learned late to be {hcode}"
    # A second sender must not take over another hospital's patient by sending the same UID.
    return f"hospital: {hcode} sent this study too; it stays with {study.hcode}"


def _by_uid(session: Session, uid: str) -> Study | None:
    return session.scalar(select(Study).where(Study.study_instance_uid == clean(uid)).with_for_update())


def _move(study: Study, to: StudyState) -> None:
    check_transition(study.state, to)
    study.state = to


def _place(study: Study) -> int:
    return place_of(
        study.state,
        study.lane,
        study.priority,
        study.first_received_at,
        reviewed=study.reviewed_at is not None,
    )
