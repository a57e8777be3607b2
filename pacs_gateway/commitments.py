"""The rows of storage commitment in the inbox's index: asked of us until told, and told to us until taken."""

import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from pacs_gateway.callers import Sender
from pacs_gateway.handover import PathOf, moment
from pacs_gateway.index import Index

# Failure reasons - PS3.3 C.14
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119

Reference = tuple[str, str]
"""SOP class and SOP Instance UID."""

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 900.0
GIVE_UP_SECONDS = 72 * 3600.0
KEEP_SECONDS = 30 * 86400.0
"""Rows that are done with are deleted after a month."""

_COLUMNS = (
    "id, transaction_uid, calling_ae, called_ae, address, hcode, refs, asked_at, told_at, expired, attempts,"
    " last_error, committed, failed"
)


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """Somebody asked us to commit, and how far we are with telling them."""

    number: int
    transaction_uid: str
    calling_ae: str
    called_ae: str
    address: str
    hcode: str | None
    references: tuple[Reference, ...]
    asked_at: datetime
    told_at: datetime | None
    """When our report was answered with success."""
    expired: bool
    """Nobody could be told in time."""
    attempts: int
    last_error: str
    committed: int
    failed: int


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """A peer reported on a request of ours."""

    number: int
    transaction_uid: str
    calling_ae: str
    committed: tuple[str, ...]
    """SOP Instance UIDs."""
    failed: tuple[tuple[str, int], ...]
    """SOP Instance UID and failure reason."""
    reported_at: datetime


class DuplicateTransaction(ValueError):
    """The transaction UID is in use for other instances."""


class Commitments:
    """Requests and reports, written durably before they are answered."""

    def __init__(self, index: Index, path_of: PathOf, clock: Callable[[], float]) -> None:
        self._index = index
        self._path_of = path_of
        self._clock = clock
        self.asked = threading.Event()
        """Set when somebody asked in this process."""

    def ask(self, sender: Sender, transaction_uid: str, references: Sequence[Reference]) -> None:
        """Note a request; the same once more is reported once more.

        Raises:
            DuplicateTransaction: the UID stands for other instances.
        """
        now, packed = self._clock(), json.dumps([list(each) for each in references])

        def note(db: Connection) -> bool:
            known = db.execute(
                "SELECT refs FROM commitments WHERE transaction_uid = ? AND calling_ae = ?",
                (transaction_uid, sender.calling_ae),
            ).fetchone()
            if known is not None and known[0] != packed:
                return False
            db.execute(
                "INSERT INTO commitments (transaction_uid, calling_ae, called_ae, address, hcode, refs,"
                " asked_at, next_at) VALUES (?1,?2,?3,?4,?5,?6,?7,?7) ON CONFLICT DO UPDATE"
                " SET asked_at = ?7, next_at = ?7, told_at = NULL, expired = 0, attempts = 0",
                (transaction_uid, *_who(sender), packed, now),
            )
            old = (now - KEEP_SECONDS,)
            db.execute("DELETE FROM commitments WHERE next_at IS NULL AND asked_at < ?", old)
            return True

        # raised out here: inside, it would fail the images of the same commit
        if not self._index.write(note, to_disk=True):
            raise DuplicateTransaction("transaction UID is in use for other instances")
        self.asked.set()

    def due(self) -> list[CommitmentRequest]:
        """Requests to report now, oldest first."""
        return self._requests("next_at <= ?", (self._clock(),), "asked_at")

    def hurry(self) -> None:
        """Report everything open now: the list of partners has changed."""
        now = self._clock()
        self._index.write(
            lambda db: db.execute("UPDATE commitments SET next_at = ? WHERE next_at > ?", (now, now))
        )

    def judge(self, references: Sequence[Reference]) -> tuple[list[Reference], list[tuple[Reference, int]]]:
        """What is durable here, and what is not and why."""
        found = self._index.read(lambda db: [_instances(db, instance) for _, instance in references])
        committed, failed = [], []
        for reference, rows in zip(references, found, strict=True):
            reason = self._reason(reference, rows)
            if reason is None:
                committed.append(reference)
            else:
                failed.append((reference, reason))
        return committed, failed

    def _reason(self, reference: Reference, rows: Sequence[tuple[str, str, bool]]) -> int | None:
        if not rows:
            return NO_SUCH_INSTANCE
        same = [(sha256, taken) for sha256, sop_class, taken in rows if sop_class == reference[0]]
        if not same:
            return CLASS_CONFLICT
        # what the hub has taken is durable in its storage; the rest must lie here
        kept = any(taken or self._path_of(sha256).exists() for sha256, taken in same)
        return None if kept else PROCESSING_FAILURE

    def told(self, number: int, *, committed: int, failed: int) -> None:
        """The report was taken."""
        now = self._clock()
        self._index.write(
            lambda db: db.execute(
                "UPDATE commitments SET told_at = ?, next_at = NULL, committed = ?, failed = ?,"
                " last_error = '', attempts = attempts + 1 WHERE id = ?",
                (now, committed, failed, number),
            ),
            to_disk=True,
        )

    def not_told(self, request: CommitmentRequest, error: str) -> None:
        """The report was not taken: try again later, and longer later each time, for three days."""
        now = self._clock()
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(request.attempts, 20), LONGEST_PAUSE_SECONDS)
        next_at: float | None = now + pause * random.uniform(0.75, 1.25)
        expired = now - request.asked_at.timestamp() > GIVE_UP_SECONDS
        self._index.write(
            lambda db: db.execute(
                "UPDATE commitments SET next_at = ?, expired = ?, last_error = ?, attempts = attempts + 1"
                " WHERE id = ?",
                (None if expired else next_at, expired, error, request.number),
            )
        )

    def requests(self, *, calling_ae: str | None = None, limit: int = 100) -> list[CommitmentRequest]:
        """What was asked of us, newest first."""
        where = "1" if calling_ae is None else "calling_ae = ?"
        return self._requests(where, () if calling_ae is None else (calling_ae,), "asked_at DESC", limit)

    def _requests(
        self, where: str, values: tuple[object, ...], order: str, limit: int = 1000
    ) -> list[CommitmentRequest]:
        query = f"SELECT {_COLUMNS} FROM commitments WHERE {where} ORDER BY {order}, id LIMIT ?"
        return [
            _request(row)
            for row in self._index.read(lambda db: db.execute(query, (*values, limit)).fetchall())
        ]

    # Reports on what we asked of others

    def note_report(
        self,
        sender: Sender,
        transaction_uid: str,
        committed: Sequence[str],
        failed: Sequence[tuple[str, int]],
    ) -> None:
        """Keep a peer's report until somebody takes it."""
        values = (transaction_uid, sender.calling_ae, json.dumps(list(committed)), json.dumps(list(failed)))
        now = self._clock()
        self._index.write(
            lambda db: db.execute(
                "INSERT INTO commitment_reports (transaction_uid, calling_ae, committed, failed, reported_at)"
                " VALUES (?,?,?,?,?)",
                (*values, now),
            ),
            to_disk=True,
        )

    def reports(self, limit: int = 100) -> list[CommitmentReport]:
        """Reports that nobody has taken, oldest first."""
        rows = self._index.read(
            lambda db: db.execute(
                "SELECT number, transaction_uid, calling_ae, committed, failed, reported_at"
                " FROM commitment_reports ORDER BY number LIMIT ?",
                (limit,),
            ).fetchall()
        )
        return [_report(row) for row in rows]

    def take_report(self, number: int) -> None:
        """A report has been acted upon, durably; taking it again changes nothing."""
        self._index.write(
            lambda db: db.execute("DELETE FROM commitment_reports WHERE number = ?", (number,)), to_disk=True
        )


