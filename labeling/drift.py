"""Whether what a model says has drifted: scores against those of reference weeks, shares against their chart.

In numpy alone, and of plain numbers: what a week, a hospital or a score is, the hub knows.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]

BINS = 10
PSI_LIMIT = 0.25
"""From here on a distribution counts as another (Siddiqi, Credit Risk Scorecards, 2006)."""
KS_LIMIT = 1.95
"""c(0.001): with 88 hospitals a week a limit at 5 % would raise four false alarms each Monday."""
SIGMAS = 3.0
"""Of Shewhart's chart."""
Z_LIMIT = 3.0902
"""The normal quantile at 0.1 %."""
RARE = 5
"""Cases of a kind on both sides together below which it counts with the other rare ones."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A share on its control chart."""

    share: float
    centre: float
    low: float
    high: float

    @property
    def out(self) -> bool:
        """Whether it lies beyond the limits."""
        return not self.low <= self.share <= self.high


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of which kind there is, against the reference."""

    psi: float
    statistic: float
    """The likelihood ratio's (G), of both sides coming from one mix."""
    limit: float
    """At 0.1 %, for the same reason as KS_LIMIT."""

    @property
    def other(self) -> bool:
        """Whether the mix is another; the index alone is loud where a week is small."""
        return self.psi > PSI_LIMIT and self.statistic > self.limit


def psi(reference: Sequence[float], current: Sequence[float], *, bins: int = BINS) -> float:
    """Population stability index over bins of equal mass of the reference; half a case in each empty bin.

    Raises:
        ValueError: one of them is empty.
    """
    if not len(reference) or not len(current):
        raise ValueError(
            f"the index needs scores on both sides, there are {len(reference)} and {len(current)}"
        )
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for scores in (reference, current):
        counts = np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return _index(*shares)


def mix(reference: Sequence[str], current: Sequence[str]) -> Mix:
    """The index and the G test over kinds; half a case of each kind on either side in the index.

    Raises:
        ValueError: one of them is empty.
    """
    if not len(reference) or not len(current):
        raise ValueError(f"a mix needs cases on both sides, there are {len(reference)} and {len(current)}")
    whole = Counter([*reference, *current])
    # the rare ones as one: the test is no test where next to none of a kind are expected
    named = {kind: kind if number >= RARE else "" for kind, number in whole.items()}
    kinds = sorted(set(named.values()))
    sides = [Counter(named[kind] for kind in side) for side in (reference, current)]
    table = np.array([[side[kind] for kind in kinds] for side in sides], np.float64)
    smooth = table + 0.5
    index = _index(*(smooth / smooth.sum(axis=1, keepdims=True)))
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    ratio = np.where(table > 0, table / expected, 1.0)
    return Mix(index, float(2 * (table * np.log(ratio)).sum()), _chi_square_limit(len(kinds) - 1))


def _index(then: Shares, now: Shares) -> float:
    return float(((now - then) * np.log(now / then)).sum())


def _chi_square_limit(freedom: int) -> float:
    """The 99.9th percentile of chi square (Wilson and Hilferty, 1931; 3 % too high for one degree)."""
    if freedom == 0:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + Z_LIMIT * math.sqrt(part)) ** 3)


def ks(reference: Sequence[float], current: Sequence[float]) -> tuple[float, float]:
    """Kolmogorov and Smirnov's largest distance of the two distributions, and its limit at 0.1 %.

    Raises:
        ValueError: one of them is empty.
    """
    if not len(reference) or not len(current):
        raise ValueError(
            f"the test needs scores on both sides, there are {len(reference)} and {len(current)}"
        )
    first, second = np.sort(reference), np.sort(current)
    points = np.concatenate([first, second])
    below = [np.searchsorted(each, points, side="right") / len(each) for each in (first, second)]
    distance = float(np.abs(below[0] - below[1]).max())
    return distance, KS_LIMIT * math.sqrt(1 / len(first) + 1 / len(second))


def chart(hits: int, number: int, reference_hits: int, reference_number: int) -> Chart:
    """A share of cases on the p-chart that the reference makes.

    Raises:
        ValueError: there are no cases on one side.
    """
    if not number or not reference_number:
        raise ValueError(f"a chart needs cases on both sides, there are {reference_number} and {number}")
    centre = reference_hits / reference_number
    # of a reference without a hit, or with nothing else, the spread is that of half a case
    spread = min(max(centre, 0.5 / reference_number), 1 - 0.5 / reference_number)
    half = SIGMAS * math.sqrt(spread * (1 - spread) / number) + 0.5 / number  # corrected for continuity
    return Chart(hits / number, centre, max(0.0, centre - half), min(1.0, centre + half))
