"""Orders to analyse a study: from the inbox loop, from a person, kept by the job engine until done."""

from datetime import datetime, timedelta

from sqlalchemy import Engine

from service import jobs, studies
from service.db import now, session_scope
from service.jobs import JobClient
from service.states import Lane, Priority

ANALYSE = "analyse"
"""The name of the job; `pathway.Pathway.steps` are its steps."""

JOB_LANES = {Lane.LIVE: jobs.Lane.LIVE, Lane.RETROSPECTIVE: jobs.Lane.BATCH}
JOB_PRIORITIES = {Priority.STAT: jobs.Priority.STAT, Priority.ROUTINE: jobs.Priority.ROUTINE}

Argument = dict[str, int]
"""What the job is about: {"study": row number, "revision": number}."""


class Orders:
    """The API's and the inbox loop's way to the job engine."""

    def __init__(self, engine: Engine, jobs_url: str) -> None:
        self._engine = engine
        self._client = JobClient(jobs_url)

    def analyse(self, study_id: int, revision: int) -> None:
        """Have a revision of a study analysed; ordering the same again is one job."""
        with session_scope(self._engine, write=False) as session:
            study = studies.load_study(session, study_id, lock=False)
            lane, priority = JOB_LANES[study.lane], JOB_PRIORITIES[study.priority]
        argument: Argument = {"study": study_id, "revision": revision}
        key = f"{ANALYSE}:{study_id}:{revision}"
        self._client.enqueue(ANALYSE, key, argument, lane=lane, priority=priority)

    def waiting(self) -> dict[str, int]:
        """Jobs that wait for a worker, by lane."""
        return {lane.value: depth.waiting + depth.delayed for lane, depth in self._client.depth().items()}

    def last_heard(self) -> datetime | None:
        """When any worker last gave a sign of life; None when none ever did."""
        silent = [worker.seconds_silent for worker in self._client.workers()]
        return now() - timedelta(seconds=min(silent)) if silent else None
