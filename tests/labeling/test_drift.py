"""Drift in plain numbers: the index by hand, the distance by definition, the chart's limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.drift import chart, ks, mix, psi

KINDS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=60)
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


def test_the_mix_of_a_fair_and_a_loaded_side_by_hand() -> None:
    found = mix(["a"] * 50 + ["b"] * 50, ["a"] * 18 + ["b"] * 2)
    # 68 a and 52 b among 120; G = 2 sum(observed log(observed / expected))
    pairs = ((50, 68 * 100 / 120), (50, 52 * 100 / 120), (18, 68 * 20 / 120), (2, 52 * 20 / 120))
    assert found.statistic == pytest.approx(2 * sum(o * math.log(o / e) for o, e in pairs))
    assert found.limit == pytest.approx(10.828, rel=0.04), "chi square of one degree of freedom at 0.1 %"
    assert found.other
    assert mix(["a"] * 60 + list("bcdef") * 20, ["a"] * 60).limit == pytest.approx(20.515, rel=0.02)


@given(KINDS, KINDS)
def test_a_mix_is_itself_and_never_below_0(first: list[str], second: list[str]) -> None:
    found = mix(first, second)
    assert found.psi >= 0
    assert found.statistic >= -1e-9
    assert not mix(first, first).other


def test_a_rare_kind_alone_is_no_other_mix() -> None:
    assert mix(["a"] * 40, ["a"] * 36 + list("bcde")).statistic > 0
    assert not mix(["a"] * 40, ["a"] * 18 + ["b", "c"]).other


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
