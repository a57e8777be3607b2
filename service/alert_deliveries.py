"""AlertDelivery: one alert on its way to one contact, with the proof that it got there or why it did not."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import circuits, metrics
from service.arrivals import clean
from service.contacts import Contact, Way
from service.db import Base, Id, UtcDateTime, now, words

GIVE_UP_AFTER = timedelta(hours=1)
"""An alert that comes later than this tells nobody anything; the ladder has long gone on."""
LONGEST_PROOF = 500


class TellState(StrEnum):
    """Where one message stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    """The other side said that it took it; `proof` is what it said."""
    REFUSED = "refused"
    """The other side will never take it."""
    EXPIRED = "expired"
    """Given up after an hour."""
    WITHDRAWN = "withdrawn"
    """Somebody answered first."""


class AlertDelivery(Base):
    """One message of one hop."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (
        UniqueConstraint("alert_id", "hop", "contact_id", name="uq_alert_deliveries_alert_id_hop_contact_id"),
        Index("ix_alert_deliveries_state_line", "state", "line", "next_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"))
    hop: Mapped[int]
    """0 is the first on the ladder."""
    corrects: Mapped[bool] = mapped_column(default=False)
    """It says that what the earlier ones told is not so any more; it is of no hop of the ladder."""
    way: Mapped[Way] = mapped_column(words(Way))
    contact_id: Mapped[int | None] = mapped_column(Id)
    """None for the hub's own pages. No reference: a contact may be forgotten, what it was told may not."""
    told: Mapped[str] = mapped_column(String(100))
    """The person's username, or the hospital's code."""
    line: Mapped[str] = mapped_column(String(60), default="")
    """Whose answer it waits for: messages of one line are sent one after the other, and spared together."""
    token: Mapped[str] = mapped_column(String(43), unique=True)
    """Opens the page on which this alert alone can be acknowledged."""
    state: Mapped[TellState] = mapped_column(words(TellState), default=TellState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    proof: Mapped[str] = mapped_column(Text, default="")
    """What the other side said: a queue number, a request id, or why not."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    delivered_at: Mapped[datetime | None]


def line_of(contact: Contact) -> str:
    """The line of a contact: every webhook is a server of its own, the other ways have one for all."""
    own = f".{contact.id}" if contact.way is Way.WEBHOOK else ""
    return f"alert.{contact.way.value}{own}"


def queue_message(
    session: Session,
    alert_id: int,
    hop: int,
    contact: Contact,
    told: str,
    at: datetime,
    *,
    corrects: bool = False,
) -> AlertDelivery:
    """Put one message of a hop, or one that corrects the earlier ones, in line."""
    row = AlertDelivery(
        alert_id=alert_id,
        hop=hop,
        corrects=corrects,
        way=contact.way,
        contact_id=contact.id,
        told=told,
        line=line_of(contact),
        token=secrets.token_urlsafe(32),
        state=TellState.WAITING,
        created_at=at,
        next_at=at,
    )
    session.add(row)
    return row


def note_in_app(
    session: Session, alert_id: int, hop: int, told: str, proof: str, at: datetime, *, corrects: bool = False
) -> None:
    """Write down that the hub's own pages tell it: they follow the audit log, which has it."""
    session.add(
        AlertDelivery(
            alert_id=alert_id,
            hop=hop,
            corrects=corrects,
            way=Way.IN_APP,
            contact_id=None,
            told=told,
            line="",
            token=secrets.token_urlsafe(32),
            state=TellState.DELIVERED,
            attempts=1,
            proof=proof,
            created_at=at,
            next_at=at,
            delivered_at=at,
        )
    )


def messages_of(session: Session, alert_id: int) -> Sequence[AlertDelivery]:
    """Whom an alert was told, by what, and with which proof; in order."""
    query = select(AlertDelivery).where(AlertDelivery.alert_id == alert_id)
    return session.scalars(query.order_by(AlertDelivery.hop, AlertDelivery.id)).all()


def withdraw_messages(session: Session, alert_id: int) -> None:
    """What is not sent yet need not be."""
    session.execute(
        update(AlertDelivery)
        .where(AlertDelivery.alert_id == alert_id, AlertDelivery.state == TellState.WAITING)
        .values(state=TellState.WITHDRAWN)
    )


def next_message(session: Session, line: str, at: datetime) -> AlertDelivery | None:
    """The oldest message that is due on a line; None while the line is spared."""
    circuit = circuits.circuit_of(session, line)
    if circuit.open_until is not None and circuit.open_until > at:
        return None
    query = select(AlertDelivery).where(
        AlertDelivery.state == TellState.WAITING, AlertDelivery.line == line, AlertDelivery.next_at <= at
    )
    return session.scalar(query.order_by(AlertDelivery.next_at, AlertDelivery.id).limit(1))


def next_look(session: Session, line: str) -> datetime | None:
    """When a line is to be looked at again; None when nothing waits there."""
    earliest = session.scalar(
        select(func.min(AlertDelivery.next_at)).where(
            AlertDelivery.state == TellState.WAITING, AlertDelivery.line == line
        )
    )
    if earliest is None:
        return None
    open_until = circuits.circuit_of(session, line).open_until
    return earliest if open_until is None else max(earliest, open_until)


def lines_due(session: Session, at: datetime) -> list[str]:
    """Lines on which a message is due and which are not spared."""
    spared = {each.peer for each in circuits.open_circuits(session, at)}
    due = session.scalars(
        select(AlertDelivery.line)
        .where(AlertDelivery.state == TellState.WAITING, AlertDelivery.next_at <= at)
        .distinct()
    )
    return sorted(line for line in due if line not in spared)


def settle_message(session: Session, row: AlertDelivery, state: TellState, proof: str, at: datetime) -> None:
    """End a message, with what the other side said."""
    row.state, row.proof = state, clean(proof)[:LONGEST_PROOF]
    if state is TellState.DELIVERED:
        row.delivered_at = at
        metrics.observe(session, metrics.ALERT_SECONDS, max((at - row.created_at).total_seconds(), 0.0))
    metrics.count(session, metrics.ALERT_MESSAGES, label=f"{row.way.value}.{state.value}")
