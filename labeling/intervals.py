"""How sure a figure is: Wilson's interval of a proportion, DeLong's of an area under the ROC curve.

In numpy alone: the hub's API judges models by it, and is kept free of scipy.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval and the number of studies behind it."""

    value: float
    low: float
    high: float
    num: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f}, n={self.num})"


def proportion(hits: int, num: int) -> Figure | None:
    """A proportion with Wilson's interval; None of nothing."""
    if num == 0:
        return None
    share = hits / num
    centre = (share + Z95**2 / (2 * num)) / (1 + Z95**2 / num)
    half = Z95 * np.sqrt(share * (1 - share) / num + Z95**2 / (4 * num**2)) / (1 + Z95**2 / num)
    return Figure(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)), num)


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> Figure | None:
    """Area under the ROC curve with DeLong's interval; None if a group is empty.

    Where nothing is misranked DeLong's variance is 0 and says nothing; the lower end is then Wilson's for
    as many successes as the smaller group has studies.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837.
    """
    first, second = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    num_first, num_second = len(first), len(second)
    if num_first == 0 or num_second == 0:
        return None
    truth = np.arange(num_first + num_second) < num_first
    over, under = _placements(np.concatenate([first, second]), truth)
    area = float(over.mean())
    variance = _variance(over) / num_first + _variance(under) / num_second
    if variance < 1e-12:
        sure = proportion(min(num_first, num_second), min(num_first, num_second))
        assert sure is not None
        low, high = (sure.low, 1.0) if area > 0.5 else (0.0, 1 - sure.low)
        return Figure(area, low, high, num_first + num_second)
    half = Z95 * float(np.sqrt(variance))
    return Figure(area, max(0.0, area - half), min(1.0, area + half), num_first + num_second)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models on the same studies."""

    first: float
    second: float
    """Areas under the ROC curve."""
    difference: Figure
    """First minus second."""
    p_value: float
    """Two-sided, of no difference."""


def paired_auroc(first: npt.ArrayLike, second: npt.ArrayLike, labels: npt.ArrayLike) -> Paired | None:
    """Difference of two AUROCs over the same studies with DeLong's interval; None if a group is empty.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837.
    """
    truth = np.asarray(labels) == 1
    num_positive, num_negative = int(truth.sum()), int((~truth).sum())
    if num_positive == 0 or num_negative == 0:
        return None
    parts = [_placements(np.asarray(scores, np.float64), truth) for scores in (first, second)]
    areas = [float(over.mean()) for over, _ in parts]
    over = parts[0][0] - parts[1][0]
    under = parts[0][1] - parts[1][1]
    variance = sum(
        float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0 for values in (over, under)
    )
    value, error = areas[0] - areas[1], float(np.sqrt(variance))
    figure = Figure(value, value - Z95 * error, value + Z95 * error, num_positive + num_negative)
    p_value = 1.0 if error == 0 else math.erfc(abs(value) / error / math.sqrt(2))
    return Paired(areas[0], areas[1], figure, p_value)


def _placements(
    scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each positive the share of negatives below it, of each negative that of positives above it."""
    positive, negative = scores[truth], scores[~truth]
    return _share_below(negative, positive), 1 - _share_below(positive, negative)


def _share_below(others: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each score the share of the others below it; those that are equal count half."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / 2 / len(others), np.float64)


def _variance(values: npt.NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.25
