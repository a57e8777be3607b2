"""Matched pairs: twins without their bleed, figures that know the truth, the trap that they show."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.eightbit import as_bytes
from model.phantom import simulate_head
from model.stroke import StrokeType
from model.weights import METADATA, seal
from training.counterfactual import Findings, SliceRow, components, dice, main, summarise
from training.shortcuts import Probe, resized
from training.sich import SichStudy, read_study
from training.trap import main as trap_main
from training.twins import make_twins


@pytest.fixture(scope="module")
def sich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated patients saved the way the public set is."""
    folder = tmp_path_factory.mktemp("sich")
    (folder / "image").mkdir()
    rows = []
    for number, seed in enumerate((5, 8)):
        head = simulate_head(seed, lesions=["iph"], side=160, slices=14, spacing_mm=10.0, fov_mm=230.0)
        bleed = head.masks[StrokeType.IPH]
        for index, image in enumerate(as_bytes(head.hu, (-20.0, 100.0))):
            name = f"image/{number:04d}_{index:02d}.png"
            Image.fromarray(image).save(folder / name)
            rows.append([f"{number:04d}", index, name, 0, "", "", int(not (image > 20).any())])
            ys, xs = np.nonzero(bleed[index])
            if len(ys) > 20:
                rows[-1][3:5] = [1, f"{xs.min() - 2} {ys.min() - 2} {xs.max() + 2} {ys.max() + 2}"]
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "slice", "image", "annotated", "boxes_xyxy", "oedema", "blank"])
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def study(sich: Path) -> SichStudy:
    return read_study(sich, "0000", side=128, grid_mm=1.75)


class TestTwins:
    def test_the_blood_is_gone_and_the_rest_of_the_slice_is_as_it_was(self, study: SichStudy) -> None:
        twins = make_twins(study)
        assert twins.annotated
        for number in twins.annotated:
            blood = study.haematoma[number]
            if blood.sum() < 20:
                continue
            assert study.hu[number][blood].mean() > 50
            assert twins.without[number][blood].mean() < 44
        left, top, right, bottom = study.boxes[twins.annotated[0]]
        far = np.ones(study.hu.shape[1:], bool)
        far[max(int(top) - 8, 0) : int(bottom) + 8, max(int(left) - 8, 0) : int(right) + 8] = False
        assert np.array_equal(twins.without[twins.annotated[0]][far], study.hu[twins.annotated[0]][far])

    def test_slices_without_a_bleed_get_the_same_paste(self, study: SichStudy) -> None:
        twins = make_twins(study)
        assert not set(twins.other) & {n + d for n in twins.annotated for d in (-1, 0, 1)}
        assert any((twins.without[number] != study.hu[number]).any() for number in twins.other)

    def test_blood_across_the_midline_is_filled_with_tissue(self, study: SichStudy) -> None:
        number = max(study.boxes, key=lambda each: int(study.haematoma[each].sum()))
        _, x, y = study.axis
        rows, columns = np.mgrid[: study.hu.shape[1], : study.hu.shape[2]]
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 8**2
        hu, haematoma = study.hu.copy(), study.haematoma.copy()
        hu[number][disc], haematoma[number] = 70.0, haematoma[number] | disc
        both = replace(
            study, hu=hu, haematoma=haematoma, boxes=study.boxes | {number: (x - 9, y - 9, x + 9, y + 9)}
        )
        assert make_twins(both).without[number][disc].mean() < 48


