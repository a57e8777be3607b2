"""Deliveries as people ask for them: one, a page, all that a destination has not got, and how many."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.accounts import Viewer, visible_to
from service.deliveries import LONGEST_PAGE, Delivery, DeliveryState
from service.errors import NotFound
from service.studies import Study


def find_delivery(session: Session, number: int, viewer: Viewer) -> Delivery:
    """The delivery, if its study is the viewer's to see.

    Raises:
        NotFound: otherwise.
    """
    query = select(Delivery).join(Study, Study.id == Delivery.study_id)
    found = session.scalar(query.where(Delivery.id == number, visible_to(viewer, Study.hcode)))
    if found is None:
        raise NotFound(f"no delivery has the number {number}")
    return found


def list_deliveries(
    session: Session,
    viewer: Viewer,
    *,
    study_id: int | None = None,
    peer: str | None = None,
    state: DeliveryState | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[tuple[Delivery, str]]:
    """Deliveries with the UID of their study, newest first, narrowed by what is given."""
    query = (
        select(Delivery, Study.study_instance_uid)
        .join(Study, Study.id == Delivery.study_id)
        .where(visible_to(viewer, Study.hcode))
        .order_by(Delivery.id.desc())
        .limit(min(limit, LONGEST_PAGE))
    )
    for column, value in ((Delivery.study_id, study_id), (Delivery.peer, peer), (Delivery.state, state)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(Delivery.id < before)
    return [(delivery, uid) for delivery, uid in session.execute(query)]


def undelivered(session: Session, peer: str) -> Sequence[Delivery]:
    """Everything a destination should have and has not got: waiting, refused or expired; oldest first."""
    states = (DeliveryState.WAITING, DeliveryState.REFUSED, DeliveryState.EXPIRED)
    query = select(Delivery).where(Delivery.peer == peer, Delivery.state.in_(states))
    return session.scalars(query.order_by(Delivery.id)).all()


def waiting_by_peer(session: Session) -> dict[str, int]:
    """How many deliveries wait, by destination."""
    query = select(Delivery.peer, func.count()).where(Delivery.state == DeliveryState.WAITING)
    return {peer: number for peer, number in session.execute(query.group_by(Delivery.peer))}


def count_state(session: Session, state: DeliveryState) -> int:
    """How many deliveries are in a state."""
    return session.scalar(select(func.count()).where(Delivery.state == state)) or 0
