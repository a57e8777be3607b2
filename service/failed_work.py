"""Failed work: jobs that nothing tries again by itself, and a person's word to do so."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.orm import Session

from service import audit
from service.accounts import Viewer
from service.errors import NotFound, Unavailable
from service.failures import Failure

SHOWN = 50
ON_STUDIES = "analyse"
"""The job whose failure stands on its study; said here too, lest the API import the job engine."""


class FailedJobs(Protocol):
    """The job engine, as far as this needs it."""

    def failed(self, *, limit: int) -> Sequence[Failure]:
        """Jobs that ended in failure, newest first."""
        ...

    def retry(self, key: str) -> bool:
        """Put one in line again; False where none of this key has failed."""
        ...


def failed_work(jobs: FailedJobs | None) -> Sequence[Failure]:
    """The newest failures of every kind but analyses: those stand on their studies.

    Empty where no queue is connected to this process.
    """
    if jobs is None:
        return ()
    return [each for each in jobs.failed(limit=SHOWN) if each.job != ON_STUDIES]


def try_again(session: Session, viewer: Viewer, jobs: FailedJobs | None, key: str) -> None:
    """Put a failed job in line again, from the step that failed; audited.

    Raises:
        Unavailable: no queue is connected to this process.
        NotFound: no job of this key has failed, or somebody else has tried it again.
    """
    if jobs is None:
        raise Unavailable("no queue is connected to this process")
    if not jobs.retry(key):
        raise NotFound(f"no failed job has the key {key[:100]!r}")
    audit.record(session, viewer.username, "job.retry", detail={"job": key[:200]})
