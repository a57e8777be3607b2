"""Storage commitment of what was sent: asked of the destination, and its word taken. PS3.4 annex J."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service import audit, metrics
from service.circuits import wait_after
from service.deliveries import STORED, Delivery, DeliveryState
from service.studies import HUB

ASK_AGAIN = timedelta(minutes=30)
"""A destination that has not reported by then is asked again under a new transaction, ever less often."""
ASKED_AT_ONCE = 50


def to_be_asked(session: Session, peer: str, at: datetime) -> Sequence[Delivery]:
    """What a destination has stored and is now to be asked to commit to, oldest first."""
    return session.scalars(
        _unasked(at).where(Delivery.peer == peer).order_by(Delivery.id).limit(ASKED_AT_ONCE)
    ).all()


def peers_to_ask(session: Session, at: datetime) -> list[str]:
    """Destinations of which a commitment is due."""
    return sorted(session.scalars(_unasked(at).with_only_columns(Delivery.peer).distinct()))


def note_asked(delivery: Delivery, transaction_uid: str, at: datetime) -> None:
    """The destination is being asked; where it keeps silent it is asked again later, within the 72 hours."""
    delivery.transaction_uid, delivery.asked_at = transaction_uid, at
    since = at - (delivery.sent_at or at)
    delivery.next_at = at + max(ASK_AGAIN, since / 2)
    if at >= delivery.give_up_at:
        delivery.reason = "stored, but not committed to in 72 h"
        delivery.transaction_uid = None


def take_report(
    session: Session, transaction_uid: str, failed: Collection[str], at: datetime
) -> Delivery | None:
    """The destination's word on what it was asked: it keeps it all, or what it has lost is sent again.

    Args:
        session: A writing session.
        transaction_uid: Of the request.
        failed: SOP Instance UIDs that it does not keep.
        at: Now.

    Returns:
        The delivery; None where no delivery was asked about under this transaction, or not last.
    """
    query = select(Delivery).where(
        Delivery.transaction_uid == transaction_uid, Delivery.state == DeliveryState.SENT
    )
    delivery = session.scalar(query.with_for_update())
    if delivery is None:
        return None
    lost = [item for item in delivery.items if item["sop_instance_uid"] in failed]
    if lost:
        delivery.items = [
            item | {"outcome": "" if item in lost else item["outcome"]} for item in delivery.items
        ]
        delivery.state, delivery.sent_at, delivery.transaction_uid = DeliveryState.WAITING, None, None
        delivery.next_at = at + wait_after(delivery.attempts)
        delivery.reason = f"{len(lost)} of {len(delivery.items)} instances were not committed to"
        return delivery
    delivery.state, delivery.committed_at = DeliveryState.COMMITTED, at
    metrics.count(session, metrics.DELIVERIES, label=delivery.state.value)
    detail: audit.Detail = {"delivery": delivery.id, "peer": delivery.peer, "revision": delivery.revision}
    audit.record(session, HUB, "delivery.committed", study_id=delivery.study_id, detail=detail)
    return delivery


def stored_references(delivery: Delivery) -> list[tuple[str, str]]:
    """SOP class and instance UID of what the destination stored."""
    stored = (item for item in delivery.items if item["outcome"] == STORED)
    return [(item["sop_class_uid"], item["sop_instance_uid"]) for item in stored]


def _unasked(at: datetime) -> Select[Delivery]:
    return select(Delivery).where(
        Delivery.state == DeliveryState.SENT, Delivery.transaction_uid.is_not(None), Delivery.next_at <= at
    )
