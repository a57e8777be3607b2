"""Whether probabilities mean what they say: Brier, expected calibration error, slope, and the curve."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.intervals import Z95, Figure, proportion

Floats = npt.NDArray[np.float64]

NUM_BINS = 15
EDGE = 1e-6
"""Probabilities nearer than this to 0 or 1 are moved here before their log odds are taken."""
NEWTON_STEPS = 100


@dataclass(frozen=True, slots=True)
class Bin:
    """Studies of similar probability: what was said of them, and what they were."""

    said: float
    """Mean probability."""
    found: Figure
    """Share of positives, with Wilson's interval."""


def brier(probability: Floats, label: Floats, weight: Floats | None = None) -> float:
    """Mean squared distance of the probability from the truth; 0 is perfect, 0.25 is always saying 0.5."""
    return float(np.average((probability - label) ** 2, weights=weight))


def equal_mass(probability: Floats, num_bins: int = NUM_BINS) -> list[npt.NDArray[np.int64]]:
    """Indices by bin, bins of equal numbers (as far as they divide) in the order of probability."""
    order = np.argsort(probability, kind="stable")
    return [part for part in np.array_split(order, num_bins) if len(part)]


def calibration_error(probability: Floats, label: Floats, weight: Floats | None = None) -> float:
    """Expected calibration error over 15 bins of equal mass.

    Zero only in the limit: with few studies a bin's share of positives scatters, so that even a perfect model
    shows an error.
    """
    weights = np.ones(len(label)) if weight is None else weight
    away = 0.0
    for part in equal_mass(probability):
        away += abs(float((weights[part] * (probability[part] - label[part])).sum()))
    return away / float(weights.sum())


def curve(probability: Floats, label: Floats) -> list[Bin]:
    """The bins of the calibration curve."""
    bins = []
    for part in equal_mass(probability):
        found = proportion(int(label[part].sum()), len(part))
        assert found is not None
        bins.append(Bin(float(probability[part].mean()), found))
    return bins


def recalibration(probability: Floats, label: Floats) -> tuple[Figure, Figure] | None:
    """Calibration slope, and calibration in the large, with Wald's intervals.

    The slope is that of a logistic regression of the truth on the log odds: 1 is right, below 1 the
    probabilities are too extreme. In the large is the intercept where the slope is held at 1: 0 is right,
    above 0 there are more positives than was said.

    Returns:
        None where it cannot be fitted: one group is missing, all probabilities are equal, or the groups do
        not overlap at all.

    Van Calster et al., BMC Medicine 2019;17:230.
    """
    clipped = np.clip(probability, EDGE, 1 - EDGE)
    odds = np.log(clipped / (1 - clipped))
    positive, negative = odds[label == 1], odds[label == 0]
    if len(positive) == 0 or len(negative) == 0 or float(np.ptp(odds)) < 1e-9:
        return None
    if positive.min() >= negative.max() or positive.max() <= negative.min():
        return None
    both = _logistic(np.stack([np.ones_like(odds), odds], axis=1), np.zeros_like(odds), label)
    large = _logistic(np.ones((len(odds), 1)), odds, label)
    if both is None or large is None:
        return None
    return _wald(both, 1, len(odds)), _wald(large, 0, len(odds))


def _logistic(design: Floats, offset: Floats, label: Floats) -> tuple[Floats, Floats] | None:
    """Coefficients and their covariance by Newton's method; None if it does not settle."""
    coefficients = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(design @ coefficients + offset, -30, 30)))
        curvature = design.T @ (design * (fitted * (1 - fitted))[:, None])
        if np.linalg.cond(curvature) > 1e12:
            return None
        step = np.linalg.solve(curvature, design.T @ (label - fitted))
        coefficients = coefficients + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            return coefficients, np.asarray(np.linalg.inv(curvature))
    return None


def _wald(fit: tuple[Floats, Floats], index: int, num: int) -> Figure:
    value, half = float(fit[0][index]), Z95 * float(np.sqrt(fit[1][index, index]))
    return Figure(value, value - half, value + half, num)
