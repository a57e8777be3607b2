"""What a job is made of: plain functions, how each is tried again, and whom to tell of a failure."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from service.failures import Failure

Argument = dict[str, int]
"""What a job is about: numbers of rows, such as {"study": row number, "revision": number}."""


class Transient(Exception):
    """Trying again may help: the other side is down, a lock is held, a disk is full."""


class Permanent(Exception):
    """Trying again cannot help."""


class StepOverdue(Exception):
    """A step ran longer than it may."""


# What repeats itself on the same input. Everything else (network, database, memory) is tried again.
PERMANENT: Final[tuple[type[Exception], ...]] = (
    Permanent,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One plain function of a job and how it is tried again.

    Args:
        run: takes the job's argument; what it returns is not kept.
        attempts: tries in all before the job has failed.
        first_wait: seconds before the second try; doubled for each later one, with up to half of it added
            at random so that many jobs that failed together do not return together.
        timeout: seconds after which the try counts as failed. Native code cannot be interrupted, so the
            worker process ends then and is started again by its supervisor.
        permanent: exceptions that are not tried again (a `Transient` always is).
    """

    run: Callable[[Any], object]
    attempts: int = 5
    first_wait: float = 2.0
    longest_wait: float = 300.0
    timeout: float | None = None
    permanent: tuple[type[Exception], ...] = PERMANENT

    @property
    def name(self) -> str:
        return getattr(self.run, "__name__", type(self.run).__name__)

    def tries_again(self, error: Exception, attempt: int) -> bool:
        """Whether another try follows this one."""
        passing = isinstance(error, Transient) or not isinstance(error, self.permanent)
        return passing and attempt < self.attempts

    def wait(self, attempt: int) -> float:
        """Seconds between this try and the next."""
        base = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        return base * random.uniform(1.0, 1.5)


@dataclass(frozen=True, slots=True)
class Job:
    """A named row of steps, and whom to tell when it will not be tried again."""

    name: str
    steps: tuple[Step, ...]
    on_failure: Callable[[Failure], object]
