"""The processes of `hub serve`: one parent starts, watches, restarts and stops listener, worker and API."""

import contextlib
import ctypes
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 10.0
SETTLED_AFTER: Final = 30.0
LOOK_EVERY: Final = 0.1
# A death of the parent between the start of a child and `die_with_parent` shows in this variable.
PARENT_VARIABLE: Final = "HUB_PARENT_PID"
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; first call of every child's main.

    Without a supervisor (the variable is not set) nothing happens. A kill and no request: a child that
    hangs must not keep the port or the worker slot from its successor, and every child is kill-safe.
    A process that the child starts itself does not inherit this and must call it too.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # Grandchildren carry the variable of the supervisor; only for its own children it names the parent.
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    if os.getppid() != int(parent):
        os._exit(1)


@dataclass(frozen=True, slots=True)
class Command:
    """A child to keep alive.

    Args:
        ready: asked until it says yes once, e.g. whether the port answers; it must return within a second.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool] | None = None


class _Child:
    """One command and the process that runs it now."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = command.ready is None
        self.starts = 0
        self.last_exit: int | None = None
        self._since: datetime | None = None
        self._started = 0.0
        self._wait = FIRST_WAIT
        self._due = 0.0

    def start(self) -> None:
        environment = os.environ | {PARENT_VARIABLE: str(os.getpid())}
        # Its own group: a Ctrl-C in the terminal reaches the supervisor alone, which stops all in order.
        self.process = subprocess.Popen(list(self.command.argv), env=environment, start_new_session=True)
        self.starts += 1
        self._started, self._since = time.monotonic(), datetime.now(UTC)

    def due(self) -> bool:
        return self.process is None and time.monotonic() >= self._due

    def reap(self) -> bool:
        """Notice that the process ended, and decide when the next one starts."""
        if self.process is None or self.process.poll() is None:
            return False
        self.last_exit = self.process.returncode
        self.signal(signal.SIGKILL)  # what it started itself and left behind
        if time.monotonic() - self._started >= SETTLED_AFTER:
            self._wait = FIRST_WAIT
        self._due = time.monotonic() + self._wait
        log.warning(
            "Process ended and is started again",
            extra={"child": self.command.name, "exit": self.last_exit, "wait_s": self._wait},
        )
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        self.process, self._since = None, None
        return True

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def state(self) -> dict[str, Any]:
        return {
            "name": self.command.name,
            "pid": self.process.pid if self.process else None,
            "restarts": max(0, self.starts - 1),
            "since": self._since.isoformat() if self._since else None,
            "last_exit": self.last_exit,
        }


class Supervisor:
    """Keeps commands running until it is told to stop.

    Args:
        commands: started and, at the end, stopped in this order: listener, worker, API.
        state_file: JSON that `hub doctor` reads: each child's name, pid, restarts, since, last_exit.
        grace: seconds that each child has to end by itself after SIGTERM before it is killed.
        on_ready: called once, when every child has been ready.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        state_file: Path,
        grace: float = 20.0,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = [_Child(command) for command in commands]
        self._state_file = state_file
        self._grace = grace
        self._on_ready = on_ready
        self._announced = False
        self._stop_requests = 0
        self._wake = threading.Event()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; a second one kills at once. Main thread only.

        The kernel ties a child to the thread that started it, so the starting thread must live as long
        as the supervisor does.
        """
        with self._signals():
            try:
                while not self._stop_requests:
                    self._look()
                    self._wake.wait(LOOK_EVERY)
            finally:
                self._stop_all()

    def stop(self) -> None:
        """Ask `run` to stop all children and return; a second call kills them at once."""
        self._stop_requests += 1
        self._wake.set()

    def _look(self) -> None:
        changed = [child.reap() for child in self._children]
        for child in self._children:
            if child.due():
                self._start(child)
                changed.append(True)
        if any(changed):
            self._write_state()
        if not self._announced:
            self._announce()

    def _start(self, child: _Child) -> None:
        try:
            child.start()
        except OSError:
            self._write_state()
            log.critical("Process cannot be started", extra={"child": child.command.name})
            raise

    def _announce(self) -> None:
        for child in self._children:
            if not child.ready and child.process is not None and child.command.ready is not None:
                child.ready = child.command.ready()
        if all(child.ready for child in self._children):
            self._announced = True
            self._on_ready()

    def _stop_all(self) -> None:
        for child in self._children:
            if child.process is None:
                continue
            child.signal(signal.SIGTERM)
            deadline = time.monotonic() + self._grace
            while child.process.poll() is None and self._stop_requests < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            child.signal(signal.SIGKILL)
            child.last_exit = child.process.wait()
            child.process = None
        self._write_state()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda *_: self.stop()) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _write_state(self) -> None:
        state = {"pid": os.getpid(), "children": [child.state() for child in self._children]}
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._state_file.with_suffix(".draft")
        draft.write_text(json.dumps(state, indent=1), encoding="utf-8")
        draft.replace(self._state_file)
