"""Figures against known cases, and the command on simulated DICOM."""

import json
import re
from pathlib import Path

import pytest

from model.calibration import TypeCalibration
from model.phantom import Fault
from model.stroke import Decision, StrokeType
from model.weights import SHIPPED
from training.evaluate import by_thresholds, main
from training.intervals import auroc, proportion
from training.report import ScoredStudy, as_table, paired, summarise
from training.simulate import MIXES
from training.simulate import main as simulate
from training.simulate import simulate as simulate_plans

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

    def test_a_row_without_source_ends_with_code_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "manifest.jsonl").write_text('{"case": "a", "labels": {}}')
        assert main([str(SHIPPED), str(tmp_path / "manifest.jsonl"), "--threads", "1"]) == 2
        assert "line 1: source None" in capsys.readouterr().err


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, tiny_package: Path) -> Path:
    """The reports on eight small simulated studies, one of them declared real, and one of a child."""
    folder = tmp_path_factory.mktemp("studies")
    arguments = ["--seed", "77", "--side", "192"]
    assert simulate([str(folder), "--n", "8", "--mix", "train", *arguments]) == 0
    [child_plan] = [plan for plan in MIXES["demo"](8, 77) if Fault.CHILD in plan.faults]
    more = simulate_plans(folder / "more", [child_plan], side=192, workers=1)
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    child = json.loads(more.read_text())
    rows += [{**child, "case": f"more/{child['case']}"}]
    rows[0]["source"] = "real"
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    arguments = ["--threads", "1", "--cases", "1", "--prevalence", "0.07"]
    assert (
        main([str(tiny_package), str(folder / "manifest.jsonl"), "--out", str(folder / "out"), *arguments])
        == 0
    )
    return folder / "out"


class TestReports:
    def test_simulated_studies_are_read_from_their_files(self, out: Path) -> None:
        report = json.loads((out / "report.json").read_text())
        assert report["num_by_population"] == {"real": 1, "phantom": 8}
        assert {row["population"] for row in report["figures"]} == {"phantom"}
        row = next(row for row in report["figures"] if row["stroke_type"] == "any_ich")
        answered = sum(sum(words.values()) for words in row["three_way"].values())
        assert answered == 8
        assert row["predictive_values"][0]["prevalence"] == 0.07
        assert {"header dialect", "slice thickness", "age", "sex"} <= {s["column"] for s in row["strata"]}

    def test_the_refused_are_counted_with_their_reasons(self, out: Path) -> None:
        report = json.loads((out / "report.json").read_text())
        assert report["refusals"] == {"under_18": 1}
        assert "years old" in report["refused"][0]["text"]

    def test_the_page_is_whole_in_itself(self, out: Path) -> None:
        page = (out / "report.html").read_text()
        assert page.count("<svg") == 2 * 4
        assert "data:image/webp;base64," in page
        assert not re.findall(r'(?:src|href)="(?!data:)', page)
        assert "<script" not in page
        assert "they say nothing about" in page

    def test_the_thai_page_says_the_same_figures(self, out: Path) -> None:
        page, thai = ((out / name).read_text() for name in ("report.html", "report.th.html"))
        assert thai.startswith('<!doctype html><html lang="th">')
        assert "ใช้เพื่อการวิจัยเท่านั้น" in thai
        assert "<h4>What was answered</h4>" in page
        assert "<h4>What was answered</h4>" not in thai
        figures = re.compile(r"\d\.\d{3} \([^)]*\)")
        assert figures.findall(page) == figures.findall(thai)

    def test_every_study_is_kept_for_comparison(self, out: Path) -> None:
        report = json.loads((out / "report.json").read_text())
        assert len(report["studies"]) == 8
        assert set(report["studies"][0]["probabilities"]) == set(StrokeType)


def test_thresholds_answer_for_types_not_assessed() -> None:
    calibration = CALIBRATIONS[StrokeType.SAH]
    assert [by_thresholds(p, calibration) for p in (0.6, 0.4, 0.3)] == [
        Decision.FLAG,
        Decision.REVIEW,
        Decision.CLEAR,
    ]
