"""Every figure of a small set that can be counted by hand."""

from typing import Any

import pytest

from model.calibration import TypeCalibration
from model.stroke import Decision, StrokeType
from training.gallery import pick_cases
from training.judgement import Reading, Refused, judge, predictive_value

ICH = StrokeType.ANY_ICH
CALIBRATIONS = {kind: TypeCalibration(kind == "any_ich", 1.0, 0.6, 0.3, 9, 9) for kind in StrokeType}
POSITIVE = (0.9, 0.8, 0.7, 0.4, 0.1)
NEGATIVE = (0.2, 0.2, 0.1, 0.1, 0.05, 0.5, 0.65, 0.02)
VOLUMES = (40.0, 26.0, 12.0, 3.0, 1.0)


def reading(name: str, label: int, probability: float, population: str = "real", **row: Any) -> Reading:
    answer = (
        Decision.FLAG if probability >= 0.6 else Decision.REVIEW if probability >= 0.3 else Decision.CLEAR
    )
    return Reading(name, population, name, {ICH: label}, {ICH: probability}, {ICH: answer}, row)


def readings(population: str = "real") -> list[Reading]:
    positive = [
        reading(f"{population}-p{n}", 1, p, population, lesion_ml={"any_ich": ml}, hospital="A", tilt_deg=-12)
        for n, (p, ml) in enumerate(zip(POSITIVE, VOLUMES, strict=True))
    ]
    negative = [
        reading(f"{population}-n{n}", 0, p, population, hospital="B" if n else "A")
        for n, p in enumerate(NEGATIVE)
    ]
    return positive + negative


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    refused = [Refused("r", "real", {ICH: 1}, ("contrast",), "contrast")]
    rows = judge(readings(), refused, CALIBRATIONS, prevalences=[0.1], resamples=200)
    assert len(rows) == 1
    return rows[0]


class TestJudge:
    def test_shares_at_the_frozen_thresholds(self, row: dict[str, Any]) -> None:
        assert row["sensitivity_at_flag"]["value"] == pytest.approx(3 / 5)
        assert row["specificity_at_flag"]["value"] == pytest.approx(7 / 8)
        assert row["positives_cleared"]["value"] == pytest.approx(1 / 5)
        assert row["auroc"]["num"] == 13

    def test_three_ways_and_the_refused(self, row: dict[str, Any]) -> None:
        assert row["three_way"]["positive"] == {"flag": 3, "review": 1, "clear": 1, "refused": 1}
        assert row["three_way"]["negative"] == {"flag": 1, "review": 1, "clear": 6, "refused": 0}

    def test_predictive_values_at_the_given_prevalence(self, row: dict[str, Any]) -> None:
        (at_site,) = row["predictive_values"]
        assert at_site["ppv_of_flag"]["value"] == pytest.approx(0.06 / (0.06 + 0.9 / 8), abs=1e-4)
        assert at_site["npv_of_clear"]["value"] == pytest.approx(0.675 / (0.675 + 0.02), abs=1e-4)
        assert at_site["flags_in_100"] == pytest.approx(17.2, abs=0.06)

    def test_missed_by_volume(self, row: dict[str, Any]) -> None:
        bands = {each["group"]: each for each in row["missed_by_volume"]}
        assert [(each["num"], each["flag"]) for each in bands.values()] == [(2, 0), (1, 1), (2, 2)]
        missed = bands["under 5 mL"]["not_flagged"]
        assert [(case["case"], case["answer"]) for case in missed] == [
            ("real-p4", "clear"),
            ("real-p3", "review"),
        ]

    def test_strata_are_the_columns_that_are_there(self, row: dict[str, Any]) -> None:
        strata = {(each["column"], each["group"]): each for each in row["strata"]}
        assert {column for column, _ in strata} == {"hospital", "gantry tilt", "lesion volume"}
        hospital = strata["hospital", "A"]
        assert (hospital["num_positive"], hospital["num_negative"]) == (5, 1)
        assert strata["gantry tilt", "5 to under 15 deg"]["num_positive"] == 5
        assert strata["gantry tilt", "not given"]["sensitivity"] is None

    def test_simulated_and_real_never_meet(self) -> None:
        both = judge(
            readings("phantom") + readings("real"), [], CALIBRATIONS, prevalences=[0.1], resamples=50
        )
        assert [(each["population"], each["num_positive"]) for each in both] == [("real", 5), ("phantom", 5)]

    def test_one_sided_truth_gives_no_row(self) -> None:
        assert judge(readings()[:5], [], CALIBRATIONS, prevalences=[0.1]) == []


class TestStrataBar:
    def test_a_large_group_that_lags_is_named(self) -> None:
        good = [reading(f"g{n}", 1, 0.9, hospital="good") for n in range(60)]
        bad = [reading(f"b{n}", 1, 0.9 if n < 12 else 0.2, hospital="bad") for n in range(20)]
        few = [reading(f"f{n}", 1, 0.2, hospital="few") for n in range(3)]
        (row,) = judge(
            [*good, *bad, *few, reading("n", 0, 0.1)], [], CALIBRATIONS, prevalences=[0.1], resamples=20
        )
        lags = {each["group"]: each["lags"] for each in row["strata"] if each["column"] == "hospital"}
        assert lags == {"bad": True, "few": False, "good": False, "not given": False}


class TestPredictiveValue:
    def test_the_table_of_the_design(self) -> None:
        # model.md 5.2: sensitivity .95, specificity .90
        found = [predictive_value(0.95, 0.10, prevalence) for prevalence in (0.02, 0.05, 0.10, 0.30)]
        assert found == pytest.approx([0.16, 0.33, 0.51, 0.80], abs=0.006)

    def test_an_answer_that_nobody_gets_has_none(self) -> None:
        assert predictive_value(0.0, 0.0, 0.1) is None


class TestPicks:
    def test_worst_come_first_and_none_twice(self) -> None:
        picks = pick_cases(readings(), ICH, count=2)
        assert [(each.why, each.name) for each in picks[:4]] == [
            ("positive, lowest", "real-p4"),
            ("positive, lowest", "real-p3"),
            ("negative, highest", "real-n6"),
            ("negative, highest", "real-n5"),
        ]
        assert len({each.name for each in picks}) == len(picks) == 8
