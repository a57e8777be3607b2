"""Intervals in numpy alone: placements with ties as by definition, and the paired test against its parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.intervals import auroc, paired_auroc

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@given(SCORES, SCORES)
def test_the_area_is_the_share_of_pairs_in_order_ties_half(positive: list[int], negative: list[int]) -> None:
    pairs = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    found = auroc(positive, negative)
    assert found is not None
    assert found.value == pytest.approx(np.mean(pairs))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=2, max_size=12))
def test_two_models_differ_by_what_their_areas_do(rows: list[tuple[int, int, bool]]) -> None:
    first, second, truth = zip(*rows, strict=True)
    found, back = (paired_auroc(a, b, np.array(truth, int)) for a, b in ((first, second), (second, first)))
    if len(set(truth)) < 2:
        assert found is None
        return
    assert found is not None
    assert back is not None
    assert found.difference.value == pytest.approx(found.first - found.second)
    assert found.difference.value == pytest.approx(-back.difference.value)
    assert found.p_value == pytest.approx(back.p_value)
    assert 0 <= found.p_value <= 1


def test_delongs_variance_of_a_small_case_by_hand() -> None:
    # positives 3, 1 and negatives 2, 0 by the first model; all in order by the second
    found = paired_auroc([3, 1, 2, 0], [3, 2, 1, 0], [1, 1, 0, 0])
    assert found is not None
    assert (found.first, found.second) == (0.75, 1.0)
    # differences of placements: positives 0 and -1/2, negatives -1/2 and 0; each has variance 1/8
    error = np.sqrt(0.125 / 2 + 0.125 / 2)
    assert found.difference.high - found.difference.value == pytest.approx(1.959964 * error)
    assert found.p_value == pytest.approx(0.4795, abs=1e-4)  # 2 (1 - Phi(0.25 / 0.35355))
