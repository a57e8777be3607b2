"""Thresholds with guarantees, two packages on the same studies, and where the blood is."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import stats

from model.calibration import TypeCalibration
from model.detect import Detector, Heat
from model.phantom import simulate_head
from model.site import BadSite, load_site
from model.stroke import StrokeType
from model.transforms import to_model_input
from model.volume import load_head_ct
from model.weights import SHIPPED, load_artefact
from tests.hub import real_ct
from training.bootstrap import Resamples, average_precision
from training.compare import compare
from training.compare import main as compare_main
from training.conformal import guaranteed_cut, main
from training.intervals import paired_auroc
from training.localise import Located, froc, locate, on_mask_grid, read_mask, summarise

ICH = StrokeType.ANY_ICH


def make_scores(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = (rng.random(count) < 0.2).astype(float)
    return 1 / (1 + np.exp(-rng.normal(np.where(label == 1, 2.0, -2.0), 1.3))), label


class TestGuarantee:
    def test_the_promise_is_broken_no_more_often_than_it_says(self) -> None:
        """Over many sites of one hospital kind, at most a tenth have a true PPV below what was promised."""
        broken, kept = 0, 0
        everyone = make_scores(200_000, 1)
        for seed in range(2, 102):
            probability, label = make_scores(250, seed)
            cut = guaranteed_cut(probability, label == 1, target=0.8, confidence=0.9)
            if cut is None:
                continue
            kept += 1
            flagged = everyone[0] >= cut
            broken += float(everyone[1][flagged].mean()) < 0.8
        assert kept > 80
        assert broken <= stats.binom.ppf(0.99, kept, 0.1)

    def test_nothing_is_promised_where_too_few_were_seen(self) -> None:
        probability, label = make_scores(100, 3)
        assert guaranteed_cut(-probability, label == 0, target=0.999, confidence=0.9) is None

    def test_a_worse_score_gives_a_stricter_cut(self) -> None:
        probability, label = make_scores(600, 4)
        easy, hard = (guaranteed_cut(probability, label == 1, target=t, confidence=0.9) for t in (0.6, 0.9))
        assert easy is not None
        assert hard is not None
        assert easy < hard


def make_report(seed: int, shift: float = 0.0, *, digest: str = "d" * 64) -> dict[str, Any]:
    probability, label = make_scores(600, seed)
    said = np.clip(probability + shift * (label - 0.5), 0.001, 0.999)
    studies = [
        {
            "case": str(number),
            "population": "real",
            "patient": str(number),
            "labels": {"any_ich": int(label[number])},
            "probabilities": {"any_ich": float(said[number])},
            "answers": {},
        }
        for number in range(len(label))
    ]
    row = {"population": "real", "stroke_type": "any_ich", "assessed": True, "flag": 0.9, "clear": 0.1}
    return {"model": f"m{seed}", "digest": digest, "figures": [row], "studies": studies}


class TestSite:
    def test_the_file_is_taken_by_the_detector_and_only_for_its_package(self, tmp_path: Path) -> None:
        artefact = load_artefact(SHIPPED)
        (tmp_path / "report.json").write_text(json.dumps(make_report(7, digest=artefact.digest)))
        out = tmp_path / "site.json"
        arguments = [str(tmp_path / "report.json"), "--site", "10670", "--out", str(out), "--npv", "0.99"]
        assert main(arguments) == 0
        said = json.loads(out.read_text())["types"]["any_ich"]
        assert said["guarantee"] == {"ppv_of_flag": 0.7, "npv_of_clear": 0.99, "confidence": 0.9}
        assert 0 < said["clear"] <= said["flag"] < 1
        found = Detector(SHIPPED, threads=1, site=out).artefact.calibrations[ICH]
        assert (found.flag, found.clear) == (said["flag"], said["clear"])
        assert found.temperature == artefact.calibrations[ICH].temperature
        with pytest.raises(BadSite, match="was made for the package"):
            load_site(out, "0" * 64, artefact.calibrations)

    @pytest.mark.parametrize(
        ("types", "words"),
        [
            ({"headache": {}}, "for which the package is not proven"),
            ({"any_ich": {"flag": 0.1, "clear": 0.5, "num_positive": 1, "num_negative": 1}}, "thresholds"),
            ({"any_ich": {"flag": 0.1}}, "clear"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, tmp_path: Path, types: dict[str, Any], words: str) -> None:
        path = tmp_path / "site.json"
        path.write_text(json.dumps({"package": "a", "site": "s", "types": types}))
        calibrations = {kind: TypeCalibration(kind == ICH, 1.0, 0.6, 0.4, 5, 5) for kind in StrokeType}
        with pytest.raises(BadSite, match=words):
            load_site(path, "a", calibrations)

    def test_a_report_without_real_studies_sets_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = make_report(7) | {"studies": []}
        (tmp_path / "r.json").write_text(json.dumps(report))
        assert main([str(tmp_path / "r.json"), "--site", "x", "--out", str(tmp_path / "o.json")]) == 2
        assert "no real studies" in capsys.readouterr().err


class TestCompare:
    def test_paired_delong_against_the_bootstrap_of_pairs(self) -> None:
        """The interval of the difference agrees with drawing studies again."""
        rng = np.random.default_rng(5)
        label = (rng.random(400) < 0.4).astype(int)
        first = rng.normal(label * 1.2, 1.0)
        second = 0.7 * first + rng.normal(label * 0.2, 0.7)
        found = paired_auroc(first, second, label)
        assert found is not None
        assert found.first - found.second == pytest.approx(found.difference.value)
        draws = []
        for seed in range(400):
            pick = np.random.default_rng(seed).integers(0, 400, 400)
            again = paired_auroc(first[pick], second[pick], label[pick])
            assert again is not None
            draws.append(again.difference.value)
        half = (found.difference.high - found.difference.low) / 2
        assert half == pytest.approx(1.96 * float(np.std(draws)), rel=0.15)

    def test_a_model_against_itself_does_not_differ(self) -> None:
        found = paired_auroc([0.1, 0.9, 0.4], [0.1, 0.9, 0.4], [0, 1, 1])
        assert found is not None
        assert (found.difference.value, found.p_value) == (0.0, 1.0)
        assert paired_auroc([0.1], [0.1], [1]) is None

    def test_a_worse_package_is_called_worse(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good, bad = make_report(9, 0.6), make_report(9, -0.3)
        rows = compare(bad, good)
        assert rows[0]["difference"]["high"] < 0
        assert not rows[0]["not_worse"]
        for name, report in (("good", good), ("bad", bad)):
            (tmp_path / f"{name}.json").write_text(json.dumps(report))
        assert compare_main([str(tmp_path / "bad.json"), str(tmp_path / "good.json")]) == 1
        assert compare_main([str(tmp_path / "good.json"), str(tmp_path / "bad.json")]) == 0
        assert "| real | any_ich |" in capsys.readouterr().out

    def test_reports_that_differ_on_the_truth_are_refused(self) -> None:
        with pytest.raises(ValueError, match="differ on the truth of"):
            compare(make_report(1), make_report(2))


def test_average_precision_against_a_case_worked_by_hand() -> None:
    # ranked + - + : precision 1 at the first, 2/3 at the second positive
    figure = Resamples(["a", "b", "c"]).figure(average_precision([0.9, 0.8, 0.7], [1, 0, 1]))
    assert figure is not None
    assert figure.value == pytest.approx((1 + 2 / 3) / 2)


class TestLocalise:
    def heat(self, truth_in_mask: bool) -> tuple[np.ndarray, Heat]:
        from tests.model.test_detect import make_volume

        volume = make_volume(5, ["iph"])
        phantom = simulate_head(5, lesions=["iph"], side=192, slices=14, fov_mm=230.0, spacing_mm=10.0)
        shown = to_model_input(volume, side=128, grid_mm=1.8)
        truth = on_mask_grid(phantom.masks[StrokeType.IPH], Heat(np.zeros((14, 64, 64), np.float32), shown))
        mask = truth if truth_in_mask else np.roll(truth, 20, axis=1)
        return truth, Heat(mask.astype(np.float32) * 0.9, shown)

    def test_a_mask_on_the_blood_finds_it_and_one_beside_is_false(self) -> None:
        truth, heat = self.heat(True)
        right = locate("a", "a", truth, heat)
        assert right.dice == 1.0
        assert right.found
        assert min(right.found) == pytest.approx(0.9)
        assert right.false == ()
        truth, heat = self.heat(False)
        wrong = locate("b", "b", truth, heat)
        assert wrong.dice == 0.0
        assert max(wrong.found) == 0.0
        assert len(wrong.false) >= 1

    def test_froc_counts_lesions_and_false_suspicions(self) -> None:
        studies = [
            Located("a", "a", 2, (0.9, 0.5), (0.7,), 0.8, 10.0, 12.0),
            Located("b", "b", 1, (0.0,), (), 0.0, 5.0, 0.0),
        ]
        assert froc(studies) == [(0.0, 1 / 3), (0.5, 1 / 3), (0.5, 2 / 3)]
        found = summarise(studies)
        assert found is not None
        assert found["lesions_found_at_false_per_study"] == {"0.25": 0.3333, "0.5": 0.6667, "1": 0.6667}
        assert found["dice"]["value"] == pytest.approx(0.4)
        assert summarise([Located("c", "c", 0, (), (), None, 0.0, 0.0)]) is None

    def test_a_mask_on_another_grid_is_refused(self, tmp_path: Path) -> None:
        from tests.model.test_detect import make_volume

        nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)), tmp_path / "m.nii")
        with pytest.raises(ValueError, match=r"m\.nii has the shape \(9, 9, 9\), the study \(14, 192, 192\)"):
            read_mask(tmp_path / "m.nii", make_volume())

    def test_a_mask_stored_the_other_way_round_lies_on_the_same_pixels(self, tmp_path: Path) -> None:
        from tests.model.test_detect import make_volume

        volume = make_volume()
        truth = np.zeros(volume.hu.shape, bool)
        truth[3, 40, 60] = True
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine[:, [2, 1, 0, 3]]
        values = truth.transpose(2, 1, 0).astype(np.uint8)
        affine[:3, 3] += affine[:3, 0] * (values.shape[0] - 1)
        affine[:3, 0] *= -1
        nibabel.save(nibabel.Nifti1Image(values[::-1], affine), tmp_path / "m.nii")
        assert np.array_equal(read_mask(tmp_path / "m.nii", volume), truth)


def test_a_real_bleed_is_drawn_where_a_picture_of_it_would_be_outlined() -> None:
    volume = load_head_ct(real_ct("haemorrhage-ct"))
    heat = Detector(SHIPPED, threads=1).heat(volume)
    bright = (volume.hu > 55) & (volume.hu < 90)
    drawn = heat.probability >= 0.5
    assert drawn.any()
    assert on_mask_grid(bright, heat)[drawn].mean() > 0.4
