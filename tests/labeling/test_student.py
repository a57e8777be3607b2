"""Student's t without scipy gives what scipy gives; atan of one degree is Cauchy's."""

import pytest
from scipy.stats import t

from labeling.student import EXACT_TO, t975


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 30, 31, EXACT_TO, EXACT_TO + 1, 1000, 10**6])
def test_the_point_is_that_of_scipy(freedom: int) -> None:
    assert t975(freedom) == pytest.approx(float(t.ppf(0.975, freedom)), rel=1e-8)
