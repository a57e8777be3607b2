"""A worker process for the tests: `python job_process.py URL SLOT LOG [LANE ...]`; it logs what it does."""

import os
import sys
import threading
import time
from pathlib import Path

from service.failures import Failure
from service.jobs import Lane
from service.steps import Step, Transient
from service.workers import Worker

LOG = Path(sys.argv[3])


def write(line: str) -> None:
    with LOG.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def note(argument: str) -> None:
    write(f"note {argument}")


def hang(argument: str) -> None:
    """Hang until a file named as the argument exists."""
    write(f"hang {argument} in {os.getpid()}")
    while not Path(argument).exists():
        time.sleep(0.02)
    write(f"hung {argument}")


def die(argument: str) -> None:
    write(f"die {argument}")
    os._exit(9)


def flaky(argument: str) -> None:
    write(f"flaky {argument}")
    if LOG.read_text(encoding="utf-8").count(f"flaky {argument}\n") < 3:
        raise Transient("not yet")


def down(argument: str) -> None:
    write(f"down {argument}")
    raise ConnectionError("nobody answers")


def wrong(argument: str) -> None:
    write(f"wrong {argument}")
    raise ValueError("this cannot be read")


def tell(failure: Failure) -> None:
    write(f"failed {failure.key} {failure.step} {failure.error}")


def deaf(failure: Failure) -> None:
    write(f"deaf {failure.key}")
    raise RuntimeError("the hub's database is down")


def main() -> None:
    url, slot = sys.argv[1:3]
    worker = Worker(url, slot=slot, poll_every=0.05, beat_every=0.2, dead_after=2.0)
    for run in (note, hang, die, wrong):
        worker.register(run.__name__, [Step(run)], on_failure=tell)
    worker.register("flaky", [Step(flaky, first_wait=0.1)], on_failure=tell)
    worker.register("down", [Step(down, attempts=3, first_wait=0.1)], on_failure=tell)
    worker.register("deaf", [Step(wrong)], on_failure=deaf)
    worker.register("overdue", [Step(hang, attempts=1, timeout=0.5)], on_failure=tell)
    steps = [Step(note), Step(hang), Step(note)]
    worker.register("steps", steps[1:] if "NEWER_RELEASE" in os.environ else steps, on_failure=tell)
    worker.register("half", [Step(note), Step(flaky, first_wait=0.1)], on_failure=tell)
    worker.launch([Lane(word) for word in sys.argv[4:]] or list(Lane))
    write(f"ready {slot} {os.getpid()}")
    # A worker whose test died ends too.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    worker.run(grace=5)


main()
