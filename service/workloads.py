"""Workload: what a reader has read and has left, how fast they are, and when they last read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Account
from service.assignments import progress
from service.reads import Read
from service.roles import PERMISSIONS, Permission

SITTING = timedelta(minutes=30)
"""A read that took longer was left open: somebody had gone."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One reader."""

    reader: str
    done: int
    total: int
    last: datetime | None
    minutes: float | None
    """Median of a first read, of those made in one sitting."""

    @property
    def left(self) -> int:
        """Reads still to be made."""
        return self.total - self.done


def workloads(session: Session) -> list[Workload]:
    """Every reader who was given cases, by name."""
    spans: dict[str, list[float]] = defaultdict(list)
    last: dict[str, datetime] = {}
    query = select(Read.reader, Read.started_at, Read.at, Read.supersedes).order_by(Read.id)
    for reader, started, at, supersedes in session.execute(query):
        last[reader] = at
        if supersedes is None and at - started <= SITTING:
            spans[reader].append((at - started).total_seconds() / 60)
    return [
        Workload(
            each.reader,
            each.done,
            each.total,
            last.get(each.reader),
            median(spans[each.reader]) if spans[each.reader] else None,
        )
        for each in progress(session)
    ]


def who_may_label(session: Session) -> Sequence[str]:
    """Open accounts that may be given cases, by name."""
    roles = [role for role, allowed in PERMISSIONS.items() if Permission.LABEL in allowed]
    query = select(Account.username).where(Account.role.in_(roles), Account.active.is_(True))
    return session.scalars(query.order_by(Account.username)).all()
