"""A whole handover sent again: to a receiving hospital that lost what it had, or had it under a wrong HN."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import audit, peers
from service.accounts import Viewer
from service.db import now
from service.deliveries import Delivery, DeliveryState, Purpose
from service.errors import HandoverUnderWay, NotAllowed, NotReady
from service.handovers import TAKEN
from service.referrals import Referral, audit_detail, sides_of


def order_handover(session: Session, referral: Referral, viewer: Viewer) -> None:
    """Have images, result and letter copied and sent once more, under the number as it is now.

    Args:
        session: A writing session.
        referral: Locked by the caller.
        viewer: Of either side.

    Raises:
        HandoverUnderWay: it is being made or sent; the text says to whom.
        NotAllowed: the viewer acts for neither side.
        NotReady: it was not accepted, its receiver told no number yet, or it has no PACS here.
    """
    if not sides_of(referral, viewer):
        raise NotAllowed("only the sender or the receiver of the referral does this")
    if why := missing_for_handover(session, referral):
        raise NotReady(why)
    if where := handover_under_way(session, referral):
        raise HandoverUnderWay(f"images and letter of referral {referral.id} are on their way: {where}")
    referral.packed_hn, referral.packed_object = "", 0
    referral.version += 1
    referral.changed_at = now()
    session.flush()
    detail = audit_detail(referral)
    audit.record(
        session, viewer.username, "referral.handover_again", study_id=referral.study_id, detail=detail
    )


def missing_for_handover(session: Session, referral: Referral) -> str:
    """What a handover lacks, in words; empty where it can be made."""
    if referral.state not in TAKEN:
        return f"referral {referral.id} is {referral.state.value}: images go once it is accepted"
    if not referral.receiver_hn:
        return f"referral {referral.id} has no number of the patient at hospital {referral.to_hcode} yet"
    if not peers.destinations(session, referral.to_hcode):
        return f"hospital {referral.to_hcode} has no PACS to send to"
    return ""


def handover_under_way(session: Session, referral: Referral) -> str:
    """What of a handover is still to come, in words; empty where everything has ended."""
    if referral.packed_hn != referral.receiver_hn:
        return "the copies are being made"
    names = [peer.name for peer in peers.destinations(session, referral.to_hcode)]
    waiting = select(Delivery.peer).where(
        Delivery.study_id == referral.study_id,
        Delivery.peer.in_(names),
        Delivery.purpose.in_((Purpose.STUDY, Purpose.LETTER)),
        Delivery.state == DeliveryState.WAITING,
    )
    return ", ".join(sorted(set(session.scalars(waiting))))
