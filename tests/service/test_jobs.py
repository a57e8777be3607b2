"""Jobs run by real worker processes, which are killed, on SQLite and (when given) on PostgreSQL."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.jobs import JobClient, JobState, Lane, Priority

ROOT = Path(__file__).parents[2]
SERVER = os.environ.get("HUB_TEST_DATABASE_URL")


def until(condition: Callable[[], object], what: str, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


class Crew:
    """Worker processes on one jobs database, and the log they write."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.client = JobClient(url)
        self.log = folder / "log"
        self.log.touch()
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, slot: str = "worker-1", *lanes: Lane) -> subprocess.Popen[bytes]:
        process = self.spawn(slot, *lanes)
        self.wait_for(f"ready {slot} {process.pid}")
        return process

    def spawn(self, slot: str = "worker-1", *lanes: Lane) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("job_process.py")
        arguments = [sys.executable, str(script), self.url, slot, str(self.log), *lanes]
        process = subprocess.Popen(
            arguments, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, cwd=self.folder
        )
        self.processes.append(process)
        return process

    def lines(self) -> list[str]:
        return [line for line in self.log.read_text("utf-8").splitlines() if not line.startswith("ready")]

    def wait_for(self, start: str, times: int = 1) -> None:
        until(
            lambda: sum(line.startswith(start) for line in self.log.read_text("utf-8").splitlines()) >= times,
            f"{start!r} {times} times",
        )

    def wait_state(self, key: str, state: JobState) -> None:
        def reached() -> bool:
            status = self.client.status(key)
            return status is not None and status.state is state

        until(reached, f"{key} {state}")

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
        self.client.close()


@contextlib.contextmanager
def administrator() -> Iterator[sa.Connection]:
    url = sa.make_url(SERVER or "").set(drivername="postgresql+psycopg")
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        yield connection
    server.dispose()


def server_url(database: str) -> str:
    return sa.make_url(SERVER or "").set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def prepared() -> Iterator[str]:
    """A database with the tables in it, to copy: creating them takes seconds."""
    if SERVER is None:
        pytest.skip("HUB_TEST_DATABASE_URL names no PostgreSQL server")
    name = f"jobs_{uuid.uuid4().hex}"
    with administrator() as server:
        server.execute(sa.text(f"CREATE DATABASE {name}"))
        JobClient(server_url(name)).close()
        yield name
        server.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


