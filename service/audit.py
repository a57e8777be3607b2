"""AuditEntry: who saw and changed what, append-only, each row sealed by the hash of the one before.

A row names a study by its number, never a patient. The chain shows a changed, inserted or removed row;
the head row (count and last hash) shows rows cut off at the end. Whoever can write the whole database could
forge both, so the head's hash is also logged outside it (`verify_chain` returns it).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, Id, Json, UtcDateTime, now

Detail = Mapping[str, int | str | Sequence[int] | None]
"""Numbers, closed words and ids only: nothing that a patient could be told by."""

FIRST = "0" * 64


class AuditEntry(Base):
    """One thing done by one viewer; the database refuses to change or delete it."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor: Mapped[str] = mapped_column(String(100), index=True)
    action: Mapped[str] = mapped_column(String(60))
    study_id: Mapped[int | None] = mapped_column(Id, index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(Json)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The newest entry's number and hash; its row lock puts writers in a line."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entries: Mapped[int] = mapped_column(Id)
    digest: Mapped[str] = mapped_column(String(64))


@dataclass(frozen=True, slots=True)
class ChainState:
    """What checking the chain found."""

    entries: int
    head: str
    broken_at: int | None
    """The number of the first entry that does not follow from the one before; None when all do."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something done, before it has its place in the chain."""

    actor: str
    action: str
    study_id: int | None
    detail: Detail


# on the tables: every request ends here, and mapped objects would cost it as much again
_HEADS, _ENTRIES = AuditHead.metadata.tables["audit_head"], AuditEntry.metadata.tables["audit_entries"]
_NEWEST = select(_HEADS.c.entries, _HEADS.c.digest).with_for_update()
_INSERT = insert(_ENTRIES)
_ADVANCE = update(_HEADS).values(entries=bindparam("newest"), digest=bindparam("seal"))


def record(
    session: Session, actor: str, action: str, *, study_id: int | None = None, detail: Detail | None = None
) -> None:
    """Append one entry; call it late in a transaction, because others wait until that ends."""
    session.flush()
    append(session.connection(), [Act(actor, action, study_id, detail or {})])


def append(connection: Connection, acts: Sequence[Act]) -> None:
    """Append entries in this order."""
    count, digest = connection.execute(_NEWEST).one()
    at = now()
    rows = []
    for number, act in enumerate(acts, count + 1):
        detail = dict(act.detail)
        previous, digest = digest, _seal(digest, number, at, act.actor, act.action, act.study_id, detail)
        rows.append(
            {
                "id": number,
                "at": at,
                "actor": act.actor,
                "action": act.action,
                "study_id": act.study_id,
                "detail": detail,
                "previous": previous,
                "digest": digest,
            }
        )
    connection.execute(_INSERT, rows)
    connection.execute(_ADVANCE, {"newest": count + len(rows), "seal": digest})


def verify_chain(session: Session) -> ChainState:
    """Check every entry against the one before, and the last against the head."""
    head = session.scalars(select(AuditHead)).one()
    previous, count = FIRST, 0
    query = select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1000)
    with closing(session.scalars(query)) as entries:
        for entry in entries:
            count += 1
            if (entry.id, entry.previous, entry.digest) != (count, previous, _seal_of(entry)):
                return ChainState(entries=head.entries, head=head.digest, broken_at=count)
            previous = entry.digest
    whole = (count, previous) == (head.entries, head.digest)
    return ChainState(entries=head.entries, head=head.digest, broken_at=None if whole else count + 1)


def entries_of(session: Session, study_id: int) -> Sequence[AuditEntry]:
    """Who saw and changed one study, oldest first."""
    return session.scalars(
        select(AuditEntry).where(AuditEntry.study_id == study_id).order_by(AuditEntry.id)
    ).all()


def search(
    session: Session,
    *,
    study_id: int | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Sequence[AuditEntry]:
    """Entries, newest first, narrowed by what is given; `before` is the number of the last one seen."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if study_id is not None:
        query = query.where(AuditEntry.study_id == study_id)
    if actor is not None:
        query = query.where(AuditEntry.actor == actor)
    if since is not None:
        query = query.where(AuditEntry.at >= since)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return session.scalars(query).all()


def _seal_of(entry: AuditEntry) -> str:
    return _seal(entry.previous, entry.id, entry.at, entry.actor, entry.action, entry.study_id, entry.detail)


def _seal(
    previous: str,
    number: int,
    at: datetime,
    actor: str,
    action: str,
    study_id: int | None,
    detail: Mapping[str, Any],
) -> str:
    content = [previous, number, at.isoformat(), actor, action, study_id, detail]
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
