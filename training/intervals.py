"""How sure a figure is: Wilson's interval of a proportion, DeLong's of an area under the ROC curve."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

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
    ranks = stats.rankdata(np.concatenate([first, second]))
    over = (ranks[:num_first] - stats.rankdata(first)) / num_second  # of each positive: negatives below it
    under = 1 - (ranks[num_first:] - stats.rankdata(second)) / num_first
    area = float(over.mean())
    variance = _variance(over) / num_first + _variance(under) / num_second
    if variance < 1e-12:
        sure = proportion(min(num_first, num_second), min(num_first, num_second))
        assert sure is not None
        low, high = (sure.low, 1.0) if area > 0.5 else (0.0, 1 - sure.low)
        return Figure(area, low, high, num_first + num_second)
    half = Z95 * float(np.sqrt(variance))
    return Figure(area, max(0.0, area - half), min(1.0, area + half), num_first + num_second)


def _variance(values: npt.NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.25
