"""Runs as operators start them: killed and gone on with, shared by two processes, cross-validated."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from tests.training.cases import SHAPE, small_case
from training.cases import load_cases, save_case
from training.checkpoint import load_weights
from training.data import fold_of
from training.folds import run_folds
from training.recipe import Recipe
from training.schedule import PROBED, Schedule

ROOT = Path(__file__).parents[2]
NUM_CASES = 8


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for seed in range(NUM_CASES):
        case = small_case(seed)
        save_case(replace(case, card=replace(case.card, source="real")), folder)
    return folder


def write_recipe(folder: Path, cases: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    values = {
        "name": "tiny-0.0.1",
        "cache": str(folder / "cache"),
        "out": str(folder / "out"),
        "cases": [str(cases)],
        "precision": "fp32",
        "device": "cpu",
        "share": {"real": 1.0},
        "num_phantoms": 0,
        "stage1_steps": 10,
        "stage1_batch": 4,
        "stage2_steps": 2,
        "stage2_batch": 2,
        "encoder_rate": 0.1,
        "checkpoint_every": 3,
        "network": {"preset": "tiny", "side": 64, "grid_mm": 3.5, "embedding": 16},
        **changes,
    }
    path = folder / "recipe.toml"
    path.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in values.items()))
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)


def start(recipe: Path, *launcher: str) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "-m", "training.train", str(recipe), "--weights-only"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "out" / "log.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[tuple[float, ...]]:
    return [
        tuple(row.get(name, 0.0) for name in ("stage", "step", "mask", "label", "study"))
        for row in rows(folder)
    ]


def assert_told(folder: Path) -> None:
    """Log, curves and TensorBoard tell of both stages."""
    assert {row["stage"] for row in rows(folder)} == {1, 2}
    assert all(row["slices_per_second"] > 0 for row in rows(folder))
    assert ElementTree.fromstring((folder / "out" / "curves.svg").read_text()).tag.endswith("svg")
    assert list((folder / "out" / "tensorboard").glob("events*"))
    parts = [json.loads(line) for line in (folder / "out" / "usage.jsonl").read_text().splitlines()]
    assert [part["part"] for part in parts] == ["prepare", "stage 1", "stage 2"]
    assert all(part["peak_mb"] > 50 and part["wall_s"] >= 0 for part in parts)
    assert sum(part["processor_s"] for part in parts) > 0


def test_a_killed_run_goes_on_to_equal_losses_and_bit_equal_weights(tmp_path: Path, cases: Path) -> None:
    output = finish(start(write_recipe(tmp_path / "whole", cases)))
    assert "stage 2  step 2/2" in output
    assert_told(tmp_path / "whole")
    recipe = write_recipe(tmp_path / "killed", cases)
    process = start(recipe)
    checkpoint = tmp_path / "killed" / "out" / "stage1.pt"
    deadline = time.monotonic() + 200
    while not checkpoint.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert torch.load(checkpoint, weights_only=True)["step"] < 10
    finish(start(recipe))
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    whole, killed = (
        load_weights(tmp_path / name / "out" / "weights.safetensors") for name in ("whole", "killed")
    )
    state = killed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


def test_two_processes_share_a_run_and_keep_equal_weights(tmp_path: Path, cases: Path) -> None:
    recipe = write_recipe(tmp_path / "two", cases, stage1_steps=2, stage2_steps=2)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    output = finish(start(recipe, *launcher))
    assert output.count("stage 2  step 2/2") == 1  # the second process is silent
    one = load_weights(tmp_path / "two" / "out" / "weights.safetensors")
    assert all(value.isfinite().all() for value in one.state_dict().values())


def test_every_patient_is_scored_by_a_network_that_has_not_seen_it(tmp_path: Path, cases: Path) -> None:
    recipe = Recipe(
        name="tiny-0.0.1",
        cache=tmp_path,
        out=tmp_path / "out",
        cases=(cases,),
        share={"real": 1.0},
        precision="fp32",
        device="cpu",
        network=SHAPE,
        folds=2,
        stage1_steps=2,
        stage1_batch=4,
        stage2_steps=1,
    )
    known = load_cases([cases])
    path = run_folds(recipe, known, [0, 1])
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(row["case"] for row in found) == sorted(case.card.name for case in known)
    assert all(row["fold"] == fold_of(row["patient"], 2) for row in found)
    run_folds(recipe, known, [1])  # again: its rows are replaced, not doubled
    assert len(path.read_text().splitlines()) == len(known)


class TestSchedule:
    def test_the_rate_rises_then_falls_to_a_hundredth(self) -> None:
        schedule = Schedule(1.0, 100, 0.1)
        assert schedule.rate(0) < schedule.rate(5) < schedule.rate(10)
        assert schedule.rate(99) == pytest.approx(0.01, abs=2e-3)

    def test_the_steps_fit_into_the_time_that_is_left(self) -> None:
        schedule = Schedule(1.0, 3000, 0.05, seconds=100.0)
        assert schedule.probing
        schedule.fit(PROBED[1], elapsed=20.0, per_step=0.5)
        assert schedule.num_steps == PROBED[1] + 160
        assert not schedule.probing
