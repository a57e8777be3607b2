"""A worker process: runs the jobs in line, says that it lives, and takes over from workers that died.

Steps are plain functions handed in; they must be idempotent, for a step whose process dies is run again.
A job ends in one of two ways: its last step returns, or its failure handler has been called.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from dbos import DBOS, DBOSPortableJSONSerializer, WorkflowStatus

from service import failures, heartbeats, job_rows
from service.failures import Failure
from service.job_runs import JobRuns
from service.jobs import (
    APPLICATION,
    APPLICATION_VERSION,
    PARTITIONED,
    QUEUES,
    SLOTS,
    JobClient,
    Lane,
    read_ticket,
    ticket_of,
)
from service.steps import Job, Step

log = logging.getLogger(__name__)

# A job whose process died this often is not run again. The engine gives up at the death after it (it
# counts recoveries, not deaths).
DEATH_LIMIT: Final = 4
# Seconds; a job may wait and be tried for days before the engine gives it up.
LOOK_BACK: Final = 30 * 86_400
# Looks for work cost processor time even when there is none; only analysis is in a hurry.
PACE: Final = {"analysis": 1, "delivery": 2, "outbound": 2, "ministry": 8, "calling": 3, "training": 8}
DIED: Final = f"the worker process died {DEATH_LIMIT} times in this job"


class Worker:
    """One worker slot. A process holds one at most.

    Args:
        url: jobs database, the same as for `JobClient`.
        slot: name of the slot, fixed over restarts: the restarted process finishes what it left.
        poll_every: seconds between two looks for analysis work; other lanes are looked at less often.
        beat_every: seconds between two heartbeats.
        dead_after: seconds of silence after which another worker takes a slot's jobs over.
    """

    def __init__(
        self,
        url: str,
        *,
        slot: str = "worker-1",
        poll_every: float = 0.4,
        beat_every: float = 2.0,
        dead_after: float = 10.0,
    ) -> None:
        self.client = JobClient(url, patient=True)
        self._slot = slot
        self._poll_every = poll_every
        self._beat_every = beat_every
        self._dead_after = dead_after
        self._lanes: tuple[Lane, ...] = ()
        self._jobs: dict[str, Job] = {}
        self._runs = JobRuns(self.client)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._suspects: set[tuple[str, str]] = set()
        self._seen: set[str] = set()

    def register(self, job: str, steps: Sequence[Step], *, on_failure: Callable[[Failure], object]) -> None:
        """Name a job and its steps; before `launch`.

        Args:
            on_failure: called when the job will not be tried again, until it returns once; it leaves
                what the job was about in a named state.
        """
        entry = Job(job, tuple(steps), on_failure)
        self._jobs[job] = entry

        def run_steps(ticket: dict[str, Any]) -> str:
            return self._runs.run_steps(entry, read_ticket(ticket))

        DBOS.workflow(name=job, max_recovery_attempts=DEATH_LIMIT - 1)(run_steps)

    def launch(self, lanes: Iterable[Lane] = tuple(Lane)) -> None:
        """Start to work on the given lanes, in background threads.

        Raises:
            SlotTaken: a live process holds this slot name.
        """
        self._lanes = tuple(lanes)
        self._take_slot()
        self._start_engine({QUEUES[lane] for lane in self._lanes})
        for loop in (self._beat, self._watch):
            thread = threading.Thread(target=self._every_beat, args=(loop,), name=loop.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)
        log.info("Worker is at work", extra={"slot": self._slot, "lanes": " ".join(self._lanes)})

    def shutdown(self, *, grace: float = 20.0) -> bool:
        """Stop taking work and let what runs end within the grace time.

        Returns:
            Whether all of it ended. What did not is run again by the next process on this slot, or by
            another worker once this slot is silent.
        """
        # The heart beats on meanwhile, or another worker would take over what is just being finished.
        DBOS.destroy(workflow_completion_timeout_sec=int(grace) if self._runs.running else 0)
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        idle = not self._runs.running
        if idle:
            heartbeats.leave_slot(self.client.engine, self._slot)
        self.client.close()
        return idle

    def run(self, *, grace: float = 20.0) -> None:
        """Work until SIGTERM or SIGINT, then shut down; for the main thread of `hub work`."""
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        asked.wait()
        if not self.shutdown(grace=grace):
            os._exit(0)  # a step that will not end would hold the interpreter open

    def _start_engine(self, queues: set[str]) -> None:
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": self.client.url,
                "executor_id": self._slot,
                "application_version": APPLICATION_VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "sys_db_pool_size": 5,
                "log_level": "WARNING",
            }
        )
        engine_log = logging.getLogger("dbos")
        engine_log.handlers.clear()  # its console handler; records go to the hub's own instead
        engine_log.propagate = True
        DBOS.listen_queues(sorted(queues))
        for queue in sorted(queues):  # before the launch, which would look for new queues a second later
            self.client.engine_client.register_queue(
                queue,
                worker_concurrency=SLOTS[queue],
                partition_concurrency=1 if queue in PARTITIONED else None,
                polling_interval_sec=self._poll_every * PACE[queue],
            )
        DBOS.launch()

    def _every_beat(self, loop: Callable[[], None]) -> None:
        while not self._stop.wait(self._beat_every):
            try:
                loop()
            except Exception:
                log.exception("Worker housekeeping failed", extra={"slot": self._slot, "loop": loop.__name__})

    def _take_slot(self) -> None:
        heartbeats.take_slot(self.client.engine, self._slot, lanes=self._lanes, dead_after=self._dead_after)

    def _beat(self) -> None:
        if not heartbeats.beat(self.client.engine, self._slot):
            self._take_slot()

    def _watch(self) -> None:
        """Take over from dead slots, and see to jobs that ended without their owner being told."""
        looked = (*self._orphans(), *self._unseen_ends())
        found = {(job.workflow_id, job.executor_id or ""): job for job in looked}
        # Twice in a row, so that neither a jump of the clock nor a job that is just changing hands misleads.
        for identity in found.keys() & self._suspects:
            self._see_to(found[identity])
        self._suspects = set(found)
        for failure in failures.untold_failures(self.client.engine):
            if failure.job in self._jobs:
                self._runs.tell(self._jobs[failure.job], failure)

    def _orphans(self) -> list[WorkflowStatus]:
        """Jobs taken by a slot that is not heard any more, or by this one without being at them."""
        heard = heartbeats.list_workers(self.client.engine)
        alive = {state.slot for state in heard if state.seconds_silent < self._dead_after}
        running = self.client.tickets(job_rows.running_ids(self.client.engine))
        mine = self._runs.running

        def abandoned(job: WorkflowStatus) -> bool:
            if job.executor_id == self._slot:
                return job.workflow_id not in mine
            return job.executor_id not in alive

        return [job for job in running if abandoned(job)]

    def _unseen_ends(self) -> list[WorkflowStatus]:
        """Jobs that the engine gave up, without a failure written down."""
        since = int((time.time() - LOOK_BACK) * 1000)
        ended = job_rows.given_up_ids(self.client.engine, since_ms=since)
        unseen = self.client.tickets([workflow_id for workflow_id in ended if workflow_id not in self._seen])
        lost = [job for job in unseen if self.client.failed_silently(job)]
        self._seen.update(job.workflow_id for job in unseen if job not in lost)
        return lost

    def _see_to(self, found: WorkflowStatus) -> None:
        ticket, job = ticket_of(found), self._jobs.get(found.name)
        if job is None:
            return
        if found.status != "PENDING":
            poison = found.status != "ERROR"
            self._give_up(job, found, DIED if poison else f"the job engine gave up: {found.error}")
            return
        deaths = failures.count_deaths(
            self.client.engine, found.workflow_id, found.recovery_attempts or 1, pause=self._dead_after
        )
        if deaths is None:
            return
        log.warning(
            "Job without a worker is put in line again",
            extra={"key": ticket.key, "from": found.executor_id, "deaths": deaths},
        )
        if deaths >= DEATH_LIMIT:
            self._give_up(job, found, DIED)
            self.client.engine_client.cancel_workflow(found.workflow_id)
        else:
            self.client.engine_client.resume_workflow(found.workflow_id, queue_name=ticket.queue)

    def _give_up(self, job: Job, found: WorkflowStatus, reason: str) -> None:
        ticket = ticket_of(found)
        done = len(self.client.engine_client.list_workflow_steps(found.workflow_id))
        self._runs.fail(job, ticket, min(ticket.first_step + done, len(job.steps) - 1), reason)
