"""What the relay has sent and what the hub has committed to, by instance; one SQLite file."""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = """
CREATE TABLE IF NOT EXISTS parcels (
    sha256 TEXT PRIMARY KEY, study TEXT NOT NULL, sop_class TEXT NOT NULL, sop_instance TEXT NOT NULL,
    rank INTEGER NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, state TEXT NOT NULL,
    sent_size INTEGER NOT NULL DEFAULT 0, transaction_uid TEXT NOT NULL DEFAULT '',
    asked_at REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '')
"""
INDEXES = (
    "CREATE INDEX IF NOT EXISTS parcels_next ON parcels (state, rank, number)",
    "CREATE INDEX IF NOT EXISTS parcels_study ON parcels (study, state)",
    "CREATE INDEX IF NOT EXISTS parcels_asked ON parcels (transaction_uid)",
)
WAITING, SENT, COMMITTED, REFUSED = "waiting", "sent", "committed", "refused"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One instance on its way."""

    sha256: str
    study: str
    sop_class: str
    sop_instance: str
    size: int


class Ledger:
    """The relay's book; every method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", TABLE, *INDEXES):
            self._db.execute(statement)

    def known(self) -> set[str]:
        """The instances in the book."""
        return {row[0] for row in self._read("SELECT sha256 FROM parcels")}

    def add(self, parcels: Iterable[tuple[Parcel, int]]) -> None:
        """Enter instances with their rank; those already there stay as they are."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            (last,) = self._db.execute("SELECT coalesce(max(number), 0) FROM parcels").fetchone()
            for number, (each, rank) in enumerate(parcels, start=last + 1):
                self._db.execute(
                    "INSERT OR IGNORE INTO parcels (sha256, study, sop_class, sop_instance, rank, number, "
                    "size, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        each.sha256,
                        each.study,
                        each.sop_class,
                        each.sop_instance,
                        rank,
                        number,
                        each.size,
                        WAITING,
                    ),
                )

    def next(self, count: int) -> list[Parcel]:
        """What to send next: by rank, then in the order received."""
        query = f"{_COLUMNS} WHERE state = ? ORDER BY rank, number LIMIT ?"
        return [Parcel(*row) for row in self._read(query, WAITING, count)]

    def note_sent(self, sha256: str, sent_size: int, *, committed: bool = False) -> None:
        """The hub stored it; unless that is its commitment, it has not committed yet."""
        state = COMMITTED if committed else SENT
        self._write("UPDATE parcels SET state = ?, sent_size = ? WHERE sha256 = ?", state, sent_size, sha256)

    def note_refused(self, sha256: str, reason: str) -> None:
        """The hub does not take it; it is kept here for somebody to look at."""
        self._write("UPDATE parcels SET state = ?, reason = ? WHERE sha256 = ?", REFUSED, reason, sha256)

    def unasked(self, before: float, count: int) -> list[Parcel]:
        """What was sent and not asked about since `before`."""
        query = f"{_COLUMNS} WHERE state = ? AND asked_at < ? ORDER BY number LIMIT ?"
        return [Parcel(*row) for row in self._read(query, SENT, before, count)]

    def note_asked(self, parcels: Sequence[Parcel], transaction_uid: str, at: float) -> None:
        """The hub was asked to commit to these."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "UPDATE parcels SET transaction_uid = ?, asked_at = ? WHERE sha256 = ?",
                [(transaction_uid, at, each.sha256) for each in parcels],
            )

    def note_report(self, transaction_uid: str, committed: Iterable[str], failed: Iterable[str]) -> None:
        """The hub's word on what it was asked: what it does not have is sent again."""
        change = "UPDATE parcels SET state = ? WHERE sop_instance = ? AND state = ? AND transaction_uid = ?"
        again = "UPDATE parcels SET state = ?, asked_at = 0 WHERE sop_instance = ? AND transaction_uid = ?"
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(change, [(COMMITTED, uid, SENT, transaction_uid) for uid in committed])
            self._db.executemany(again, [(WAITING, uid, transaction_uid) for uid in failed])

    def open_of(self, study: str) -> int:
        """How many instances of a study the hub has not committed to."""
        query = "SELECT count(*) FROM parcels WHERE study = ? AND state <> ?"
        return int(self._read(query, study, COMMITTED)[0][0])

    def states(self) -> dict[str, tuple[int, int, int]]:
        """By state: instances, their bytes, the bytes they were sent in."""
        query = "SELECT state, count(*), sum(size), sum(sent_size) FROM parcels GROUP BY state"
        return {row[0]: (row[1], row[2], row[3]) for row in self._read(query)}

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._lock, closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _write(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._db.execute(statement, values)


_COLUMNS = "SELECT sha256, study, sop_class, sop_instance, size FROM parcels"
