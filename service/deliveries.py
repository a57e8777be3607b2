"""Delivery: instances on their way to one destination, until they are there, refused, or 72 hours are over.

The rows are the truth and survive everything; jobs only say when to look at them. `couriers` sends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Select, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit, circuits, metrics
from service.arrivals import clean
from service.db import Base, Id, Json, UtcDateTime, now, words
from service.studies import HUB, Study

GIVE_UP_AFTER = timedelta(hours=72)
LONGEST_PAGE = 200
STORED = "stored"
"""The outcome of an instance that the destination took; every other says why it did not."""


class Purpose(StrEnum):
    """Why something is sent."""

    RESULT = "result"
    STUDY = "study"
    """Images for a hospital that a patient was referred to."""
    LETTER = "letter"
    REPLY = "reply"
    """The reply letter, for the hospital that referred the patient."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENT = "sent"
    """Stored by the destination; where it commits, its word is still out."""
    COMMITTED = "committed"
    """The destination has said that it keeps everything for good."""
    REFUSED = "refused"
    """It answered, and takes none of it."""
    EXPIRED = "expired"
    """72 hours without success."""
    WITHDRAWN = "withdrawn"
    """A newer result took its place before it was sent."""


class Delivery(Base):
    """Instances for one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_state_peer_next_at", "state", "peer", "next_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    revision: Mapped[int]
    peer: Mapped[str] = mapped_column(String(60))
    """Name of the peer."""
    purpose: Mapped[Purpose] = mapped_column(words(Purpose))
    urgent: Mapped[bool] = mapped_column(default=False)
    state: Mapped[DeliveryState] = mapped_column(words(DeliveryState), default=DeliveryState.WAITING)
    items: Mapped[list[Any]] = mapped_column(Json)
    """Each {sop_class_uid, sop_instance_uid, storage_key, kind, outcome}; no outcome until it is known."""
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it is in this state, in words."""
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    """When it is sent (again), or once sent, when the destination is asked to commit (again)."""
    give_up_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the destination was last asked to commit."""
    committed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    transaction_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    """Of that request; empty until it is asked, None where the destination does not commit."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One instance to be delivered."""

    sop_class_uid: str
    sop_instance_uid: str
    storage_key: str
    kind: str = ""


def queue_delivery(
    session: Session,
    study: Study,
    peer: str,
    parcels: Iterable[Parcel],
    *,
    purpose: Purpose,
    revision: int,
    urgent: bool = False,
    at: datetime | None = None,
) -> Delivery:
    """Put instances in line for a destination; the same instances again are the same delivery.

    A result that waits for the same destination and study is withdrawn when a newer one comes.
    """
    moment = at or now()
    items = [_item(parcel) for parcel in parcels]
    earlier = session.scalars(
        select(Delivery).where(
            Delivery.study_id == study.id, Delivery.peer == peer, Delivery.purpose == purpose
        )
    ).all()
    uids = {item["sop_instance_uid"] for item in items}
    for each in earlier:
        if each.revision == revision and {item["sop_instance_uid"] for item in each.items} == uids:
            return each
        if purpose is Purpose.RESULT and each.state is DeliveryState.WAITING and each.revision < revision:
            _end(session, each, DeliveryState.WITHDRAWN, f"revision {revision} took its place")
    delivery = Delivery(
        study_id=study.id,
        revision=revision,
        peer=peer,
        purpose=purpose,
        urgent=urgent,
        state=DeliveryState.WAITING,
        items=items,
        reason="",
        attempts=0,
        created_at=moment,
        next_at=moment,
        give_up_at=moment + GIVE_UP_AFTER,
    )
    session.add(delivery)
    session.flush()
    return delivery


def next_due(session: Session, peer: str, at: datetime) -> Delivery | None:
    """The delivery to send next: urgent ones first, then the oldest. None while the destination is spared."""
    circuit = circuits.circuit_of(session, peer)
    if circuit.open_until is not None and circuit.open_until > at:
        return None
    return session.scalar(
        _due(at).where(Delivery.peer == peer).order_by(Delivery.urgent.desc(), Delivery.id).limit(1)
    )


def next_moment(session: Session, peer: str) -> datetime | None:
    """When something for this destination is to be looked at again; None when nothing waits."""
    earliest = session.scalar(
        select(func.min(Delivery.next_at)).where(
            Delivery.state == DeliveryState.WAITING, Delivery.peer == peer
        )
    )
    if earliest is None:
        return None
    open_until = circuits.circuit_of(session, peer).open_until
    return earliest if open_until is None else max(earliest, open_until)


