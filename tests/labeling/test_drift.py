"""Drift in plain numbers: the index by hand, the distance by definition, the chart's limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.drift import chart, ks, psi

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_the_index_of_two_bins_by_hand() -> None:
    # the median parts the reference in halves; of 10 new scores 8 lie above; half a case is in each bin
    reference, current = [0.1] * 5 + [0.9] * 5, [0.1] * 2 + [0.9] * 8
    then, now = np.array([5.5, 5.5]) / 11, np.array([2.5, 8.5]) / 11
    assert psi(reference, current, bins=2) == pytest.approx(float(((now - then) * np.log(now / then)).sum()))


@given(SCORES, SCORES)
def test_the_index_is_never_below_0_and_0_against_itself(first: list[float], second: list[float]) -> None:
    assert psi(first, second) >= 0
    assert psi(first, first) == pytest.approx(0)


@given(SCORES, SCORES)
def test_the_distance_is_the_largest_of_the_two_shares(first: list[float], second: list[float]) -> None:
    found, limit = ks(first, second)
    whole = [*first, *second]
    shares = [abs(np.mean([a <= x for a in first]) - np.mean([b <= x for b in second])) for x in whole]
    assert found == pytest.approx(max(shares))
    assert limit == pytest.approx(1.95 * math.sqrt(1 / len(first) + 1 / len(second)))


def test_a_share_within_and_beyond_three_sigmas() -> None:
    usual = chart(10, 100, 100, 1000)
    assert (usual.centre, usual.low, usual.high) == pytest.approx((0.1, 0.005, 0.195))
    assert not usual.out
    assert chart(20, 100, 100, 1000).out
    assert not chart(1, 20, 0, 200).out  # after 200 without a flag one of 20 is no alarm
    assert chart(10, 20, 0, 200).out


def test_nothing_cannot_be_compared() -> None:
    for call in (lambda: psi([], [1.0]), lambda: ks([1.0], []), lambda: chart(0, 0, 1, 1)):
        with pytest.raises(ValueError, match="on both sides"):
            call()
