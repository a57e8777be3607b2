"""MophMessage: one record of a referral on its way to MOPH Refer, until it is there, refused, or given up.

A referral has at most one message a kind, tried for 72 hours: what changes is sent again under the same
REFERID, which takes the place of what was there. The rows are the truth and survive everything; jobs only say
when to look at them. What is sent is made anew from the referral each time: no copy of the patient is kept.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Select, String, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit, circuits
from service.accounts import Viewer
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import BadRequest, NotFound
from service.referrals import Referral, seen_by

GIVE_UP_AFTER = timedelta(hours=72)
LONGEST_REASON = 500
SHOWN = 50


class MessageKind(StrEnum):
    """Which record."""

    HISTORY = "history"
    """REFER_HISTORY, by the sending hospital."""
    INVESTIGATION = "investigation"
    """INVESTIGATION_REFER, by the sending hospital."""
    RESULT = "result"
    """REFER_RESULT, by the receiving hospital."""


class MessageState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    SENT = "sent"
    """MOPH Refer said that it has it."""
    REFUSED = "refused"
    """It answered, and does not take it; `reason` is what it said."""
    EXPIRED = "expired"
    """72 hours without an answer."""
    WITHDRAWN = "withdrawn"
    """The hospital's keys were taken away before it was sent."""


FAILED = (MessageState.REFUSED, MessageState.EXPIRED)


class MophMessage(Base):
    """One record of one referral."""

    __tablename__ = "moph_messages"
    __table_args__ = (
        UniqueConstraint("referral_id", "kind"),
        Index("ix_moph_messages_state_hcode_next_at", "state", "hcode", "next_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    referral_id: Mapped[int] = mapped_column(ForeignKey("referrals.id"))
    kind: Mapped[MessageKind] = mapped_column(words(MessageKind))
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    """Whose keys it goes by."""
    state: Mapped[MessageState] = mapped_column(words(MessageState))
    version: Mapped[int]
    """Of the referral, when it was last looked at."""
    report: Mapped[int] = mapped_column(Id)
    """The newest radiologist's report at that time; 0 where there was none."""
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what waits, or was sent last; what has not changed is not sent again."""
    attempts: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    give_up_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None]


def line_of(hcode: str) -> str:
    """A hospital's line: its messages go one after the other, and wait together when they must."""
    return f"nrefer.{hcode}"


def message_of(session: Session, referral: Referral, kind: MessageKind) -> MophMessage | None:
    """The referral's message of this kind."""
    query = select(MophMessage).where(MophMessage.referral_id == referral.id, MophMessage.kind == kind)
    return session.scalar(query)


def messages_of(session: Session, referral: Referral) -> Sequence[MophMessage]:
    """How a referral stands at MOPH Refer; empty where neither hospital sends there."""
    query = select(MophMessage).where(MophMessage.referral_id == referral.id)
    return session.scalars(query.order_by(MophMessage.id)).all()


def put_in_line(message: MophMessage, digest: str, at: datetime) -> None:
    """Have it sent from the beginning."""
    message.digest, message.state, message.attempts, message.reason = digest, MessageState.WAITING, 0, ""
    message.next_at, message.give_up_at = at, at + GIVE_UP_AFTER


def next_due(session: Session, hcode: str, at: datetime) -> MophMessage | None:
    """The message that has waited longest; None while the hospital's line is spared."""
    circuit = circuits.circuit_of(session, line_of(hcode))
    if circuit.open_until is not None and circuit.open_until > at:
        return None
    query = _due(at).where(MophMessage.hcode == hcode)
    return session.scalar(query.order_by(MophMessage.next_at, MophMessage.id).limit(1))


def next_look(session: Session, hcode: str) -> datetime | None:
    """When the hospital's line is to be looked at again; None when nothing waits there."""
    query = select(func.min(MophMessage.next_at)).where(
        MophMessage.state == MessageState.WAITING, MophMessage.hcode == hcode
    )
    earliest = session.scalar(query)
    if earliest is None:
        return None
    open_until = circuits.circuit_of(session, line_of(hcode)).open_until
    return earliest if open_until is None else max(earliest, open_until)


def hospitals_due(session: Session, at: datetime) -> list[str]:
    """Hospitals for which a message is due and whose line is not spared."""
    spared = {each.peer for each in circuits.open_circuits(session, at)}
    due = session.scalars(_due(at).with_only_columns(MophMessage.hcode).distinct())
    return sorted(hcode for hcode in due if line_of(hcode) not in spared)


def settle(message: MophMessage, state: MessageState, reason: str, at: datetime) -> None:
    """End it, with what was said."""
    message.state, message.reason = state, clean(reason)[:LONGEST_REASON]
    if state is MessageState.SENT:
        message.sent_at = at


def postpone(message: MophMessage, until: datetime, reason: str) -> None:
    """Keep it waiting until then, because."""
    message.next_at, message.reason = until, clean(reason)[:LONGEST_REASON]


def withdraw_messages(session: Session, hcode: str) -> None:
    """What is not sent yet of a hospital need not be."""
    session.execute(
        update(MophMessage)
        .where(MophMessage.hcode == hcode, MophMessage.state == MessageState.WAITING)
        .values(state=MessageState.WITHDRAWN, reason="the hospital's keys were taken away")
    )


def list_messages(
    session: Session,
    viewer: Viewer,
    *,
    states: Sequence[MessageState] = (),
    before: int | None = None,
    limit: int = SHOWN,
) -> Sequence[MophMessage]:
    """Messages of the referrals that the viewer may see, newest first."""
    query = select(MophMessage).join(Referral, Referral.id == MophMessage.referral_id).where(seen_by(viewer))
    if states:
        query = query.where(MophMessage.state.in_(states))
    if before is not None:
        query = query.where(MophMessage.id < before)
    return session.scalars(query.order_by(MophMessage.id.desc()).limit(limit)).all()


def count_messages(session: Session, viewer: Viewer) -> dict[MessageState, int]:
    """How many of them there are, by state."""
    query = select(MophMessage.state, func.count()).join(Referral, Referral.id == MophMessage.referral_id)
    rows = session.execute(query.where(seen_by(viewer)).group_by(MophMessage.state))
    return {state: number for state, number in rows}


def send_again(session: Session, viewer: Viewer, number: int, at: datetime | None = None) -> MophMessage:
    """Put one that was refused or given up in line anew, and knock at once.

    Raises:
        NotFound: there is none of this number for the viewer.
        BadRequest: it has not failed.
    """
    query = select(MophMessage).join(Referral, Referral.id == MophMessage.referral_id)
    message = session.scalar(query.where(MophMessage.id == number, seen_by(viewer)))
    if message is None:
        raise NotFound(f"no message to MOPH Refer has the number {number}")
    if message.state not in FAILED:
        raise BadRequest(f"message {number} is {message.state.value}; only a failed one is sent again")
    put_in_line(message, message.digest, at or now())
    circuits.close_circuit(session, line_of(message.hcode))
    audit.record(session, viewer.username, "moph.again", detail={"message": message.id})
    return message


def _due(at: datetime) -> Select[MophMessage]:
    return select(MophMessage).where(MophMessage.state == MessageState.WAITING, MophMessage.next_at <= at)