def peers_due(session: Session, at: datetime) -> list[str]:
    """Destinations for which something is due and which are not being spared."""
    spared = {each.peer for each in circuits.open_circuits(session, at)}
    due = session.scalars(_due(at).with_only_columns(Delivery.peer).distinct())
    return sorted(peer for peer in due if peer not in spared)


def any_late(session: Session, at: datetime) -> bool:
    """Whether anything has waited for 72 hours."""
    query = select(Delivery.id).where(Delivery.state == DeliveryState.WAITING, Delivery.give_up_at <= at)
    return session.scalar(query.limit(1)) is not None


def expire_old(session: Session, at: datetime) -> list[int]:
    """End what has waited for 72 hours; returns the numbers."""
    query = select(Delivery).where(Delivery.state == DeliveryState.WAITING, Delivery.give_up_at <= at)
    late = session.scalars(query.limit(LONGEST_PAGE)).all()
    for each in late:
        _end(
            session,
            each,
            DeliveryState.EXPIRED,
            f"not delivered in 72 h; last: {each.reason or 'never tried'}",
        )
    return [each.id for each in late]


def note_outcomes(delivery: Delivery, outcomes: Mapping[str, str]) -> None:
    """Write down what became of single instances; outcomes by SOP Instance UID: `stored`, or why not."""
    delivery.items = [
        item | {"outcome": outcomes.get(item["sop_instance_uid"], item["outcome"])} for item in delivery.items
    ]


def remaining(delivery: Delivery) -> list[Parcel]:
    """What the destination has not answered for yet."""
    return [
        Parcel(item["sop_class_uid"], item["sop_instance_uid"], item["storage_key"], item["kind"])
        for item in delivery.items
        if not item["outcome"]
    ]


def settle(session: Session, delivery: Delivery, at: datetime, *, commits: bool = False) -> None:
    """Everything has been answered: the delivery is sent, or refused where nothing was taken.

    Args:
        session: A writing session.
        delivery: The delivery, waiting.
        at: Now.
        commits: Whether the destination is to be asked for its commitment.
    """
    refused = [
        f"{item['kind'] or 'image'}: {item['outcome']}"
        for item in delivery.items
        if item["outcome"] != STORED
    ]
    reason = "; ".join(dict.fromkeys(refused))
    if len(refused) == len(delivery.items):
        _end(session, delivery, DeliveryState.REFUSED, reason or "nothing to send")
        return
    delivery.sent_at = at
    if commits:
        delivery.transaction_uid, delivery.next_at = "", at
    _end(session, delivery, DeliveryState.SENT, f"not taken: {reason}" if reason else "")


def postpone(delivery: Delivery, until: datetime, reason: str) -> None:
    """Keep it waiting until then, because."""
    delivery.next_at, delivery.reason = until, clean(reason)[:500]


def send_again(session: Session, delivery: Delivery, actor: str, at: datetime | None = None) -> None:
    """Put a delivery in line anew from its beginning, whatever became of it, and knock at once."""
    moment = at or now()
    delivery.items = [item | {"outcome": ""} for item in delivery.items]
    delivery.state, delivery.reason, delivery.attempts = DeliveryState.WAITING, "", 0
    delivery.next_at, delivery.give_up_at = moment, moment + GIVE_UP_AFTER
    delivery.sent_at = delivery.asked_at = delivery.committed_at = delivery.transaction_uid = None
    circuits.close_circuit(session, delivery.peer)
    detail: audit.Detail = {"delivery": delivery.id, "peer": delivery.peer}
    audit.record(session, actor, "delivery.again", study_id=delivery.study_id, detail=detail)


def _due(at: datetime) -> Select[Delivery]:
    return select(Delivery).where(Delivery.state == DeliveryState.WAITING, Delivery.next_at <= at)


def _item(parcel: Parcel) -> dict[str, str]:
    return {
        "sop_class_uid": parcel.sop_class_uid,
        "sop_instance_uid": parcel.sop_instance_uid,
        "storage_key": parcel.storage_key,
        "kind": parcel.kind,
        "outcome": "",
    }


def _end(session: Session, delivery: Delivery, state: DeliveryState, reason: str) -> None:
    delivery.state, delivery.reason = state, clean(reason)[:1000]
    metrics.count(session, metrics.DELIVERIES, label=state.value)
    detail: audit.Detail = {"delivery": delivery.id, "peer": delivery.peer, "revision": delivery.revision}
    audit.record(session, HUB, f"delivery.{state.value}", study_id=delivery.study_id, detail=detail)
