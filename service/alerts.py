"""Alert: something that somebody must hear of now, until one of them says that they have it.

Who is told, by what and when is the ladder's business (`service.ladders`); an alert's row says how far it is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, ForeignKey, Index, String, or_, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.alert_deliveries import AlertDelivery, withdraw_messages
from service.alert_states import AlertMove, AlertState, alert_after
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import NotFound
from service.grants import Because, end_grants
from service.hospitals import find_hospital
from service.specialties import Specialty
from service.studies import HUB


class AlertKind(StrEnum):
    """What happened."""

    FLAG = "flag"
    CONSULT_ASKED = "consult_asked"
    CONSULT_LATE = "consult_late"
    CONSULT_ANSWERED = "consult_answered"
    REFERRAL_REQUESTED = "referral_requested"
    REFERRAL_LATE = "referral_late"
    REFERRAL_ANSWERED = "referral_answered"
    REFERRAL_DEPARTED = "referral_departed"
    REFUSED_WORK = "refused_work"
    """The AI could not judge a head CT: somebody must look at it without help."""


CALM: Final = frozenset({AlertKind.REFERRAL_DEPARTED, AlertKind.REFUSED_WORK})
"""Told once, and by night only in the morning; every other kind rings until somebody answers."""
OF_STUDY: Final = frozenset({AlertKind.FLAG, AlertKind.REFUSED_WORK})
"""Of a study and nothing else: the hub hospital that is told may open it."""
SEEN_AFTER: Final = timedelta(hours=12)
"""So long after somebody answered, or nobody did, the hub hospital still sees the study."""


class Withdrawal(StrEnum):
    """Why an alert is not so any more."""

    CLEARED = "cleared"
    """More images came, or the study was analysed again, and the AI flags nothing now."""
    DISAGREED = "disagreed"
    """A radiologist has looked and sees no stroke."""


class Through(StrEnum):
    """How somebody answered."""

    API = "api"
    PAGE = "page"
    LINK = "link"
    DEED = "deed"
    """By doing what the alert asks for, such as accepting the consult."""


class Alert(Base):
    """One alert."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_state_next_at", "state", "next_at"),
        Index("ix_alerts_hcode_id", "hcode", "id"),
        Index("ix_alerts_hub_id", "hub", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(150), unique=True)
    """Names what happened: raised again with the same key it is the same alert."""
    kind: Mapped[AlertKind] = mapped_column(words(AlertKind))
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    """Whose people are told first."""
    hub: Mapped[str | None] = mapped_column(String(5))
    """The hospital behind it, once that was told too."""
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    specialty: Mapped[Specialty | None] = mapped_column(words(Specialty))
    """Whose answer is wanted; None: anybody's."""
    path: Mapped[str] = mapped_column(String(300))
    """The page of this hub that it leads to."""
    state: Mapped[AlertState] = mapped_column(words(AlertState))
    quiet: Mapped[str] = mapped_column(String(24), default="")
    """The quiet rule that held it back, if any."""
    hop: Mapped[int] = mapped_column(default=0)
    """How many hops of the ladder were taken."""
    next_at: Mapped[datetime | None]
    """When the next hop is due; None when there is none."""
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(String(100), default="")
    acknowledged_through: Mapped[str] = mapped_column(String(24), default="")
    withdrawn_at: Mapped[datetime | None]
    """Also of an alert that somebody has: what they have is not so any more."""
    withdrawn_because: Mapped[Withdrawal | None] = mapped_column(words(Withdrawal))


def raise_alert(
    session: Session,
    kind: AlertKind,
    *,
    hcode: str,
    study_id: int,
    path: str,
    key: str,
    specialty: Specialty | None = None,
    at: datetime | None = None,
) -> Alert:
    """Have the people on call at a hospital told, as part of the caller's transaction.

    Args:
        session: A writing session.
        kind: What happened.
        hcode: Whose people.
        study_id: The study it is about.
        path: The page that it leads to, without anything of a patient.
        specialty: Whose answer is wanted, where it is not anybody's.
        key: Names what happened, at most 150 characters; the same key again is the same alert.
        at: Now; only tests give another.

    Raises:
        NotFound: no such hospital.
    """
    assert path.startswith("/"), path
    assert len(path) <= 300, path
    assert len(key) <= 150, key
    find_hospital(session, hcode)
    session.flush()
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    moment = at or now()
    row = dialect.insert(Alert).values(
        key=key, kind=kind, hcode=hcode, study_id=study_id, path=path, state=AlertState.RINGING,
        specialty=specialty, quiet="", hop=0, next_at=moment, raised_at=moment, acknowledged_by="",
        acknowledged_through="",
    )  # fmt: skip
    number = session.scalar(row.on_conflict_do_nothing(index_elements=["key"]).returning(Alert.id))
    alert = session.scalars(select(Alert).where(Alert.key == key)).one()
    if number is not None:
        detail: audit.Detail = {"alert": alert.id, "hcode": hcode, "kind": kind.value}
        audit.record(session, HUB, "alert.raised", study_id=study_id, detail=detail)
    return alert


