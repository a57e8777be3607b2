"""Screening: what a person of the ML team settled of a case, with the reason in their words; append-only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.case_states import CaseState
from service.db import Base, Id, UtcDateTime, now, words

LONGEST_NOTE = 2000


class Screening(Base):
    """One decision; the database refuses to change or delete it."""

    __tablename__ = "screenings"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    confirmed: Mapped[dict[str, Any]]
    """`Answer` by `Criterion`: what was settled this time; "unknown" takes an earlier word back."""
    state: Mapped[CaseState] = mapped_column(words(CaseState))
    """What became of the case by it."""
    excluded_by: Mapped[list[Any]]
    note: Mapped[str] = mapped_column(Text)
    screened_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def screenings_of(session: Session, case_id: int) -> Sequence[Screening]:
    """Every decision on a case, the newest first."""
    query = select(Screening).where(Screening.case_id == case_id)
    return session.scalars(query.order_by(Screening.id.desc())).all()
