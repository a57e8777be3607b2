"""Simulated studies over all strata: equal plans, a cache that gives the same answers, figures by group."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model.detect import Detector
from model.stroke import Decision, StrokeType
from training.judgement import Reading
from training.simulated import as_text, main, plans, read, summarise


@pytest.fixture(scope="module")
def package(tiny_package: Path) -> Path:
    return tiny_package


def test_plans_hold_every_kind_in_every_size_and_come_out_equal() -> None:
    drawn = list(plans(500))
    assert drawn == list(plans(500))
    assert Counter(plan.group for plan in drawn) == {
        "bleed": 200,
        "confounders": 150,
        "healthy": 100,
        "ischaemia": 50,
    }
    kinds = {lesion.kind for plan in drawn for lesion in plan.lesions}
    assert kinds == {"iph", "ivh", "sah", "sdh", "edh", "acute_ischaemia", "hyperdense_artery", "old_infarct"}
    assert all(plan.age >= 72 for plan in drawn if plan.group == "confounders")
    assert not any(
        lesion.kind in ("iph", "sdh") for plan in drawn if plan.group != "bleed" for lesion in plan.lesions
    )


def test_the_cache_gives_the_same_answers(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(package), "--n", "2", "--cache", str(tmp_path / "cache"), "--threads", "1"]
    assert main([*arguments, "--json", str(tmp_path / "first.json")]) == 0
    monkeypatch.setattr("training.simulated.simulate", lambda plan: pytest.fail("it is there already"))
    assert main([*arguments, "--json", str(tmp_path / "second.json")]) == 0
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("first.json", "second.json"))
    assert first == second
    assert first["num_studies"] + first["num_refused"] == 2


def reading(number: int, group: str, label: int, answer: Decision, volume: float | None = None) -> Reading:
    kind = StrokeType.ANY_ICH
    row = {"group": group, "lesion_ml": {"any_ich": volume} if volume else {}}
    probability = 0.9 if answer == Decision.FLAG else 0.1
    return Reading(
        str(number), "phantom", str(number), {kind: label}, {kind: probability}, {kind: answer}, row
    )


def test_false_flags_are_counted_by_group_and_misses_by_volume(package: Path) -> None:
    readings = [reading(n, "confounders", 0, Decision.FLAG if n == 0 else Decision.CLEAR) for n in range(10)]
    readings += [reading(20 + n, "healthy", 0, Decision.REVIEW) for n in range(5)]
    readings += [
        reading(40 + n, "bleed", 1, Decision.FLAG if n else Decision.CLEAR, 2.0 + 10 * n) for n in range(3)
    ]
    report = summarise(Detector(package, threads=1), readings, 1)
    assert report["without_a_bleed"]["confounders"]["flag"]["value"] == 0.1
    assert report["without_a_bleed"]["healthy"]["clear"]["value"] == 0.0
    text = as_text(report)
    assert "confounders (n=10): 10.0 per 100 flag, 90.0 per 100 clear" in text
    assert "bleeds under 5 mL: 0 flag, 0 review, 1 clear, of 1" in text


def test_a_prepared_study_is_answered_for_every_type(package: Path) -> None:
    from training.simulated import Prepared

    detector = Detector(package, threads=1)
    row = {"labels": {"any_ich": 0}}
    study = Prepared(
        "a", np.full((4, 64, 64), 30, np.float32), np.full((4, 2), 0.5, np.float32), ("motion",), row
    )
    found = read(detector, study)
    assert set(found.probabilities) == set(StrokeType)
    assert found.answers[StrokeType.ANY_ICH] != Decision.CLEAR  # a doubtful input is not cleared
