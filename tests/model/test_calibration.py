"""Temperature, thresholds, and the three answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import (
    TypeCalibration,
    choose_thresholds,
    decide,
    fit_temperature,
    overall,
    sigmoid,
    with_flags,
)
from model.stroke import Decision, StrokeType

YES = TypeCalibration(assessed=True, temperature=1.0, flag=0.6, clear=0.3, num_positive=9, num_negative=9)
NO = TypeCalibration(assessed=False, temperature=1.0, flag=0.5, clear=0.5, num_positive=0, num_negative=0)


def calibrations() -> dict[StrokeType, TypeCalibration]:
    return {kind: YES if kind in (StrokeType.ANY_ICH, StrokeType.IPH) else NO for kind in StrokeType}


def logits(**values: float) -> list[float]:
    return [float(np.log(values.get(kind, 0.05) / (1 - values.get(kind, 0.05)))) for kind in StrokeType]


class TestFitTemperature:
    def test_overconfident_logits_are_cooled(self) -> None:
        rng = np.random.default_rng(0)
        true = rng.normal(0, 1.5, 4000)
        labels = (rng.random(4000) < sigmoid(true)).astype(float)
        assert fit_temperature(3.0 * true, labels) == pytest.approx(3.0, rel=0.1)


class TestChooseThresholds:
    def test_overlap_is_left_to_a_person(self) -> None:
        positive, negative = np.linspace(0.3, 1.0, 101), np.linspace(0.0, 0.6, 101)
        clear, flag = choose_thresholds(positive, negative, sensitivity=0.99, specificity=0.95)
        assert (positive >= clear).mean() >= 0.99
        assert (negative < flag).mean() >= 0.95
        assert clear < flag

    def test_a_gap_is_cut_in_thirds_of_log_odds(self) -> None:
        clear, flag = choose_thresholds(
            sigmoid(np.array([3.0, 5.0])), sigmoid(np.array([-5.0, -3.0])), sensitivity=1.0, specificity=1.0
        )
        assert clear == pytest.approx(float(sigmoid(np.array(-1.0))), abs=1e-6)
        assert flag == pytest.approx(float(sigmoid(np.array(1.0))), abs=1e-6)

    def test_an_empty_group_is_refused(self) -> None:
        with pytest.raises(ValueError, match="0 positive"):
            choose_thresholds(np.array([]), np.array([0.5]), sensitivity=0.9, specificity=0.9)


class TestDecide:
    def test_a_type_not_proven_has_no_number(self) -> None:
        scores = {score.stroke_type: score for score in decide(logits(sdh=0.99), calibrations())}
        assert scores[StrokeType.SDH].decision is Decision.NOT_ASSESSED
        assert scores[StrokeType.SDH].probability is None
        assert scores[StrokeType.ANY_ICH].probability == pytest.approx(0.05)

    @pytest.mark.parametrize(
        ("probability", "decision"),
        [(0.6, Decision.FLAG), (0.59, Decision.REVIEW), (0.3, Decision.REVIEW), (0.29, Decision.CLEAR)],
    )
    def test_three_answers(self, probability: float, decision: Decision) -> None:
        score = decide(logits(any_ich=probability + 1e-9), calibrations())[0]
        assert score.decision is decision
        assert f"{probability:.3f}" in score.reason

    def test_any_bleed_is_at_least_its_kinds(self) -> None:
        scores = decide(logits(any_ich=0.2, iph=0.9), calibrations())
        assert scores[0].probability == scores[1].probability == pytest.approx(0.9)
        assert scores[0].decision is Decision.FLAG

    def test_doubt_takes_back_clear_but_never_a_flag(self) -> None:
        doubtful = decide(
            logits(any_ich=0.1, iph=0.9), calibrations(), doubts=["the input carries the note motion"]
        )
        assert doubtful[1].decision is Decision.FLAG
        quiet = decide(logits(any_ich=0.1), calibrations(), doubts=["the input carries the note motion"])
        assert quiet[0].decision is Decision.REVIEW
        assert "motion" in quiet[0].reason

    def test_the_study_is_as_urgent_as_its_worst_type(self) -> None:
        assert overall(decide(logits(any_ich=0.9), calibrations())) is Decision.FLAG
        assert overall(decide(logits(any_ich=0.4), calibrations())) is Decision.REVIEW
        assert overall(decide(logits(), calibrations())) is Decision.CLEAR
        assert overall(decide(logits(), dict.fromkeys(StrokeType, NO))) is Decision.REVIEW


class TestWithFlags:
    @given(st.floats(0.001, 0.999), st.floats(0, 1))
    def test_no_flag_threshold_clears_what_was_due_for_review(self, probability: float, flag: float) -> None:
        said = logits(any_ich=probability)
        before = decide(said, calibrations())[0]
        after = decide(said, with_flags(calibrations(), {StrokeType.ANY_ICH: flag}))[0]
        assert after.threshold == flag
        if before.decision is Decision.REVIEW:
            assert after.decision in (Decision.REVIEW, Decision.FLAG)
        if before.decision is Decision.FLAG and after.decision is not Decision.FLAG:
            assert after.decision is Decision.REVIEW

    def test_other_types_and_those_not_proven_stay(self) -> None:
        found = with_flags(calibrations(), {StrokeType.ANY_ICH: 0.2, StrokeType.SDH: 0.9})
        assert (found[StrokeType.ANY_ICH].flag, found[StrokeType.ANY_ICH].clear) == (0.2, 0.2)
        assert (found[StrokeType.IPH], found[StrokeType.SDH]) == (YES, NO)


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clear 0\.8 <= flag 0\.2"):
        TypeCalibration(True, 1.0, 0.2, 0.8, 1, 1)
