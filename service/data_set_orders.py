"""DataSetOrder: a data set that somebody asked the hub to freeze, or to write as DICOM, and how far it is."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.db import Base, Id, UtcDateTime, now, words


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