def find_alert(session: Session, number: int, viewer: Viewer, *, lock: bool = False) -> Alert:
    """The alert, if there is one and the viewer's hospital was told of it.

    Raises:
        NotFound: otherwise; the two are not told apart.
    """
    query = select(Alert).where(Alert.id == number, told_to(viewer))
    if alert := session.scalar(locked(query) if lock else query):
        return alert
    raise NotFound(f"no alert {number}")


def list_alerts(
    session: Session,
    viewer: Viewer,
    *,
    state: AlertState | None = None,
    hcode: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Alert]:
    """Alerts of which the viewer's hospital was told, newest first."""
    query = select(Alert).where(told_to(viewer))
    if state is not None:
        query = query.where(Alert.state == state)
    if hcode is not None:
        query = query.where(or_(Alert.hcode == hcode, Alert.hub == hcode))
    if before is not None:
        query = query.where(Alert.id < before)
    return session.scalars(query.order_by(Alert.id.desc()).limit(limit)).all()


def told_to(viewer: Viewer) -> ColumnElement[bool]:
    """The condition that narrows a query to the alerts of which the viewer's hospital was told."""
    own = viewer.hcode or ""
    return true() if viewer.sees_region else or_(Alert.hcode == own, Alert.hub == own)


def acknowledge(
    session: Session,
    number: int,
    viewer: Viewer,
    *,
    through: Through = Through.API,
    at: datetime | None = None,
) -> Alert:
    """Say that one has it: nobody else is told any more. Of two who say so the first is written down.

    Raises:
        NotFound: see `find_alert`.
    """
    alert = find_alert(session, number, viewer, lock=True)
    _answer(session, alert, viewer.username, through, at)
    return alert


def acknowledge_key(session: Session, key: str, viewer: Viewer) -> Alert | None:
    """Acknowledge by deed: who accepts a consult need not say again that they have heard of it."""
    alert = session.scalar(locked(select(Alert).where(Alert.key == key)))
    if alert is not None:
        _answer(session, alert, viewer.username, Through.DEED, None)
    return alert


def alert_of_link(session: Session, token: str, *, lock: bool = False) -> tuple[Alert, AlertDelivery]:
    """The alert whose message carried this token, and that message.

    Raises:
        NotFound: there is none.
    """
    message = session.scalar(select(AlertDelivery).where(AlertDelivery.token == token[:43]))
    if message is None:
        raise NotFound("no alert has this link")
    return session.get_one(Alert, message.alert_id, with_for_update=lock), message


def acknowledge_by_link(session: Session, token: str) -> Alert:
    """Acknowledge with the link of a message; who was sent it is written down.

    Raises:
        NotFound: see `alert_of_link`.
    """
    alert, message = alert_of_link(session, token, lock=True)
    _answer(session, alert, message.told, Through.LINK, None)
    return alert


def close_sight(session: Session, alert: Alert, actor: str, at: datetime) -> None:
    """Nobody is told any more: let the hub hospital see the study for a while yet, and then no longer."""
    end_grants(session, because=Because.ALERT, subject=alert.id, actor=actor, at=at + SEEN_AFTER)


def _answer(session: Session, alert: Alert, who: str, through: Through, at: datetime | None) -> None:
    answered = alert_after(alert.state, AlertMove.ANSWER)
    if answered is alert.state:
        return
    moment = at or now()
    alert.state, alert.next_at = answered, None
    alert.acknowledged_at, alert.acknowledged_by = moment, who
    alert.acknowledged_through = through.value
    withdraw_messages(session, alert.id)
    close_sight(session, alert, who, moment)
    detail: audit.Detail = {
        "alert": alert.id,
        "hcode": alert.hcode,
        "to": alert.hub,
        "through": through.value,
    }
    audit.record(session, who, "alert.acknowledged", study_id=alert.study_id, detail=detail)
