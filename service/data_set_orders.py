"""DataSetOrder: a data set that somebody asked the hub to freeze, or to write as DICOM, and how far it is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text, false, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.splits import Shares
from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.data_sets import DataSet, check_name, find_data_set
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import AlreadyExists, BadRequest, NotFound

LONGEST_LICENCE = 500
SHOWN = 20


class OrderKind(StrEnum):
    """What is to be made."""

    FREEZE = "freeze"
    OBJECTS = "objects"
    """Labels of a frozen data set as DICOM SR and SEG."""


class OrderState(StrEnum):
    """Where an order stands."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class DataSetOrder(Base):
    """One order."""

    __tablename__ = "data_set_orders"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[OrderKind] = mapped_column(words(OrderKind))
    name: Mapped[str] = mapped_column(String(60))
    licence: Mapped[str] = mapped_column(Text)
    shares: Mapped[dict[str, Any]]
    simulated: Mapped[bool] = mapped_column(default=False, server_default=false())
    """What is frozen says of itself that it is."""
    data_set_id: Mapped[int | None] = mapped_column(ForeignKey("data_sets.id"))
    """What came of it, or what it is about."""
    state: Mapped[OrderState] = mapped_column(words(OrderState), default=OrderState.WAITING)
    done: Mapped[int] = mapped_column(default=0)
    """Studies, of `total`."""
    total: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    ordered_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


OPEN = (OrderState.WAITING, OrderState.WORKING)


def order_freeze(
    session: Session,
    viewer: Viewer,
    name: str,
    shares: Shares,
    *,
    licence: str,
    simulated: bool = False,
) -> DataSetOrder:
    """Have every settled case frozen as the next version of a data set; a worker does it.

    Args:
        session: Of the caller.
        viewer: Who orders.
        name: Of the data set.
        shares: How it is parted.
        licence: Under which it may be used.
        simulated: Studies or readers are made up; the set, its sheet and every row of it say so for good.

    Raises:
        BadRequest: a name that is none, or no licence. AlreadyExists: one of this name is on its way.
    """
    check_name(name)
    licence = clean(licence).strip()
    if not 1 <= len(licence) <= LONGEST_LICENCE:
        raise BadRequest(
            f"a licence of {len(licence)} characters; say in 1 to {LONGEST_LICENCE} how it may be used"
        )
    waiting = select(DataSetOrder.id).where(
        DataSetOrder.kind == OrderKind.FREEZE, DataSetOrder.name == name, DataSetOrder.state.in_(OPEN)
    )
    if session.scalar(waiting.limit(1)) is not None:
        raise AlreadyExists(f"{name!r} is being frozen already")
    plain = {**asdict(shares), "hospitals": list(shares.hospitals)}
    made = DataSetOrder(
        kind=OrderKind.FREEZE, name=name, licence=licence, shares=plain, data_set_id=None,
        ordered_by=viewer.username, simulated=simulated,
    )  # fmt: skip
    return _add(session, viewer, made)


def order_objects(session: Session, viewer: Viewer, number: int) -> DataSetOrder:
    """Have the labels of a frozen data set written as DICOM SR and SEG; ordered twice it is one order.

    Raises:
        NotFound: no such data set.
    """
    found = find_data_set(session, number)
    query = select(DataSetOrder).where(
        DataSetOrder.kind == OrderKind.OBJECTS,
        DataSetOrder.data_set_id == number,
        DataSetOrder.state != OrderState.FAILED,
    )
    if known := session.scalar(query.limit(1)):
        return known
    made = DataSetOrder(
        kind=OrderKind.OBJECTS, name=found.name, licence="", shares={}, data_set_id=number,
        ordered_by=viewer.username,
    )  # fmt: skip
    return _add(session, viewer, made)


def find_order(session: Session, number: int) -> DataSetOrder:
    """The order of this number.

    Raises:
        NotFound: there is none.
    """
    if found := session.get(DataSetOrder, number):
        return found
    raise NotFound(f"no order has the number {number}")


def list_orders(session: Session, *, limit: int = SHOWN) -> Sequence[DataSetOrder]:
    """The newest orders."""
    return session.scalars(select(DataSetOrder).order_by(DataSetOrder.id.desc()).limit(limit)).all()


def waiting_orders(session: Session) -> Sequence[int]:
    """Orders that nobody works on yet."""
    query = select(DataSetOrder.id).where(DataSetOrder.state == OrderState.WAITING)
    return session.scalars(query.order_by(DataSetOrder.id)).all()


@dataclass(frozen=True, slots=True)
class Begun:
    """What is to be made."""

    kind: OrderKind
    name: str
    licence: str
    shares: Shares
    simulated: bool
    ordered_by: str
    data_set: int | None


def begin_order(session: Session, number: int) -> Begun | None:
    """What is to be made; None where it is done.

    An order that was begun before names the data set that the last try froze, if it came so far.
    """
    order = session.scalars(locked(select(DataSetOrder).where(DataSetOrder.id == number))).one_or_none()
    if order is None or order.state is OrderState.DONE:
        return None
    if order.kind is OrderKind.FREEZE and order.state is OrderState.WORKING:
        query = select(DataSet.id).where(DataSet.name == order.name, DataSet.at >= order.at)
        order.data_set_id = session.scalar(query.order_by(DataSet.id.desc()).limit(1))
    order.state, order.error, order.changed_at = OrderState.WORKING, "", now()
    shares = Shares(**{**order.shares, "hospitals": tuple(order.shares.get("hospitals", ()))})
    return Begun(
        order.kind, order.name, order.licence, shares, order.simulated, order.ordered_by, order.data_set_id
    )


def note_progress(session: Session, number: int, done: int, total: int) -> None:
    """How many studies are made, of how many."""
    order = find_order(session, number)
    order.done, order.total, order.changed_at = done, total, now()


def end_order(session: Session, number: int, *, data_set: int | None = None, error: str = "") -> None:
    """Say that it is done, or why it could not be."""
    order = find_order(session, number)
    order.state = OrderState.FAILED if error else OrderState.DONE
    order.error, order.changed_at = error[:500], now()
    order.data_set_id = data_set if data_set is not None else order.data_set_id


def _add(session: Session, viewer: Viewer, order: DataSetOrder) -> DataSetOrder:
    session.add(order)
    session.flush()
    audit.record(session, viewer.username, f"data_set.order_{order.kind.value}", detail={"order": order.id})
    return order
