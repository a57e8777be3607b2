"""Worker slots and the count of deaths, on a SQLite file, without workers."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from service import failures, heartbeats, job_tables
from service.heartbeats import SlotTaken


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = job_tables.open_engine(f"sqlite:///{tmp_path}/jobs.sqlite")
    with job_tables.create_tables(made):
        pass
    yield made
    made.dispose()


def take(engine: sa.Engine, slot: str = "worker-1") -> None:
    heartbeats.take_slot(engine, slot, lanes=("live", "batch"), dead_after=10.0)


def change(engine: sa.Engine, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(job_tables.job_workers).values(**values))


def age(engine: sa.Engine, seconds: float) -> None:
    change(engine, beat_at=job_tables.job_workers.c.beat_at - int(seconds * 1000))


def process_that_ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


class TestTakeSlot:
    def test_the_slot_is_listed_with_its_lanes(self, engine: sa.Engine) -> None:
        take(engine)
        (state,) = heartbeats.list_workers(engine)
        assert (state.slot, state.pid, state.lanes) == ("worker-1", os.getpid(), ("live", "batch"))
        assert state.seconds_silent < 5

    def test_a_live_holder_keeps_it(self, engine: sa.Engine) -> None:
        take(engine)
        change(engine, pid=os.getppid())
        with pytest.raises(SlotTaken, match=f"slot worker-1 is held by process {os.getppid()}"):
            take(engine)

    def test_a_holder_on_another_machine_keeps_it_until_it_is_silent(self, engine: sa.Engine) -> None:
        take(engine)
        change(engine, host=f"not-{socket.gethostname()}", pid=process_that_ended())
        with pytest.raises(SlotTaken, match="worker-1"):
            take(engine)
        age(engine, 11)
        take(engine)
        assert heartbeats.list_workers(engine)[0].host == socket.gethostname()

    def test_a_holder_that_ended_on_this_machine_loses_it_at_once(self, engine: sa.Engine) -> None:
        take(engine)
        change(engine, pid=process_that_ended())
        take(engine)
        assert heartbeats.list_workers(engine)[0].pid == os.getpid()


class TestBeat:
    def test_a_beat_ends_the_silence(self, engine: sa.Engine) -> None:
        take(engine)
        age(engine, 60)
        assert heartbeats.list_workers(engine)[0].seconds_silent >= 60
        assert heartbeats.beat(engine, "worker-1")
        assert heartbeats.list_workers(engine)[0].seconds_silent < 5

    def test_a_slot_that_is_not_listed_learns_it(self, engine: sa.Engine) -> None:
        assert not heartbeats.beat(engine, "worker-1")

    def test_a_slot_that_left_is_not_listed(self, engine: sa.Engine) -> None:
        take(engine)
        heartbeats.leave_slot(engine, "worker-1")
        assert heartbeats.list_workers(engine) == []


class TestCountDeaths:
    def test_deaths_add_up_over_take_overs(self, engine: sa.Engine) -> None:
        assert failures.count_deaths(engine, "analyse:1:1", 1, pause=-1.0) == 1
        assert failures.count_deaths(engine, "analyse:1:1", 2, pause=-1.0) == 3

    def test_one_of_two_workers_takes_the_job(self, engine: sa.Engine) -> None:
        assert failures.count_deaths(engine, "analyse:1:1", 1, pause=10.0) == 1
        assert failures.count_deaths(engine, "analyse:1:1", 1, pause=10.0) is None


class TestTell:
    def test_one_of_two_workers_tells_the_owner(self, engine: sa.Engine) -> None:
        ticket = {"key": "analyse:1:1", "argument": {"study": 1}}
        failures.record_failure(engine, job="analyse", step="detect", error="no", ticket=ticket)
        failures.record_failure(engine, job="analyse", step="detect", error="later", ticket=ticket)
        (failure,) = failures.untold_failures(engine)
        assert (failure.argument, failure.error) == ({"study": 1}, "no")
        assert failures.claim_telling(engine, "analyse:1:1")
        assert not failures.claim_telling(engine, "analyse:1:1")
        assert failures.untold_failures(engine) == []
        failures.mark_told(engine, "analyse:1:1")
        assert failures.list_failures(engine)[0].told

    def test_a_forgotten_failure_is_gone(self, engine: sa.Engine) -> None:
        failures.record_failure(engine, job="j", step="s", error="e", ticket={"key": "k", "argument": 1})
        failures.forget_failure(engine, "k")
        assert failures.failed_ticket(engine, "k") is None