BOTH = pytest.mark.parametrize("jobs_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def jobs_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A jobs database of its own; PostgreSQL only for the tests marked `BOTH`, where the SQL differs."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.sqlite"
        return
    template, name = request.getfixturevalue("prepared"), f"jobs_{uuid.uuid4().hex}"
    with administrator() as server:
        server.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield server_url(name)
        server.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def crew(jobs_url: str, tmp_path: Path) -> Iterator[Crew]:
    made = Crew(jobs_url, tmp_path)
    yield made
    made.stop()


class TestEnqueue:
    @BOTH
    def test_the_same_key_twice_is_one_job(self, crew: Crew) -> None:
        crew.client.enqueue("note", "note:1", "a")
        crew.client.enqueue("note", "note:1", "a")
        crew.start()
        crew.wait_state("note:1", JobState.DONE)
        crew.client.enqueue("note", "note:1", "a")
        crew.client.enqueue("note", "note:2", "b")
        crew.wait_state("note:2", JobState.DONE)
        assert crew.lines() == ["note a", "note b"]

    @BOTH
    def test_live_goes_before_batch_and_stat_before_routine(self, crew: Crew) -> None:
        client, gate = crew.client, crew.folder / "gate"
        crew.start()
        client.enqueue("hang", "first", str(gate))
        crew.wait_for("hang")
        client.enqueue("note", "old", "retrospective", lane=Lane.BATCH, priority=Priority.RETROSPECTIVE)
        client.enqueue("note", "older", "batch-stat", lane=Lane.BATCH, priority=Priority.STAT)
        client.enqueue("note", "live", "routine")
        client.enqueue("note", "urgent", "stat", priority=Priority.STAT)
        assert client.depth()[Lane.LIVE].running == 1
        assert (client.depth()[Lane.LIVE].waiting, client.depth()[Lane.BATCH].waiting) == (2, 2)
        gate.touch()
        crew.wait_state("old", JobState.DONE)
        assert crew.lines()[2:] == ["note stat", "note routine", "note batch-stat", "note retrospective"]

    def test_delivery_does_not_wait_for_analysis(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("hang", "analysis", str(crew.folder / "never"))
        crew.wait_for("hang")
        crew.client.enqueue("note", "send", "sent", lane=Lane.DELIVERY)
        crew.wait_state("send", JobState.DONE)

    def test_a_destination_that_hangs_holds_up_only_its_own_line(self, crew: Crew) -> None:
        crew.start()
        gate = crew.folder / "gate"
        crew.client.enqueue("hang", "dead:1", str(gate), lane=Lane.OUTBOUND, partition="dead")
        crew.wait_for("hang")
        crew.client.enqueue("note", "dead:2", "behind it", lane=Lane.OUTBOUND, partition="dead")
        crew.client.enqueue("note", "alive:1", "other", lane=Lane.OUTBOUND, partition="alive")
        crew.wait_state("alive:1", JobState.DONE)
        assert crew.lines()[-1] == "note other"
        gate.touch()
        crew.wait_state("dead:2", JobState.DONE)

    def test_a_worker_takes_only_the_lanes_it_was_given(self, crew: Crew) -> None:
        crew.start("worker-1", Lane.DELIVERY)
        crew.client.enqueue("note", "analysis", "a")
        crew.client.enqueue("note", "send", "b", lane=Lane.DELIVERY)
        crew.wait_state("send", JobState.DONE)
        waiting = crew.client.status("analysis")
        assert waiting is not None
        assert waiting.state is JobState.WAITING

    def test_a_key_with_a_blank_is_refused(self, crew: Crew) -> None:
        with pytest.raises(ValueError, match="'two words' must match"):
            crew.client.enqueue("note", "two words", "a")

    def test_an_unknown_key_has_no_status(self, crew: Crew) -> None:
        assert crew.client.status("nothing") is None


class TestRetry:
    def test_a_passing_error_is_tried_again(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("flaky", "flaky:1", "x")
        crew.wait_state("flaky:1", JobState.DONE)
        status = crew.client.status("flaky:1")
        assert status is not None
        assert (status.attempt, crew.lines()) == (3, ["flaky x"] * 3)

    def test_finished_steps_are_not_repeated_by_a_later_try(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("half", "half:1", "x")
        crew.wait_state("half:1", JobState.DONE)
        assert crew.lines() == ["note x", *["flaky x"] * 3]

    def test_a_waiting_retry_holds_no_slot(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("flaky", "flaky:1", "x")
        crew.wait_for("flaky x")
        crew.client.enqueue("note", "note:1", "meanwhile")
        crew.wait_state("flaky:1", JobState.DONE)
        assert crew.lines().index("note meanwhile") < 3

    @BOTH
    def test_exhausted_tries_end_in_the_failure_handler(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("down", "down:1", "x")
        crew.wait_for("failed down:1 down ConnectionError: nobody answers")
        crew.wait_state("down:1", JobState.FAILED)
        assert crew.lines().count("down x") == 3
        until(lambda: crew.client.failed()[0].told, "the owner told")
        (failure,) = crew.client.failed()
        assert (failure.key, failure.job, failure.argument, failure.step) == ("down:1", "down", "x", "down")

    def test_a_lasting_error_is_not_tried_again(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("wrong", "wrong:1", "x")
        crew.wait_for("failed wrong:1 wrong ValueError: this cannot be read")
        assert crew.lines().count("wrong x") == 1

    @BOTH
    def test_a_failed_job_can_be_tried_again_by_hand(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("wrong", "wrong:1", "x")
        crew.wait_state("wrong:1", JobState.FAILED)
        crew.wait_for("failed wrong:1")  # who tries again sooner spares the owner being told of it
        assert crew.client.retry("wrong:1")
        crew.wait_for("failed wrong:1", times=2)
        assert crew.lines().count("wrong x") == 2
        assert not crew.client.retry("unknown")

    def test_an_owner_that_cannot_be_told_keeps_the_failure_open(self, crew: Crew) -> None:
        crew.start()
        crew.client.enqueue("deaf", "deaf:1", "x")
        crew.wait_for("deaf deaf:1")
        crew.wait_state("deaf:1", JobState.FAILED)
        assert [failure.told for failure in crew.client.failed()] == [False]


class TestDeath:
    @BOTH
    def test_a_killed_worker_finishes_its_job_after_restart(self, crew: Crew) -> None:
        gate = crew.folder / "gate"
        first = crew.start()
        crew.client.enqueue("steps", "steps:1", str(gate))
        crew.wait_for("hang")
        first.send_signal(signal.SIGKILL)
        first.wait()
        gate.touch()
        second = crew.start()
        crew.wait_state("steps:1", JobState.DONE)
        assert crew.lines() == [
            f"note {gate}",
            f"hang {gate} in {first.pid}",
            f"hang {gate} in {second.pid}",
            f"hung {gate}",
            f"note {gate}",
        ]

    @BOTH
    def test_a_live_worker_takes_over_from_a_killed_one(self, crew: Crew) -> None:
        gate = crew.folder / "gate"
        dying = crew.start("worker-1")
        crew.client.enqueue("hang", "hang:1", str(gate))
        crew.wait_for("hang")
        living = crew.start("worker-2")
        assert [state.slot for state in crew.client.workers()] == ["worker-1", "worker-2"]
        dying.kill()
        crew.wait_for(f"hang {gate} in {living.pid}")
        gate.touch()
        crew.wait_state("hang:1", JobState.DONE)
        silent = {state.slot: state.seconds_silent for state in crew.client.workers()}
        assert silent["worker-1"] > 2.0 > silent["worker-2"]

    def test_a_poison_job_ends_as_failed_and_others_proceed(self, crew: Crew) -> None:
        crew.client.enqueue("die", "die:1", "x")
        crew.client.enqueue("note", "note:1", "after")
        for deaths in range(1, 5):
            assert crew.spawn().wait(timeout=30) == 9
            assert crew.lines().count("die x") == deaths
        crew.start()
        crew.wait_for("failed die:1 die the worker process died 4 times")
        crew.wait_state("note:1", JobState.DONE)
        crew.wait_state("die:1", JobState.FAILED)
        assert crew.lines().count("die x") == 4

    @BOTH
    def test_a_poison_job_that_wanders_between_slots_ends_too(self, crew: Crew) -> None:
        crew.client.enqueue("die", "die:1", "x")
        for number in range(1, 5):
            assert crew.spawn(f"worker-{number}").wait(timeout=30) == 9
        crew.start("worker-5")
        crew.wait_for("failed die:1 die the worker process died 4 times")
        assert crew.lines().count("die x") == 4
        crew.wait_state("die:1", JobState.FAILED)

    def test_an_overdue_step_ends_the_worker_and_fails_the_job(self, crew: Crew) -> None:
        worker = crew.start()
        crew.client.enqueue("overdue", "overdue:1", str(crew.folder / "never"))
        assert worker.wait(timeout=30) == 75
        crew.wait_for("failed overdue:1 hang StepOverdue: hang ran longer than 0.5 s")
        crew.start()
        crew.client.enqueue("note", "note:1", "after")
        crew.wait_state("note:1", JobState.DONE)
        assert sum(line.startswith("hang") for line in crew.lines()) == 1

    def test_a_job_whose_steps_changed_in_an_upgrade_fails_aloud(
        self, crew: Crew, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        older = crew.start()
        crew.client.enqueue("steps", "steps:1", str(crew.folder / "never"))
        crew.wait_for("hang")
        older.kill()
        older.wait()
        monkeypatch.setenv("NEWER_RELEASE", "1")
        crew.start()
        crew.wait_for("failed steps:1 note the job engine gave up")
        crew.wait_state("steps:1", JobState.FAILED)

    @BOTH
    def test_a_job_that_its_live_worker_lost_is_put_in_line_again(self, crew: Crew) -> None:
        crew.client.enqueue("note", "note:1", "lost", delay=3600)
        delayed = crew.client.status("note:1")
        assert delayed is not None
        assert delayed.state is JobState.DELAYED
        schema = "dbos." if crew.client.engine.dialect.name == "postgresql" else ""
        taken = "status = 'PENDING', executor_id = 'worker-2', recovery_attempts = 1"
        crew.start("worker-1")
        with crew.client.engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE {schema}workflow_status SET {taken}"))
        crew.start("worker-2")
        crew.wait_state("note:1", JobState.DONE)
        assert crew.lines() == ["note lost"]

    @BOTH
    def test_sigterm_lets_the_running_job_end(self, crew: Crew) -> None:
        gate = crew.folder / "gate"
        worker = crew.start()
        crew.client.enqueue("hang", "hang:1", str(gate))
        crew.wait_for("hang")
        worker.terminate()
        gate.touch()
        assert worker.wait(timeout=30) == 0
        crew.wait_state("hang:1", JobState.DONE)
        assert crew.client.workers() == []

    def test_a_slot_name_in_use_is_refused(self, crew: Crew) -> None:
        crew.start("worker-1")
        script = Path(__file__).with_name("job_process.py")
        second = subprocess.run(
            [sys.executable, str(script), crew.url, "worker-1", str(crew.log)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert "slot worker-1 is held by process" in second.stderr
