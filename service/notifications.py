"""Notification: one event on its way to one subscriber, with the proof that it arrived or why not."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, and_, delete, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit, circuits
from service.accounts import Viewer
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, locked, words
from service.errors import NotFound, NotReady
from service.subscriptions import Subscription, SubscriptionState

LONGEST_PROOF: Final = 500
MOST_WAITING: Final = 1000
"""Of one subscription; what happens beyond is logged and not told."""


DELIVERED_DAYS: Final = 90
FORGOTTEN_AT_ONCE: Final = 1000
"""In one transaction, so that nobody waits long for the write lock."""


class NotificationState(StrEnum):
    """Where one notification stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    """The receiver answered 2xx; `proof` is what it said."""
    EXPIRED = "expired"
    """Given up after a day."""
    WITHDRAWN = "withdrawn"
    """The subscription was switched off or removed first."""


class Notification(Base):
    """One call of a receiver."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("subscription_id", "event"),
        Index("ix_notifications_state_subscription_id_next_at", "state", "subscription_id", "next_at"),
        Index("ix_notifications_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscriptions.id"))
    event: Mapped[int] = mapped_column(Id)
    """The number of its entry in the audit log."""
    told: Mapped[dict[str, Any]]
    """As `Happening.told` says it."""
    state: Mapped[NotificationState] = mapped_column(words(NotificationState))
    attempts: Mapped[int] = mapped_column(default=0)
    proof: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None]
    again_at: Mapped[datetime | None]
    """When it was put in line anew by hand: its day counts from then."""

    @property
    def counts_from(self) -> datetime:
        """When the day began after which it is given up."""
        return self.again_at or self.created_at


def line_of(subscription_id: int) -> str:
    """The line of a subscription; each is a line of its own, so that a dead receiver delays no other."""
    return f"subscription.{subscription_id}"


def queue_notification(
    session: Session, subscription: Subscription, event: int, told: Mapping[str, Any], at: datetime
) -> None:
    """Put one in line."""
    session.add(
        Notification(
            subscription_id=subscription.id,
            event=event,
            told=dict(told),
            state=NotificationState.WAITING,
            created_at=at,
            next_at=at,
        )
    )


def notifications_of(
    session: Session, subscription: Subscription, *, before: int | None = None, limit: int = 50
) -> Sequence[Notification]:
    """What a subscription was told, newest first."""
    query = select(Notification).where(Notification.subscription_id == subscription.id)
    if before is not None:
        query = query.where(Notification.id < before)
    return session.scalars(query.order_by(Notification.id.desc()).limit(limit)).all()


def waiting_for(session: Session, subscription_id: int) -> int:
    """How many wait."""
    return session.scalars(select(func.count()).where(*_waiting(subscription_id))).one()


def next_notification(session: Session, subscription_id: int, at: datetime) -> Notification | None:
    """The oldest that is due; None while the receiver is spared."""
    open_until = circuits.circuit_of(session, line_of(subscription_id)).open_until
    if open_until is not None and open_until > at:
        return None
    due = select(Notification).where(*_waiting(subscription_id), Notification.next_at <= at)
    return session.scalar(due.order_by(Notification.id).limit(1))


def next_look(session: Session, subscription_id: int) -> datetime | None:
    """When a subscription is to be looked at again; None when nothing waits for it."""
    earliest = session.scalar(select(func.min(Notification.next_at)).where(*_waiting(subscription_id)))
    if earliest is None:
        return None
    open_until = circuits.circuit_of(session, line_of(subscription_id)).open_until
    return earliest if open_until is None else max(earliest, open_until)


def subscriptions_due(session: Session, at: datetime) -> list[int]:
    """Those with something due whose receiver is not spared."""
    spared = {each.peer for each in circuits.open_circuits(session, at)}
    due = session.scalars(
        select(Notification.subscription_id)
        .where(Notification.state == NotificationState.WAITING, Notification.next_at <= at)
        .distinct()
    )
    return sorted(number for number in due if line_of(number) not in spared)


def settle_notification(row: Notification, state: NotificationState, proof: str, at: datetime) -> None:
    """End one, with what the receiver said."""
    row.state, row.proof = state, clean(proof)[:LONGEST_PROOF]
    if state is NotificationState.DELIVERED:
        row.delivered_at = at


def send_again(
    session: Session, viewer: Viewer, subscription: Subscription, number: int, at: datetime
) -> Notification:
    """Call the receiver once more for what it did not take, at once.

    Raises:
        NotFound: the subscription has none of this number.
        NotReady: the subscription is off, or the receiver has taken it.
    """
    query = select(Notification).where(
        Notification.id == number, Notification.subscription_id == subscription.id
    )
    found = session.scalar(locked(query))
    if found is None:
        raise NotFound(f"subscription {subscription.id} has no notification {number}")
    if subscription.state is not SubscriptionState.ACTIVE:
        raise NotReady(f"subscription {subscription.id} is {subscription.state.value}; switch it on first")
    if found.state is NotificationState.DELIVERED:
        raise NotReady(f"the receiver has taken notification {number}")
    found.state, found.attempts = NotificationState.WAITING, 0
    found.next_at = found.again_at = at
    circuits.close_circuit(session, line_of(subscription.id))
    detail: audit.Detail = {"subscription": subscription.id, "notification": number}
    audit.record(session, viewer.username, "subscription.again", detail=detail)
    return found


def count_notifications(session: Session) -> dict[int, dict[NotificationState, int]]:
    """How many calls every subscription has, by state."""
    found: dict[int, dict[NotificationState, int]] = {}
    query = select(Notification.subscription_id, Notification.state, func.count())
    for number, state, count in session.execute(
        query.group_by(Notification.subscription_id, Notification.state)
    ):
        found.setdefault(number, {})[state] = count
    return found


def forget_notifications(session: Session, at: datetime, *, days: int) -> int:
    """Throw away what is older than it has to be kept, some at a time; returns how many went.

    Args:
        session: A writing session.
        at: Now.
        days: How long anything is kept; what arrived `DELIVERED_DAYS` at most.
    """
    old = or_(
        Notification.created_at < at - timedelta(days=days),
        and_(
            Notification.created_at < at - timedelta(days=min(days, DELIVERED_DAYS)),
            Notification.state == NotificationState.DELIVERED,
        ),
    )
    chosen = select(Notification.id).where(old, Notification.state != NotificationState.WAITING)
    numbers = session.scalars(chosen.order_by(Notification.created_at).limit(FORGOTTEN_AT_ONCE)).all()
    session.execute(delete(Notification).where(Notification.id.in_(numbers)))
    return len(numbers)


def withdraw_notifications(session: Session, subscription: Subscription) -> None:
    """What is not sent yet is not sent any more."""
    assert subscription.state is not SubscriptionState.ACTIVE
    session.execute(
        update(Notification)
        .where(*_waiting(subscription.id))
        .values(state=NotificationState.WITHDRAWN)
        .execution_options(synchronize_session=False)
    )


def _waiting(subscription_id: int) -> tuple[Any, ...]:
    return Notification.state == NotificationState.WAITING, Notification.subscription_id == subscription_id
