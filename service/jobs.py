"""Background work in the hub's words: put a job in line, ask after it, try it again.

The engine underneath is DBOS Transact, on the SQLite file or the PostgreSQL server that the URL names.
Only this module and `service.workers` know it. A job is known by its key, which the caller derives from
what is to be done ("analyse:7:1"): putting the same key in line twice is one job, also after it is done.
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus

from service import failures, heartbeats, job_rows, job_tables
from service.failures import Failure
from service.heartbeats import WorkerState
from service.lanes import PARTITIONED, QUEUES, SLOTS, Lane, Priority

__all__ = [
    "PARTITIONED",
    "QUEUES",
    "SLOTS",
    "Depth",
    "JobClient",
    "JobState",
    "JobStatus",
    "Lane",
    "Priority",
    "Ticket",
]

APPLICATION: Final = "hub"
# Constant over releases: the engine leaves the work of another version lying.
APPLICATION_VERSION: Final = "1"

KEY_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,149}")


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is known of one job; `attempt` counts tries of its present step."""

    key: str
    job: str
    state: JobState
    attempt: int
    step: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs of a lane wait for a slot, wait for their time, and run."""

    waiting: int = 0
    delayed: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job's place in line, as the engine stores it.

    Args:
        number: 1 for the key as put in line; each later try is a ticket of its own, so that a job
            that waits for its next try holds no slot.
        first_step: steps before it are done.
        attempt: which try of that step this is.
        partition: the line within a partitioned queue.
    """

    key: str
    argument: Any
    lane: str
    priority: int
    number: int = 1
    first_step: int = 0
    attempt: int = 1
    partition: str | None = None

    @property
    def workflow_id(self) -> str:
        return workflow_id(self.key, self.number)

    @property
    def queue(self) -> str:
        return QUEUES[Lane(self.lane)]


_BATCH_OFFSET: Final = 100
_LOOK_UP: Final = 8

_STATES: Final[Mapping[str, JobState]] = {
    "ENQUEUED": JobState.WAITING,
    "DELAYED": JobState.DELAYED,
    "PENDING": JobState.RUNNING,
    "SUCCESS": JobState.DONE,
}