def _who(sender: Sender) -> tuple[str, str, str, str | None]:
    return sender.calling_ae, sender.called_ae, sender.address, sender.hcode


def _instances(db: Connection, sop_instance_uid: str) -> list[tuple[str, str, bool]]:
    """sha256, SOP class and whether the hub has taken it, of all that came under this UID."""
    rows = db.execute(
        "SELECT sha256, json_extract(header, '$.sop_class_uid'), discarded FROM instances"
        " WHERE sop_instance_uid = ?",
        (sop_instance_uid,),
    )
    return [(sha256, sop_class, bool(taken)) for sha256, sop_class, taken in rows]


def _request(row: Any) -> CommitmentRequest:
    number, transaction, calling_ae, called_ae, address, hcode, refs, asked_at, *rest = row
    told_at, expired, attempts, error, committed, failed = rest
    return CommitmentRequest(
        number=number,
        transaction_uid=transaction,
        calling_ae=calling_ae,
        called_ae=called_ae,
        address=address,
        hcode=hcode,
        references=tuple((sop_class, instance) for sop_class, instance in json.loads(refs)),
        asked_at=moment(asked_at),
        told_at=_optional(told_at),
        expired=bool(expired),
        attempts=attempts,
        last_error=error,
        committed=committed,
        failed=failed,
    )


def _report(row: Any) -> CommitmentReport:
    number, transaction, calling_ae, committed, failed, reported_at = row
    reasons = tuple((instance, reason) for instance, reason in json.loads(failed))
    return CommitmentReport(
        number, transaction, calling_ae, tuple(json.loads(committed)), reasons, moment(reported_at)
    )


def _optional(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)