def make_rows(shift: float) -> list[SliceRow]:
    """Annotated slices that score `shift` above their twins, over ten patients."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(200):
        patient, base = str(number % 10), float(rng.normal())
        rows.append(SliceRow(patient, number, "annotated", base + shift, hit=number % 4 > 0))
        rows.append(SliceRow(patient, number, "twin", float(rng.normal())))
        rows.append(SliceRow(patient, number, "other", base, components=int(number % 10 == 0)))
        rows.append(SliceRow(patient, number, "pasted", float(rng.normal())))
    return rows


class TestFigures:
    def test_pairs_that_do_not_differ_give_a_half_and_pairs_that_do_give_one(self) -> None:
        none, all_ = (summarise(Findings(make_rows(shift), {"0": 0.8, "1": 0.6}, [])) for shift in (0.0, 9.0))
        assert none["paired_auroc"]["value"] == pytest.approx(0.5, abs=0.06)
        assert none["paired_auroc"]["low"] < 0.5 < none["paired_auroc"]["high"]
        assert all_["paired_auroc"]["value"] == 1.0
        assert all_["mask_hits"]["value"] == 0.75
        assert all_["false_components"]["value"] == pytest.approx(0.1)
        assert all_["dice"]["value"] == pytest.approx(0.7)
        assert all_["flagged_at_95_sensitivity"]["annotated"] >= 0.95

    def test_small_components_are_not_counted(self) -> None:
        mask = np.zeros((20, 20))
        mask[2:4, 2:4], mask[10:15, 10:15] = 0.9, 0.9
        assert components(mask, 4.0).max() == 1
        assert components(mask, 10.0).max() == 2
        assert components(mask, 0.1).max() == 0

    def test_dice_is_one_where_mask_and_blood_agree(self) -> None:
        haematoma = np.zeros((2, 8, 8), bool)
        haematoma[1, 2:6, 2:6] = True
        mask = haematoma.reshape(2, 4, 2, 4, 2).mean(axis=(2, 4))
        assert dice(mask, haematoma, [1], 2) == 1.0
        assert dice(1 - mask, haematoma, [1], 2) == 0.0
        assert dice(mask, haematoma, [0], 2) is None

    def test_a_head_shown_larger_keeps_its_middle(self) -> None:
        hu = np.full((1, 32, 32), -400, np.float32)
        hu[0, 10:22, 10:22] = 30
        areas = [int((resized(hu, scale) > -185).sum()) for scale in (0.9, 1.0, 1.1)]
        assert areas[0] < areas[1] == 144 < areas[2]

    def test_probes_part_the_bleed_from_what_is_none(self) -> None:
        probes = [
            Probe("a", bleeds, "noise", 0.9 if bleeds else 0.1, 0.8 if bleeds else 0.1, 0.2)
            for bleeds in (True, False)
        ]
        found = summarise(Findings(make_rows(1.0), {"0": 1.0}, probes))["shortcuts"]
        assert found["noise, with"]["over_0.05"] == 1
        assert found["noise, without"]["over_0.05"] == 0
        assert found["the bleed itself"]["mean_shift"] == pytest.approx(0.8)


class TestCommands:
    def test_a_package_is_judged_and_an_untrained_one_misses_the_bars(
        self, sich: Path, tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--sich", str(sich), "--threads", "1", "--json", str(tmp_path / "out.json")]
        assert main([str(tiny_package), *arguments]) == 1
        report = json.loads((tmp_path / "out.json").read_text())
        assert report["num_patients"] == 2
        assert {row["look"] for row in report["rows"]} == {"annotated", "twin", "other", "pasted"}
        assert "MISSED" in capsys.readouterr().out

    def test_a_package_that_trained_on_the_set_must_say_whom_it_held_out(
        self, sich: Path, tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        package = Path(shutil.copytree(tiny_package, tmp_path / "tiny-0.0.1"))
        text = json.loads((package / METADATA).read_text()) | {"trained_on": ["sich"]}
        (package / METADATA).write_text(json.dumps(text))
        seal(package)
        assert main([str(package), "--sich", str(sich), "--threads", "1"]) == 2
        assert "does not say which patients it held out" in capsys.readouterr().err
        (package / METADATA).write_text(json.dumps(text | {"held_out": {"test": ["sich-0001"]}}))
        seal(package)
        main([str(package), "--sich", str(sich), "--threads", "1"])
        assert "1 patients" in capsys.readouterr().out

    def test_the_trap_is_trained_on_some_patients_and_read_on_others(
        self, sich: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("training.trap.fold_of", lambda patient, folds: int(patient[-1]))
        out = tmp_path / "trap.json"
        assert trap_main(["--sich", str(sich), "--epochs", "1", "--threads", "1", "--json", str(out)]) == 0
        report = json.loads(out.read_text())
        assert report["num_patients"] == 1
        assert report["num_other"] > 0
        assert set(report["called_bleeding_at_95_sensitivity"]) == {"annotated", "twin", "other"}