class JobClient:
    """Put jobs in line and ask after them, from any process, with or without a worker in it.

    Args:
        url: `sqlite:///...` or `postgresql://...`; tables are created where they are missing.
        patient: wait while the database is away, as a worker does, instead of raising.
    """

    def __init__(self, url: str, *, patient: bool = False) -> None:
        self.url = _engine_url(url)
        self.engine = prepare_database(url)
        self.engine_client = DBOSClient(
            system_database_url=self.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            system_database_pool_size=2,
            retry_connection_errors=patient,
        )

    def enqueue(
        self,
        job: str,
        key: str,
        argument: Any,
        *,
        lane: Lane = Lane.LIVE,
        priority: Priority = Priority.ROUTINE,
        delay: float = 0.0,
        partition: str | None = None,
    ) -> None:
        """Put a job in line, durably; a key that was ever put in line is left as it is.

        Args:
            job: name under which a worker registered the steps.
            key: letters, digits and `:._-`, at most 150; names this piece of work for good.
            argument: JSON value handed to every step.
            delay: seconds before it may start; kept to about a second.
            partition: in a lane that is split by destination, which one.
        """
        if KEY_PATTERN.fullmatch(key) is None:
            raise ValueError(f"job key {key!r} must match {KEY_PATTERN.pattern}")
        ticket = Ticket(key, argument, lane.value, priority.value, partition=partition)
        self.submit(job, ticket, delay=delay)

    def submit(self, job: str, ticket: Ticket, *, delay: float = 0.0) -> None:
        """Hand one ticket to the engine (`enqueue` is the call for everybody else)."""
        offset = _BATCH_OFFSET if ticket.lane == Lane.BATCH else 0
        options: EnqueueOptions = {
            "workflow_name": job,
            "workflow_id": ticket.workflow_id,
            "queue_name": ticket.queue,
            "app_version": APPLICATION_VERSION,
            "priority": ticket.priority + offset,
        }
        if ticket.queue in PARTITIONED:
            options["queue_partition_key"] = ticket.partition or ticket.key
        if delay > 0:
            options["delay_seconds"] = delay
        self.engine_client.enqueue(options, asdict(ticket))

    def status(self, key: str) -> JobStatus | None:
        """Where the job is, or None when the key was never put in line."""
        latest = self._latest(key)
        if latest is None:
            return None
        ticket, failure = ticket_of(latest), failures.find_failure(self.engine, key)
        if failure is not None:
            return JobStatus(key, latest.name, JobState.FAILED, ticket.attempt, failure.step, failure.error)
        state = _STATES.get(latest.status, JobState.FAILED)
        return JobStatus(key, latest.name, state, ticket.attempt)

    def depth(self) -> dict[Lane, Depth]:
        """How much waits and runs in each lane."""
        counts: Counter[tuple[str, bool, str]] = Counter()
        for queue, priority, status, number in job_rows.count_in_flight(self.engine):
            counts[queue, priority >= _BATCH_OFFSET, status] += number

        def depth_of(lane: Lane) -> Depth:
            here = (QUEUES[lane], lane is Lane.BATCH)
            return Depth(*(counts[(*here, status)] for status in ("ENQUEUED", "DELAYED", "PENDING")))

        return {lane: depth_of(lane) for lane in Lane}

    def failed(self, *, limit: int = 1000) -> list[Failure]:
        """Jobs that ended in failure, newest first."""
        return failures.list_failures(self.engine, limit=limit)

    def retry(self, key: str) -> bool:
        """Put a failed job in line again from the step that failed; False when it had not failed."""
        found = failures.failed_ticket(self.engine, key)
        latest = self._latest(key)
        if found is None or latest is None:
            return False
        job, ticket = found[0], read_ticket(found[1])
        number = ticket_of(latest).number + 1
        failures.forget_failure(self.engine, key)
        self.submit(job, Ticket(**(asdict(ticket) | {"number": number, "attempt": 1})))
        return True

    def failed_silently(self, ended: WorkflowStatus) -> bool:
        """Whether this ticket is the last of its job and no failure of the job is written down."""
        key = ticket_of(ended).key
        if failures.find_failure(self.engine, key) is not None:
            return False
        latest = self._latest(key)
        return latest is not None and latest.workflow_id == ended.workflow_id

    def tickets(self, workflow_ids: Sequence[str]) -> list[WorkflowStatus]:
        """The engine's account of some tickets."""
        if not workflow_ids:
            return []
        found = self.engine_client.list_workflows(workflow_ids=list(workflow_ids))
        return [status for status in found if status.input and status.input["args"]]

    def workers(self) -> list[WorkerState]:
        """Every worker slot with the seconds since it was last heard."""
        return heartbeats.list_workers(self.engine)

    def close(self) -> None:
        """Give the connections back."""
        self.engine_client.destroy()
        self.engine.dispose()

    def _latest(self, key: str) -> WorkflowStatus | None:
        """The newest ticket of a key.

        Tickets are numbered without gaps, so they are asked for by their ids: the engine's search by
        prefix reads the whole table on SQLite.
        """
        latest: WorkflowStatus | None = None
        for start in itertools.count(1, _LOOK_UP):
            ids = [workflow_id(key, number) for number in range(start, start + _LOOK_UP)]
            found = self.engine_client.list_workflows(workflow_ids=ids, load_output=False)
            latest = max(found, key=lambda status: ticket_of(status).number, default=latest)
            if len(found) < _LOOK_UP:
                break
        return latest


def workflow_id(key: str, number: int) -> str:
    """The engine's name for the n-th ticket of a key."""
    return key if number == 1 else f"{key}~{number}"


def ticket_of(status: WorkflowStatus) -> Ticket:
    """The ticket a job was put in line with."""
    return read_ticket(status.input["args"][0] if status.input else {})


def read_ticket(stored: Mapping[str, Any]) -> Ticket:
    """The ticket as the engine stored it."""
    known = {field.name for field in fields(Ticket)}  # a newer release may have written more
    return Ticket(**{name: value for name, value in stored.items() if name in known})


def prepare_database(url: str) -> sa.Engine:
    """Create the jobs database's tables where they are missing and connect to it."""
    parsed = job_tables.sqlalchemy_url(url)
    if parsed.drivername.startswith("sqlite") and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = job_tables.open_engine(url)
    with job_tables.create_tables(engine):
        DBOS.migrate(_engine_url(url))
    return engine


def _engine_url(url: str) -> str:
    return job_tables.sqlalchemy_url(url).render_as_string(hide_password=False)
