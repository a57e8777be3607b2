"""The 97.5 % point of Student's t, for intervals, without scipy: the hub's API has no room for it."""

from functools import cache
from math import cos, pi, sin, sqrt, tan

CONFIDENCE = 0.95
EXACT_TO = 200
"""Degrees of freedom up to which the distribution is summed; the expansion is good to 1e-9 above."""
Z975 = 1.959963984540054


@cache
def t975(freedom: int) -> float:
    """The point that |t| stays under in 95 % of cases.

    Args:
        freedom: Degrees of freedom, from 1.

    Abramowitz and Stegun, 26.7.3 and 26.7.4 (the distribution), 26.7.5 (its inverse for many degrees).
    """
    assert freedom >= 1, freedom
    if freedom > EXACT_TO:
        return _expanded(freedom)
    low, high = 0.0, pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, freedom) < CONFIDENCE else (low, middle)
    return tan(low) * sqrt(freedom)


def _inside(angle: float, freedom: int) -> float:
    """The share of |t| under tan(angle) times the root of the degrees of freedom."""
    if freedom == 1:
        return 2 * angle / pi
    odd = freedom % 2
    term = cos(angle) if odd else 1.0
    total = 0.0
    for step in range(freedom // 2):
        total += term
        top = 2 * step + 1 + odd
        term *= cos(angle) ** 2 * top / (top + 1)
    total *= sin(angle)
    return 2 / pi * (angle + total) if odd else total


def _expanded(freedom: int) -> float:
    z = Z975
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
