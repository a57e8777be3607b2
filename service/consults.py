"""Consult: one hospital asks another what to do about a study, and the other answers.

While a consult is open, the asked hospital sees the study. Who may do what in which state is in
`service.consult_states`; two who act at once get one winner, because each move locks the row first.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Text, or_, select, true
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Permission, Role, Viewer
from service.alerts import AlertKind, acknowledge_key, raise_alert
from service.arrivals import clean
from service.consult_details import Advice, ConsultDetails, Onset, Outcome
from service.consult_states import MOVES, OPEN, ConsultSide, ConsultState, ConsultVerb, check_consult_move
from service.db import Base, Id, Json, UtcDateTime, locked, now, words
from service.errors import AlreadyExists, BadRequest, NotAllowed, NotFound
from service.grants import Because, end_grants, grant_study
from service.hospitals import find_hospital
from service.milestones import Milestone
from service.specialties import Specialty
from service.studies import Study
from service.typed_times import note_told

LONGEST_QUESTION = 4000


class Consult(Base):
    """One question about one study."""

    __tablename__ = "consults"
    __table_args__ = (
        Index("ix_consults_hcode_id", "hcode", "id"),
        Index("ix_consults_to_hcode_id", "to_hcode", "id"),
        Index("ix_consults_state_asked_at", "state", "asked_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    """Who asks."""
    to_hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    """Who is asked."""
    specialty: Mapped[Specialty] = mapped_column(words(Specialty))
    question: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(Json)
    """As `ConsultDetails` writes itself."""
    state: Mapped[ConsultState] = mapped_column(words(ConsultState))
    asked_by: Mapped[str] = mapped_column(String(100))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_by: Mapped[str] = mapped_column(String(100), default="")
    opened_at: Mapped[datetime | None]
    """When somebody at the asked hospital first looked."""
    open_late_at: Mapped[datetime | None]
    """When it was told that nobody had looked in time."""
    advice_late_at: Mapped[datetime | None]
    accepted_by: Mapped[str] = mapped_column(String(100), default="")
    accepted_at: Mapped[datetime | None]
    answered_by: Mapped[str] = mapped_column(String(100), default="")
    answered_at: Mapped[datetime | None]
    advice: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """As `Advice` writes itself; the newest where it was given more than once."""
    ended_by: Mapped[str] = mapped_column(String(100), default="")
    ended_at: Mapped[datetime | None]
    outcome: Mapped[Outcome | None] = mapped_column(words(Outcome))
    ending: Mapped[str] = mapped_column(Text, default="")
    """What came of it, or why it was taken back, in words."""


def ask(
    session: Session,
    viewer: Viewer,
    study: Study,
    *,
    to_hcode: str,
    specialty: Specialty,
    question: str,
    details: ConsultDetails,
) -> Consult:
    """Ask a hospital about a study of one's own; its people on call are told, and see the study.

    Raises:
        NotAllowed: the study is another hospital's, or its hospital is not known.
        NotFound: no such hospital.
        BadRequest: no question.
        AlreadyExists: this hospital is being asked about this study.
    """
    hcode = study.hcode
    if hcode is None or not (viewer.hcode == hcode or viewer.role is Role.ADMIN):
        raise NotAllowed("only the hospital that sent a study asks others about it")
    find_hospital(session, to_hcode)
    question = clean(question).strip()
    if not 1 <= len(question) <= LONGEST_QUESTION:
        raise BadRequest(f"a question of {len(question)} characters; it must have 1 to {LONGEST_QUESTION}")
    session.get(Study, study.id, with_for_update=True)  # two who ask the same at once are one
    same = select(Consult.id).where(
        Consult.study_id == study.id, Consult.to_hcode == to_hcode, Consult.state.in_(OPEN)
    )
    if (number := session.scalar(same.limit(1))) is not None:
        raise AlreadyExists(f"hospital {to_hcode} is being asked about this study already: consult {number}")
    consult = Consult(
        study_id=study.id,
        hcode=hcode,
        to_hcode=to_hcode,
        specialty=specialty,
        question=question,
        details=details.model_dump(mode="json"),
        state=ConsultState.ASKED,
        asked_by=viewer.username,
        asked_at=now(),
    )
    session.add(consult)
    session.flush()
    if to_hcode != hcode:
        grant_study(
            session, study.id, to_hcode, because=Because.CONSULT, subject=consult.id, actor=viewer.username
        )
    _ring(session, consult, AlertKind.CONSULT_ASKED, to_hcode)
    _record(session, consult, viewer, "asked")
    begun = Milestone.ONSET if details.onset is Onset.WITNESSED else Milestone.LAST_KNOWN_WELL
    note_told(session, study, viewer, {begun: details.onset_at})
    return consult


def accept(session: Session, number: int, viewer: Viewer) -> Consult:
    """Say that one has it; it rings no more.

    Raises:
        NotFound, NotAllowed, IllegalTransition: see `_move`.
    """
    consult = _move(session, number, viewer, ConsultVerb.ACCEPT)
    consult.accepted_by, consult.accepted_at = viewer.username, now()
    _heard(session, consult, viewer)
    _record(session, consult, viewer, "accepted")
    return consult


def answer(session: Session, number: int, viewer: Viewer, advice: Advice) -> Consult:
    """Give the advice; the asking hospital is told.

    Raises:
        NotFound, NotAllowed, IllegalTransition: see `_move`.
    """
    consult = _move(session, number, viewer, ConsultVerb.ANSWER)
    moment = now()
    if consult.accepted_at is None:
        consult.accepted_by, consult.accepted_at = viewer.username, moment
    consult.answered_by, consult.answered_at = viewer.username, moment
    consult.advice = advice.model_dump(mode="json")
    _heard(session, consult, viewer)
    _ring(session, consult, AlertKind.CONSULT_ANSWERED, consult.hcode)
    _record(session, consult, viewer, "answered")
    return consult


def close(session: Session, number: int, viewer: Viewer, outcome: Outcome, ending: str = "") -> Consult:
    """Say what came of it; the asked hospital sees the study no more.

    Raises:
        NotFound, NotAllowed, IllegalTransition: see `_move`.
        BadRequest: `other` without words.
    """
    if outcome is Outcome.OTHER and not ending.strip():
        raise BadRequest("the outcome 'other' needs words")
    consult = _move(session, number, viewer, ConsultVerb.CLOSE)
    consult.outcome = outcome
    _end(session, consult, viewer, ending)
    _record(session, consult, viewer, "closed")
    return consult


def cancel(session: Session, number: int, viewer: Viewer, reason: str) -> Consult:
    """Take the question back; the asked hospital sees the study no more.

    Raises:
        NotFound, NotAllowed, IllegalTransition: see `_move`.
        BadRequest: no reason.
    """
    if not reason.strip():
        raise BadRequest("a consult is taken back with a reason in words")
    consult = _move(session, number, viewer, ConsultVerb.CANCEL)
    _heard(session, consult, viewer)
    _end(session, consult, viewer, reason)
    _record(session, consult, viewer, "cancelled")
    return consult


def note_opened(session: Session, consult: Consult, viewer: Viewer) -> None:
    """Note that somebody looked: the clock of the asked hospital stops, at the asking one nothing rings."""
    sides = sides_of(consult, viewer)
    if ConsultSide.ADVISER in sides and consult.opened_at is None and consult.state is ConsultState.ASKED:
        consult.opened_by, consult.opened_at = viewer.username, now()
        _record(session, consult, viewer, "opened")
    if ConsultSide.ASKER in sides and consult.state is ConsultState.ANSWERED:
        acknowledge_key(session, alert_key(consult, AlertKind.CONSULT_ANSWERED), viewer)


def find_consult(session: Session, number: int, viewer: Viewer, *, lock: bool = False) -> Consult:
    """The consult, if there is one and the viewer's hospital asked it or was asked.

    Raises:
        NotFound: otherwise; the two are not told apart.
    """
    query = select(Consult).where(Consult.id == number, concerns(viewer))
    if consult := session.scalar(locked(query) if lock else query):
        return consult
    raise NotFound(f"no consult {number}")


def list_consults(
    session: Session,
    viewer: Viewer,
    *,
    study_id: int | None = None,
    state: ConsultState | None = None,
    side: ConsultSide | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Consult]:
    """Consults that the viewer's hospital asked or was asked, newest first."""
    query = select(Consult).where(concerns(viewer))
    if study_id is not None:
        query = query.where(Consult.study_id == study_id)
    if state is not None:
        query = query.where(Consult.state == state)
    if side is not None and viewer.hcode is not None:
        column = Consult.hcode if side is ConsultSide.ASKER else Consult.to_hcode
        query = query.where(column == viewer.hcode)
    if before is not None:
        query = query.where(Consult.id < before)
    return session.scalars(query.order_by(Consult.id.desc()).limit(limit)).all()


