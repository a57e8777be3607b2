"""Jobs that ended in failure, each kept at the door until its owner has been told."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.job_tables import job_deaths, job_failures, now_ms

# A teller that dies while telling holds its claim this long; also the pause between two tries.
CLAIM_MS = 30_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that will not be tried again by itself, and why."""

    key: str
    job: str
    argument: Any
    step: str
    error: str
    failed_at: datetime
    told: bool


def record_failure(engine: sa.Engine, *, job: str, step: str, error: str, ticket: dict[str, Any]) -> None:
    """Write down that the job failed; the first failure of a key stands until `forget_failure`."""
    row = {"key": ticket["key"], "job": job, "step": step, "error": error, "ticket": ticket}
    with contextlib.suppress(sa.exc.IntegrityError), engine.begin() as connection:
        if connection.execute(_of_key(ticket["key"])).first() is None:
            connection.execute(sa.insert(job_failures).values(failed_at=now_ms(engine), **row))


def forget_failure(engine: sa.Engine, key: str) -> None:
    """The job is being tried again by hand."""
    with engine.begin() as connection:
        connection.execute(sa.delete(job_failures).where(job_failures.c.key == key))


def list_failures(engine: sa.Engine, *, limit: int = 1000) -> list[Failure]:
    """The newest failures first."""
    query = sa.select(job_failures).order_by(job_failures.c.failed_at.desc()).limit(limit)
    with engine.connect() as connection:
        return [_failure(row) for row in connection.execute(query)]


def find_failure(engine: sa.Engine, key: str) -> Failure | None:
    """The failure of one key, if it failed."""
    with engine.connect() as connection:
        row = connection.execute(_of_key(key)).first()
    return _failure(row) if row is not None else None


def failed_ticket(engine: sa.Engine, key: str) -> tuple[str, dict[str, Any]] | None:
    """The job name and the ticket it failed with."""
    with engine.connect() as connection:
        row = connection.execute(_of_key(key)).first()
    return (row.job, row.ticket) if row is not None else None


def untold_failures(engine: sa.Engine) -> list[Failure]:
    """Failures whose owner has not been told, and whom nobody is telling just now."""
    query = sa.select(job_failures).where(
        job_failures.c.told_at.is_(None), job_failures.c.claimed_at < now_ms(engine) - CLAIM_MS
    )
    with engine.connect() as connection:
        return [_failure(row) for row in connection.execute(query)]


def claim_telling(engine: sa.Engine, key: str) -> bool:
    """Whether this process may tell the owner now: of several that try, one may."""
    now = now_ms(engine)
    with engine.begin() as connection:
        claimed = connection.execute(
            sa.update(job_failures)
            .where(
                job_failures.c.key == key,
                job_failures.c.told_at.is_(None),
                job_failures.c.claimed_at < now - CLAIM_MS,
            )
            .values(claimed_at=now)
        )
    return claimed.rowcount == 1


def mark_told(engine: sa.Engine, key: str) -> None:
    """The failure handler returned: the owner knows."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(job_failures).where(job_failures.c.key == key).values(told_at=now_ms(engine))
        )


def count_deaths(engine: sa.Engine, workflow_id: str, dispatches: int, *, pause: float) -> int | None:
    """Add the deaths of a vanished worker to its job's count.

    The job engine starts counting anew when a job is taken over, so a job that kills every worker it
    meets would wander for ever; this count does not.

    Returns:
        The deaths so far, or None when another worker took the job over within the last `pause` seconds.
    """
    now, columns = now_ms(engine), job_deaths.c
    try:
        with engine.begin() as connection:
            row = connection.execute(
                sa.select(columns.deaths).where(columns.workflow_id == workflow_id)
            ).first()
            if row is None:
                first = {"workflow_id": workflow_id, "deaths": dispatches, "taken_at": now}
                connection.execute(sa.insert(job_deaths).values(first))
                return dispatches
            counted = connection.execute(
                sa.update(job_deaths)
                .where(columns.workflow_id == workflow_id, columns.taken_at < now - int(pause * 1000))
                .values(deaths=columns.deaths + dispatches, taken_at=now)
            )
            return int(row.deaths) + dispatches if counted.rowcount == 1 else None
    except sa.exc.IntegrityError:  # another worker inserted the row first
        return None


def _of_key(key: str) -> sa.Select[Any]:
    return sa.select(job_failures).where(job_failures.c.key == key)


def _failure(row: sa.Row[Any]) -> Failure:
    return Failure(
        key=row.key,
        job=row.job,
        argument=row.ticket["argument"],
        step=row.step,
        error=row.error,
        failed_at=datetime.fromtimestamp(row.failed_at / 1000, UTC),
        told=row.told_at is not None,
    )
