"""Calibration figures against cases worked by hand and against known generators."""

import numpy as np
import pytest

from training.reliability import brier, calibration_error, curve, equal_mass, recalibration


def coin(slope: float, shift: float, num: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truths whose true log odds are slope * said + shift."""
    rng = np.random.default_rng(5)
    odds = rng.normal(0, 1.5, num)
    truth = rng.random(num) < 1 / (1 + np.exp(-(slope * odds + shift)))
    return 1 / (1 + np.exp(-odds)), truth.astype(np.float64)


class TestBrier:
    def test_by_hand(self) -> None:
        assert brier(np.array([0.9, 0.2]), np.array([1.0, 0.0])) == pytest.approx((0.01 + 0.04) / 2)

    def test_weights_count_studies_again(self) -> None:
        weighted = brier(np.array([0.9, 0.2]), np.array([1.0, 0.0]), np.array([3.0, 1.0]))
        assert weighted == pytest.approx((3 * 0.01 + 0.04) / 4)


class TestCalibrationError:
    def test_by_hand(self) -> None:
        # 30 studies, 15 bins of two: each says 0.5 twice and finds one positive, but the last finds two
        probability = np.full(30, 0.5)
        label = np.tile([0.0, 1.0], 15)
        assert calibration_error(probability, label) == pytest.approx(0.0)
        label[28] = 1.0
        assert calibration_error(probability, label) == pytest.approx(2 / 30 * 0.5)

    def test_bins_have_equal_mass(self) -> None:
        assert {len(part) for part in equal_mass(np.random.default_rng(0).random(150))} == {10}
        assert [len(part) for part in equal_mass(np.zeros(4))] == [1, 1, 1, 1]

    def test_a_drawn_study_counts_as_often_as_it_was_drawn(self) -> None:
        probability, label = np.array([0.2, 0.8]), np.array([0.0, 1.0])
        assert calibration_error(probability, label, np.array([3.0, 1.0])) == pytest.approx(0.2)


def test_the_curve_holds_every_study_once() -> None:
    probability, label = coin(1.0, 0.0, 1000)
    bins = curve(probability, label)
    assert sum(each.found.num for each in bins) == 1000
    assert [each.said for each in bins] == sorted(each.said for each in bins)


class TestRecalibration:
    def test_finds_the_slope_and_shift_that_were_put_in(self) -> None:
        for slope, shift in ((1.0, 0.0), (0.5, 0.0), (1.0, -1.0)):
            fit = recalibration(*coin(slope, shift))
            assert fit is not None
            assert fit[0].low < slope < fit[0].high
            assert fit[0].high - fit[0].low < 0.3
            if slope == 1.0:
                assert fit[1].low < shift < fit[1].high

    def test_in_the_large_is_the_log_odds_of_the_share_where_half_was_said(self) -> None:
        probability = np.repeat([0.499, 0.501], 20)
        label = np.tile([1.0, 1.0, 1.0, 0.0], 10)
        fit = recalibration(probability, label)
        assert fit is not None
        assert fit[0].value == pytest.approx(0.0, abs=1e-6)
        assert fit[1].value == pytest.approx(np.log(3), abs=1e-4)

    def test_nothing_is_fitted_to_groups_that_do_not_overlap(self) -> None:
        assert recalibration(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])) is None
        assert recalibration(np.array([0.1, 0.2]), np.array([0.0, 0.0])) is None
        assert recalibration(np.array([0.5, 0.5]), np.array([0.0, 1.0])) is None