def concerns(viewer: Viewer) -> ColumnElement[bool]:
    """The condition that narrows a query to the consults that the viewer's hospital asked or was asked."""
    own = viewer.hcode or ""
    return true() if viewer.sees_region else or_(Consult.hcode == own, Consult.to_hcode == own)


def sides_of(consult: Consult, viewer: Viewer) -> frozenset[ConsultSide]:
    """Whom the viewer acts for in a consult; those who see the region advise, administrators do either."""
    sides = set()
    if viewer.may(Permission.ASK) and (viewer.hcode == consult.hcode or viewer.role is Role.ADMIN):
        sides.add(ConsultSide.ASKER)
    if viewer.may(Permission.ADVISE) and (viewer.hcode == consult.to_hcode or viewer.sees_region):
        sides.add(ConsultSide.ADVISER)
    return frozenset(sides)


def alert_key(consult: Consult, kind: AlertKind, step: str = "") -> str:
    """Names the alert of a consult."""
    return f"{kind.value}:{consult.id}{step and ':' + step}"


def _move(session: Session, number: int, viewer: Viewer, verb: ConsultVerb) -> Consult:
    """Lock the consult and move it.

    Raises:
        NotFound: there is none for the viewer.
        NotAllowed: the viewer acts for the other side.
        IllegalTransition: not from the state that it is in, such as when somebody else was there first.
    """
    consult = find_consult(session, number, viewer, lock=True)
    side = MOVES[verb].side
    if side not in sides_of(consult, viewer):
        raise NotAllowed(f"only the {side.value} of a consult can {verb.value} it")
    consult.state = check_consult_move(consult.state, verb)
    return consult


