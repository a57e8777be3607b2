"""The supervisor and its children as real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

CHILD = """
import signal, sys, time
from service.processes import die_with_parent
die_with_parent()
name, log, manner = sys.argv[1:]
def write(line):
    with open(log, "a") as file:
        file.write(line + "\\n")
def end(*_):
    write(f"end {name}")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "stubborn" else end)
write(f"start {name}")
if manner == "crash":
    sys.exit(3)
while True:
    time.sleep(0.05)
"""

PARENT = """
import sys
from pathlib import Path
from service.processes import Command, Supervisor
folder, log, grace, *children = sys.argv[1:]
commands = []
for word in children:
    name, manner = word.split(":")
    ready = (lambda path=Path(folder) / f"{name}.ready": path.exists()) if manner == "slow" else None
    commands.append(Command(name, [sys.executable, f"{folder}/child.py", name, log, manner], ready))
def announce():
    with open(log, "a") as file:
        file.write("ready\\n")
Supervisor(commands, state_file=Path(folder) / "processes.json", grace=float(grace), on_ready=announce).run()
with open(log, "a") as file:
    file.write("over\\n")
"""


def until(condition: Callable[[], object], what: str, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class House:
    """A supervisor in a process of its own, with its state file and its children's log."""

    def __init__(self, folder: Path, *children: str, grace: float = 10.0) -> None:
        self.folder, self.log = folder, folder / "log"
        self.log.touch()
        (folder / "child.py").write_text(CHILD, encoding="utf-8")
        (folder / "parent.py").write_text(PARENT, encoding="utf-8")
        self.seen: set[int] = set()
        self.parent = subprocess.Popen(
            [sys.executable, str(folder / "parent.py"), str(folder), str(self.log), str(grace), *children],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for child in children:
            self.wait_line(f"start {child.partition(':')[0]}")

    def lines(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines()

    def wait_line(self, line: str, times: int = 1) -> None:
        until(lambda: self.lines().count(line) >= times, f"{line!r} {times} times")

    def child(self, name: str) -> dict[str, Any]:
        """The child's entry in the state file, once the child is running."""
        until(lambda: self.state(name)["pid"], f"{name} in the state file")
        found = self.state(name)
        self.seen.add(found["pid"])
        return found

    def state(self, name: str) -> dict[str, Any]:
        state = json.loads((self.folder / "processes.json").read_text("utf-8"))
        found: dict[str, Any] = next(child for child in state["children"] if child["name"] == name)
        return found

    def clean(self) -> None:
        self.parent.kill()
        self.parent.wait()
        for pid in self.seen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(*children: str, grace: float = 10.0) -> House:
        houses.append(House(tmp_path, *children, grace=grace))
        return houses[-1]

    yield make
    for house in houses:
        house.clean()


class TestRestart:
    def test_a_killed_child_is_started_again(self, build: Callable[..., House]) -> None:
        house = build("listener:calm", "worker:calm")
        before = house.child("worker")
        os.kill(before["pid"], signal.SIGKILL)
        house.wait_line("start worker", times=2)
        until(lambda: house.state("worker")["restarts"] == 1, "the restart in the state file")
        after = house.child("worker")
        assert after["pid"] != before["pid"]
        assert after["last_exit"] == -signal.SIGKILL
        assert house.child("listener")["restarts"] == 0

    def test_a_child_that_keeps_ending_is_started_ever_more_slowly(self, build: Callable[..., House]) -> None:
        begun = time.monotonic()
        house = build("worker:crash", "api:calm")
        house.wait_line("start worker", times=4)
        assert time.monotonic() - begun >= 0.2 + 0.4 + 0.8
        assert house.state("worker")["last_exit"] == 3
        assert house.child("api")["restarts"] == 0


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_all_children_end_in_order(self, build: Callable[..., House], number: signal.Signals) -> None:
        house = build("listener:calm", "worker:calm", "api:calm")
        pids = [house.child(name)["pid"] for name in ("listener", "worker", "api")]
        house.parent.send_signal(number)
        assert house.parent.wait(timeout=30) == 0
        assert house.lines()[-4:] == ["end listener", "end worker", "end api", "over"]
        assert [pid for pid in pids if runs(pid)] == []
        assert house.state("api")["pid"] is None

    def test_a_child_that_will_not_end_is_killed_after_its_grace(self, build: Callable[..., House]) -> None:
        house = build("worker:stubborn", "api:calm", grace=0.3)
        stubborn = house.child("worker")["pid"]
        house.parent.terminate()
        assert house.parent.wait(timeout=30) == 0
        assert not runs(stubborn)
        assert house.lines()[-2:] == ["end api", "over"]

    def test_a_second_signal_does_not_wait(self, build: Callable[..., House]) -> None:
        house = build("worker:stubborn", grace=600)

        def asked_again() -> bool:
            house.parent.terminate()
            # The last request may come when the supervisor has already given the signal back.
            return house.parent.poll() in (0, -signal.SIGTERM)

        until(asked_again, "the end after a second signal")

    def test_children_end_when_the_supervisor_is_killed(self, build: Callable[..., House]) -> None:
        house = build("listener:calm", "worker:stubborn")
        pids = [house.child(name)["pid"] for name in ("listener", "worker")]
        house.parent.kill()
        until(lambda: not any(runs(pid) for pid in pids), "the children's end")


class TestReady:
    def test_readiness_is_announced_once_when_all_are_ready(self, build: Callable[..., House]) -> None:
        house = build("worker:calm", "api:slow")
        house.child("api")
        assert "ready" not in house.lines()
        (house.folder / "api.ready").touch()
        house.wait_line("ready")
        os.kill(house.child("worker")["pid"], signal.SIGKILL)
        house.wait_line("start worker", times=2)
        assert house.lines().count("ready") == 1
