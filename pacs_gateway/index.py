"""The inbox's index: one SQLite file that several processes share, with commits grouped across threads.

The index can be rebuilt from the durable files, so an arrival's commit need not reach the disk by itself
(`synchronous=NORMAL` survives kill -9; after a power cut the files are read again). What cannot be rebuilt,
that the hub has taken a study, is committed with `synchronous=FULL`.
"""

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

SCHEMA = """
CREATE TABLE IF NOT EXISTS associations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL,
    calling_ae TEXT NOT NULL, called_ae TEXT NOT NULL, address TEXT NOT NULL, hcode TEXT,
    opened_at REAL NOT NULL, closed_at REAL, ending TEXT);
CREATE INDEX IF NOT EXISTS associations_open ON associations (owner) WHERE closed_at IS NULL;
CREATE TABLE IF NOT EXISTS studies (
    study_instance_uid TEXT PRIMARY KEY, first_at REAL NOT NULL, last_at REAL NOT NULL,
    instances INTEGER NOT NULL, taken_instances INTEGER NOT NULL DEFAULT 0, taken_digest TEXT, taken_at REAL);
CREATE INDEX IF NOT EXISTS studies_pending ON studies (last_at) WHERE instances <> taken_instances;
CREATE TABLE IF NOT EXISTS instances (
    sha256 TEXT PRIMARY KEY, sop_instance_uid TEXT NOT NULL, study_instance_uid TEXT NOT NULL,
    association_id INTEGER NOT NULL, received_at REAL NOT NULL, size INTEGER NOT NULL,
    conflict INTEGER NOT NULL, discarded INTEGER NOT NULL DEFAULT 0, header TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS instances_sop ON instances (sop_instance_uid);
CREATE INDEX IF NOT EXISTS instances_study ON instances (study_instance_uid);
CREATE TABLE IF NOT EXISTS receipts (
    association_id INTEGER NOT NULL, study_instance_uid TEXT NOT NULL,
    stored INTEGER NOT NULL DEFAULT 0, duplicate INTEGER NOT NULL DEFAULT 0,
    conflict INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (association_id, study_instance_uid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipts_study ON receipts (study_instance_uid);
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY, association_id INTEGER NOT NULL, study_instance_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL, quarantined TEXT,
    refused_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS refusals_association ON refusals (association_id);
CREATE TABLE IF NOT EXISTS commitments (
    id INTEGER PRIMARY KEY, transaction_uid TEXT NOT NULL, calling_ae TEXT NOT NULL, called_ae TEXT NOT NULL,
    address TEXT NOT NULL, hcode TEXT, refs TEXT NOT NULL, asked_at REAL NOT NULL, next_at REAL, told_at REAL,
    expired INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '', committed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, UNIQUE (transaction_uid, calling_ae));
CREATE INDEX IF NOT EXISTS commitments_due ON commitments (next_at) WHERE next_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS commitment_reports (
    number INTEGER PRIMARY KEY AUTOINCREMENT, transaction_uid TEXT NOT NULL, calling_ae TEXT NOT NULL,
    committed TEXT NOT NULL, failed TEXT NOT NULL, reported_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS announcements (
    source TEXT NOT NULL, word TEXT NOT NULL, study_instance_uid TEXT NOT NULL, finished INTEGER NOT NULL,
    instances TEXT, count INTEGER, at REAL NOT NULL,
    PRIMARY KEY (source, word, study_instance_uid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS announcements_study ON announcements (study_instance_uid);
CREATE TABLE IF NOT EXISTS offers (digest TEXT PRIMARY KEY, contexts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps (
    sender TEXT NOT NULL, bucket INTEGER NOT NULL, seen INTEGER NOT NULL,
    PRIMARY KEY (sender, bucket)) WITHOUT ROWID;
"""
ADDED_COLUMNS = (
    ("associations", "certificate", "TEXT NOT NULL DEFAULT ''"),
    ("associations", "detail", "TEXT NOT NULL DEFAULT ''"),
    ("associations", "offer", "TEXT NOT NULL DEFAULT ''"),
)
"""Columns that an index made by an earlier version lacks: table, column, declaration."""
BUSY_SECONDS = 30
CACHE_KB = 512
"""Of pages for each connection: rows are added at the end and read once, the kernel keeps the rest as well.
With SQLite's 2 MB the listener's memory grew by as much over some ten thousand associations."""


class _Pending(Generic[T]):
    """One operation on its way into a commit."""

    def __init__(self, operation: Operation[T]) -> None:
        self.operation = operation
        self.done = False
        self.value: T
        self.error: BaseException | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        self.value = self.operation(connection)

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value


class Index:
    """Writes grouped into commits, reads beside them; safe for threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process_lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._pending: deque[_Pending[object]] = deque()
        fcntl.flock(self._process_lock, fcntl.LOCK_EX)
        try:
            self._writer = self._connect()
            self._writer.executescript(SCHEMA)
            _add_columns(self._writer)
            self._reader = self._connect()
        finally:
            fcntl.flock(self._process_lock, fcntl.LOCK_UN)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        return connection

    def write(self, operation: Operation[T], *, to_disk: bool = False) -> T:
        """Run an operation inside a commit, and return once it is committed.

        Whoever gets the lock commits for everybody waiting: one transaction under load, no hand-over to
        another thread without it. An error fails every operation of the same commit, none is kept.
        """
        pending = _Pending(operation)
        self._pending.append(pending)  # type: ignore[arg-type]
        with self._writing:
            if not pending.done:
                self._commit(to_disk=to_disk)
        return pending.outcome()

    def _commit(self, *, to_disk: bool) -> None:
        batch = [self._pending.popleft() for _ in range(len(self._pending))]
        # flock wakes the next process at once, where SQLite's own busy handler sleeps and looks again
        fcntl.flock(self._process_lock, fcntl.LOCK_EX)
        try:
            self._transact(batch, to_disk)
        except BaseException as error:
            for pending in batch:
                pending.error = error
        finally:
            fcntl.flock(self._process_lock, fcntl.LOCK_UN)
            for pending in batch:
                pending.done = True

    def _transact(self, batch: list[_Pending[object]], to_disk: bool) -> None:
        if to_disk:
            self._writer.execute("PRAGMA synchronous=FULL")
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            for pending in batch:
                pending.run(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        finally:
            if to_disk:
                self._writer.execute("PRAGMA synchronous=NORMAL")

    def read(self, operation: Operation[T]) -> T:
        """Run a reading operation on one snapshot of the index."""
        with self._reading:
            self._reader.execute("BEGIN")
            try:
                return operation(self._reader)
            finally:
                self._reader.execute("COMMIT")

    def close(self) -> None:
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()
            os.close(self._process_lock)


def _add_columns(connection: sqlite3.Connection) -> None:
    for table, column, declaration in ADDED_COLUMNS:
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in known:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {declaration}")
