"""The campaign on few cases: killed inside a stage it goes on, and does nothing twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from benchmarks.campaign_hub import Hub
from benchmarks.campaign_journal import Journal
from benchmarks.campaign_readers import draw_readers, perfect
from benchmarks.campaign_truth import Contradiction, draw_plans, read_truths
from labeling.completeness import Images, check_complete
from model.weights import SHIPPED
from service.adjudications import Adjudication
from service.assignments import Assignment
from service.cases import Case
from service.db import make_engine, session_scope
from service.reads import Read, parse_label
from service.settings import read_settings
from service.uploads import FileVerdict, Upload, UploadedFile
from tests.model.packages import make_package

pytestmark = pytest.mark.one_database  # a hub of its own, on SQLite

ROOT = Path(__file__).resolve().parents[2]
CASES = 10


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The campaign's; a hub that a killed run has left in it is ended."""
    yield tmp_path
    state = tmp_path / "hub.json"
    if state.exists():
        Hub(tmp_path, SHIPPED).stop()
    shutil.rmtree(tmp_path / "hub", ignore_errors=True)


def run(folder: Path, model: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.campaign", "--json", "--folder", str(folder)]
    command += ["--n", str(CASES), "--readers", "3", "--model", str(model), "--until", "adjudicate"]
    for dear in ("pages", "roster", "agreement"):
        command += ["--without", dear]
    command += words
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def counted(folder: Path) -> dict[str, Any]:
    """What the hub's database holds."""
    engine = make_engine(read_settings({"HUB_DATA": str(folder / "hub")}).database)
    with session_scope(engine, write=False) as session:
        found = {
            "uploads": session.scalar(select(func.count()).select_from(Upload)),
            "stored": session.scalar(select(func.count()).where(UploadedFile.verdict == FileVerdict.STORED)),
            "files": session.scalar(select(func.count()).select_from(UploadedFile)),
            "cases": session.scalar(select(func.count()).select_from(Case)),
            "planned": session.scalar(select(func.count()).select_from(Assignment)),
            "reads": session.scalar(select(func.count()).select_from(Read)),
            "corrected": session.scalar(select(func.count()).where(Read.supersedes.is_not(None))),
            "decided": session.scalar(select(func.count()).select_from(Adjudication)),
            "disputed": session.scalar(select(func.count(func.distinct(Adjudication.case_id)))),
        }
    engine.dispose()
    return found


@pytest.mark.skipif(
    not os.environ.get("HUB_TEST_CAMPAIGN"),
    reason="a minute of CPU and a hub of its own: HUB_TEST_CAMPAIGN=1 runs it",
)
@pytest.mark.timeout(1200)
def test_a_campaign_that_is_killed_goes_on_and_does_nothing_twice(folder: Path) -> None:
    model = folder / "tiny-0.0.1"
    make_package(model)
    for place in ("upload:1", "screen:end", "read:3"):
        killed = run(folder, model, "--kill-at", place)
        assert killed.returncode == -signal.SIGKILL, (place, killed.stderr)
    done = run(folder, model)
    assert done.returncode == 0, done.stderr
    held = {bar["what"]: bar["holds"] for bar in json.loads(done.stdout)["bars"] if bar["holds"] is not None}
    assert len(held) >= 4
    assert all(held.values()), done.stdout
    found = counted(folder)
    assert (found["uploads"], found["cases"]) == (2, CASES)
    assert found["stored"] == found["files"] == 14 * CASES
    assert found["reads"] == found["planned"] > 6  # of the eligible, some are read by two, some again
    assert found["corrected"] == 0
    assert found["decided"] == found["disputed"]
    begun = Counter(row["stage"] for row in Journal(folder / "journal.jsonl").rows if row["event"] == "begin")
    assert {stage for stage, times in begun.items() if times > 1} == {"upload", "read"}
    truths = read_truths(folder / "studies")
    for truth in truths.values():
        check_complete(parse_label(perfect(truth, truth.sop_uids)), Images(truth.sop_uids, 64, 64))


class TestPlans:
    def test_the_same_seed_plans_the_same_and_seeds_every_kind(self) -> None:
        hospitals = [f"{number:05d}" for number in range(88)]
        plans = draw_plans(1000, 8, hospitals)
        assert plans == draw_plans(1000, 8, hospitals)
        assert plans != draw_plans(1000, 9, hospitals)
        assert {plan.hcode for plan in plans} == set(hospitals)
        kinds = Counter(plan.contradiction for plan in plans if plan.contradiction)
        assert set(kinds) == set(Contradiction)
        assert sum(kinds.values()) == 60
        twins = [plan for plan in plans if plan.twin_of is not None]
        assert len(twins) >= 9
        for twin in twins:
            assert twin.twin_of is not None
            first = plans[twin.twin_of]
            assert twin.eligible
            assert first.eligible
            assert (twin.age, twin.citizen_id) == (first.age, first.citizen_id)
            assert twin.hcode != first.hcode

    def test_readers_differ_in_skill_and_lean(self) -> None:
        readers = draw_readers([f"r{number}" for number in range(37)], 8)
        assert readers == draw_readers([f"r{number}" for number in range(37)], 8)
        errors = sorted(reader.error(0.1) for reader in readers)
        assert errors[0] < 0.02 < 0.08 < errors[-1]
        assert len({round(reader.false_alarm / reader.miss, 3) for reader in readers}) == 3


class TestJournal:
    def test_a_line_cut_short_is_forgotten_and_its_stage_begun_again(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.jsonl"
        journal = Journal(path)
        journal.note("upload", "begin")
        journal.note("upload", "end", figures={"uploads": 5})
        with path.open("a") as file:
            file.write('{"stage": "read", "ev')
        again = Journal(path)
        assert again.figures("upload") == {"uploads": 5}
        assert (again.figures("read"), again.attempts("read")) == (None, 0)
        again.note("read", "begin")
        assert Journal(path).attempts("read") == 1