def _end(session: Session, consult: Consult, viewer: Viewer, ending: str) -> None:
    consult.ended_by, consult.ended_at = viewer.username, now()
    consult.ending = clean(ending).strip()[:LONGEST_QUESTION]
    acknowledge_key(session, alert_key(consult, AlertKind.CONSULT_ANSWERED), viewer)
    end_grants(session, because=Because.CONSULT, subject=consult.id, actor=viewer.username)


def _heard(session: Session, consult: Consult, viewer: Viewer) -> None:
    """Whatever rings at the asked hospital is answered by the deed."""
    acknowledge_key(session, alert_key(consult, AlertKind.CONSULT_ASKED), viewer)
    for step in ("open",) if consult.state is ConsultState.ACCEPTED else ("open", "advice"):
        acknowledge_key(session, alert_key(consult, AlertKind.CONSULT_LATE, step), viewer)


def _ring(session: Session, consult: Consult, kind: AlertKind, hcode: str) -> None:
    path, key = f"/consults/{consult.id}", alert_key(consult, kind)
    wanted = consult.specialty if hcode == consult.to_hcode else None
    raise_alert(session, kind, hcode=hcode, study_id=consult.study_id, path=path, key=key, specialty=wanted)


def _record(session: Session, consult: Consult, viewer: Viewer, what: str) -> None:
    detail: audit.Detail = {"consult": consult.id, "hcode": consult.hcode, "to": consult.to_hcode}
    audit.record(session, viewer.username, f"consult.{what}", study_id=consult.study_id, detail=detail)
