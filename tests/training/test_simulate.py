"""The simulate command: a manifest that agrees with the files, the same twice."""

import hashlib
import json
from pathlib import Path

import pytest
from pydicom import dcmread

from model.phantom_faults import FAULTS
from model.stroke import Refusal, StrokeType
from training.simulate import DEMO, MIXES, REFUSED_FOR, main


def rows(out: Path) -> list[dict[str, object]]:
    """Return the manifest."""
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]


def digest(out: Path) -> str:
    """Return one digest over every file below a folder."""
    whole = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        if path.is_file():
            whole.update(str(path.relative_to(out)).encode() + path.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small demo set."""
    out = tmp_path_factory.mktemp("demo")
    assert main([str(out), "--n", str(len(DEMO)), "--seed", "7", "--side", "64"]) == 0
    return out


class TestManifest:
    def test_files_exist_and_belong_to_the_study(self, demo: Path) -> None:
        for row in rows(demo):
            files = row["files"]
            assert isinstance(files, list)
            assert len(files) > 20
            uids = {dcmread(demo / f, stop_before_pixels=True).StudyInstanceUID for f in files}
            assert uids == {row["study_instance_uid"]}

    def test_labels_name_every_stroke_type(self, demo: Path) -> None:
        for row in rows(demo):
            assert row["labels"].keys() == {t.value for t in StrokeType}  # type: ignore[attr-defined]

    def test_demo_shows_every_outcome(self, demo: Path) -> None:
        expected = {row["case"]: row["expected"] for row in rows(demo)}
        outcomes = {str(name)[5:]: value for name, value in expected.items()}
        assert outcomes["bleed-into-ventricles"] == {"outcome": "flagged", "reasons": []}
        assert outcomes["normal"] == {"outcome": "clear", "reasons": []}
        assert outcomes["contrast"] == {"outcome": "refused", "reasons": ["contrast"]}
        assert outcomes["child"] == {"outcome": "refused", "reasons": ["under_18"]}
        assert outcomes["missing-slices"] == {"outcome": "refused", "reasons": ["missing_slices"]}

    def test_asked_for_bleeds_are_labelled(self, demo: Path) -> None:
        for row in rows(demo):
            labels, lesions = row["labels"], row["lesions"]
            assert isinstance(labels, dict)
            assert isinstance(lesions, list)
            bleeds = {"iph", "ivh", "sah", "sdh", "edh"} & set(lesions)
            assert labels["any_ich"] == int(bool(bleeds))
            assert all(labels[b] for b in bleeds)


class TestRepeat:
    def test_same_seed_gives_the_same_bytes_whatever_the_workers(self, tmp_path: Path) -> None:
        for name, workers in (("one", "1"), ("two", "2")):
            arguments = ["--n", "2", "--seed", "5", "--side", "48", "--mix", "train", "--workers", workers]
            main([str(tmp_path / name), *arguments])
        assert digest(tmp_path / "one") == digest(tmp_path / "two")


class TestMixes:
    def test_fault_mix_covers_every_fault(self) -> None:
        plans = list(MIXES["faults"](len(FAULTS), 1))
        assert {fault for plan in plans for fault in plan.faults} == set(FAULTS)

    def test_refusals_are_words_of_the_model(self) -> None:
        assert set(REFUSED_FOR.values()) <= set(Refusal)

    def test_train_mix_is_about_a_third_normal(self) -> None:
        plans = list(MIXES["train"](300, 1))
        assert 70 < sum(not plan.lesions for plan in plans) < 140
        assert len({plan.seed for plan in plans}) == 300
