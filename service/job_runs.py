"""One job from its ticket to its end: run the steps, try again later, or fail and tell."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from dbos import DBOS

from service import failures
from service.failures import Failure
from service.jobs import JobClient, Ticket
from service.steps import Job, StepOverdue

log = logging.getLogger(__name__)

EXIT_OVERDUE: Final = 75


class JobFailed(Exception):
    """How a failed job ends towards the engine."""


class JobRuns:
    """The jobs that this process runs; `running` holds the ids of their tickets."""

    def __init__(self, client: JobClient) -> None:
        self.running: set[str] = set()
        self._client = client

    def run_steps(self, job: Job, ticket: Ticket) -> str:
        """The body of every job: the steps that are not done yet, one after the other."""
        self.running.add(ticket.workflow_id)
        try:
            return self._run_rest(job, ticket)
        finally:
            self.running.discard(ticket.workflow_id)

    def _run_rest(self, job: Job, ticket: Ticket) -> str:
        for index in range(ticket.first_step, len(job.steps)):
            name = f"{index}:{job.steps[index].name}"
            outcome = DBOS.run_step({"name": name}, self._try_step, job, ticket, index)
            if outcome == "failed":
                raise JobFailed(f"{ticket.key} failed in {job.steps[index].name}")
            if outcome == "again":
                return outcome
        return "done"

    def _try_step(self, job: Job, ticket: Ticket, index: int) -> str:
        step = job.steps[index]
        try:
            with self._time_limit(job, ticket, index):
                step.run(ticket.argument)
        except Exception as error:
            return self._settle(job, ticket, index, error)
        return "done"

    def _settle(self, job: Job, ticket: Ticket, index: int, error: Exception) -> str:
        """Put the job in line for its next try, or end it; twice is the same as once."""
        step = job.steps[index]
        attempt = ticket.attempt if index == ticket.first_step else 1
        here = {"job": job.name, "key": ticket.key, "step": step.name, "attempt": attempt}
        if step.tries_again(error, attempt):
            log.warning("Step failed and is tried again: %r", error, extra=here)
            later = {"number": ticket.number + 1, "first_step": index, "attempt": attempt + 1}
            self._client.submit(job.name, Ticket(**(asdict(ticket) | later)), delay=step.wait(attempt))
            return "again"
        log.error("Job failed", exc_info=error, extra=here)
        self.fail(job, ticket, index, f"{type(error).__name__}: {error}")
        return "failed"

    def fail(self, job: Job, ticket: Ticket, index: int, error: str) -> None:
        """End the job: write the failure down, then tell its owner."""
        stopped_at = asdict(ticket) | {"first_step": index}
        step = job.steps[index].name
        failures.record_failure(self._client.engine, job=job.name, step=step, error=error, ticket=stopped_at)
        failure = failures.find_failure(self._client.engine, ticket.key)
        if failure is not None:
            self.tell(job, failure)

    def tell(self, job: Job, failure: Failure) -> None:
        """Call the failure handler; if it fails, the watch calls it again later."""
        if failures.claim_telling(self._client.engine, failure.key):
            try:
                job.on_failure(failure)
            except Exception:
                log.exception("Failure handler failed", extra={"job": job.name, "key": failure.key})
            else:
                failures.mark_told(self._client.engine, failure.key)

    @contextlib.contextmanager
    def _time_limit(self, job: Job, ticket: Ticket, index: int) -> Iterator[None]:
        limit = job.steps[index].timeout
        if limit is None:
            yield
            return
        ending = threading.Lock()

        def end_process() -> None:
            if not ending.acquire(blocking=False):
                return
            step = job.steps[index].name
            log.critical("Step is overdue, the worker ends itself", extra={"key": ticket.key, "step": step})
            try:
                self._settle(job, ticket, index, StepOverdue(f"{step} ran longer than {limit:g} s"))
                self._client.engine_client.cancel_workflow(ticket.workflow_id)
            finally:
                os._exit(EXIT_OVERDUE)

        timer = threading.Timer(limit, end_process)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            ending.acquire()  # never released: either the step ended first, or the process is ending
