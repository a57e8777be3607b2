"""Figures against known cases, and the command on simulated DICOM."""

import json
from pathlib import Path

import pytest

from model.calibration import TypeCalibration
from model.stroke import StrokeType
from training.evaluate import main
from training.intervals import auroc, proportion
from training.report import ScoredStudy, as_table, paired, summarise

CALIBRATIONS = {kind: TypeCalibration(kind == "any_ich", 1.0, 0.6, 0.4, 5, 5) for kind in StrokeType}


def scored(name: str, population: str, logit: float, label: int) -> ScoredStudy:
    return ScoredStudy(name, population, name[:1], (logit,) + (0.0,) * 9, (), {StrokeType.ANY_ICH: label})


class TestIntervals:
    def test_wilson_against_a_known_case(self) -> None:
        figure = proportion(8, 10)  # R: prop.test(8, 10, correct = FALSE)
        assert figure is not None
        assert (figure.low, figure.high) == pytest.approx((0.4901625, 0.9433178), abs=1e-5)

    def test_delong_against_a_case_worked_by_hand(self) -> None:
        # 8 of 9 pairs ranked rightly; both groups' placement values are {1, 1, 2/3}, variance 1/27 each
        figure = auroc([0.8, 0.7, 0.6], [0.65, 0.4, 0.3])
        assert figure is not None
        assert figure.value == pytest.approx(8 / 9)
        assert figure.low == pytest.approx(8 / 9 - 1.959964 * (2 / 81) ** 0.5)
        assert figure.high == 1.0

    def test_ties_count_half(self) -> None:
        figure = auroc([0.5, 0.9], [0.5, 0.1])
        assert figure is not None
        assert figure.value == pytest.approx(0.875)

    def test_perfect_ranking_of_few_is_not_called_certain(self) -> None:
        figure = auroc([0.9, 0.8, 0.7], [0.1, 0.2, 0.3])
        assert figure is not None
        assert figure.value == 1.0
        assert figure.low < 0.5

    def test_nothing_gives_nothing(self) -> None:
        assert proportion(0, 0) is None
        assert auroc([], [1.0]) is None


class TestReport:
    def test_simulated_and_real_never_share_a_row(self) -> None:
        studies = [scored(f"{p}{i}", p, float(i), i % 2) for p in ("real", "phantom") for i in range(4)]
        rows = summarise(studies, CALIBRATIONS)
        assert [(row["population"], row["num_positive"]) for row in rows] == [("real", 2), ("phantom", 2)]
        assert as_table(rows).count("\n") == 3

    def test_pairs_compare_a_head_with_itself(self) -> None:
        studies = [scored("a1", "sich", 2.0, 1), scored("a2", "sich", 1.0, 0), scored("b1", "sich", 0.0, 1)]
        figure = paired(studies, "sich")
        assert figure is not None
        assert (figure["value"], figure["num"]) == (1.0, 1)


class TestCommand:
    def test_a_missing_manifest_ends_with_code_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(tmp_path), str(tmp_path / "manifest.jsonl")]) == 2
        assert "MANIFEST" in capsys.readouterr().err

    def test_simulated_studies_are_scored_from_their_files(self, tmp_path: Path) -> None:
        from model.weights import SHIPPED
        from training.simulate import main as simulate

        assert simulate([str(tmp_path), "--n", "3", "--seed", "3", "--side", "256", "--mix", "train"]) == 0
        assert main([str(SHIPPED), str(tmp_path / "manifest.jsonl"), "--threads", "1"]) == 0
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["num_studies"] == 3
        assert {row["population"] for row in report["figures"]} <= {"phantom"}
