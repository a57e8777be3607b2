"""Who is at work: every worker slot renews a row, and a slot that stops renewing it is dead.

A row and not a file, because on PostgreSQL the worker that notices may be on another machine.
"""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from service.job_tables import job_workers, now_ms


class SlotTaken(RuntimeError):
    """Another live process already works under this slot name."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker slot as `hub doctor` and `/readyz` show it."""

    slot: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    started_at: datetime
    seconds_silent: float


def take_slot(engine: sa.Engine, slot: str, *, lanes: tuple[str, ...], dead_after: float) -> None:
    """Claim a slot name for this process.

    Raises:
        SlotTaken: a process that still renews its heartbeat holds the name. Two holders would each
            take the other's running jobs for its own unfinished ones and run them twice.
    """
    for state in list_workers(engine):
        if state.slot == slot and state.seconds_silent < dead_after and not _ended_here(state):
            raise SlotTaken(
                f"slot {slot} is held by process {state.pid} on {state.host}, "
                f"heard {state.seconds_silent:.1f} s ago (limit {dead_after:g} s)"
            )
    now = now_ms(engine)
    row = {"host": socket.gethostname(), "pid": os.getpid(), "lanes": " ".join(lanes)}
    with engine.begin() as connection:
        connection.execute(sa.delete(job_workers).where(job_workers.c.slot == slot))
        connection.execute(sa.insert(job_workers).values(slot=slot, started_at=now, beat_at=now, **row))


def beat(engine: sa.Engine, slot: str) -> bool:
    """Say that this slot is alive; False when it is not on the list."""
    with engine.begin() as connection:
        renewed = connection.execute(
            sa.update(job_workers)
            .where(job_workers.c.slot == slot, job_workers.c.pid == os.getpid())
            .values(beat_at=now_ms(engine))
        )
    return renewed.rowcount == 1


def leave_slot(engine: sa.Engine, slot: str) -> None:
    """Take the slot off the list: it has stopped and left nothing unfinished."""
    with engine.begin() as connection:
        connection.execute(
            sa.delete(job_workers).where(job_workers.c.slot == slot, job_workers.c.pid == os.getpid())
        )


def list_workers(engine: sa.Engine) -> list[WorkerState]:
    """All slots, in order of name, with the seconds since each was last heard."""
    silent = (now_ms(engine) - job_workers.c.beat_at).label("silent")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(job_workers, silent).order_by(job_workers.c.slot)).all()
    return [
        WorkerState(
            slot=row.slot,
            host=row.host,
            pid=row.pid,
            lanes=tuple(row.lanes.split()),
            started_at=datetime.fromtimestamp(row.started_at / 1000, UTC),
            seconds_silent=max(0.0, row.silent / 1000),
        )
        for row in rows
    ]


def _ended_here(state: WorkerState) -> bool:
    """Whether the holder was a process of this machine that no longer exists (or was this very one)."""
    if state.host != socket.gethostname():
        return False
    if state.pid == os.getpid():
        return True
    try:
        os.kill(state.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
