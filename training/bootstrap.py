"""Intervals by drawing patients again: all studies of a patient go together, since they are alike."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from training.intervals import Figure

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], float]
"""From how often each study was drawn to a figure; nan where that draw has none."""

RESAMPLES = 2000
SEED = 20_260_101


class Resamples:
    """Draws of patients with replacement; the same patients and seed give the same draws."""

    def __init__(self, patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        """Draw.

        Args:
            patients: Of each study.
            resamples: Number of draws.
            seed: Of the draws.
        """
        names, of_study = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
        self.num_patients = len(names)
        self.num_studies = len(of_study)
        drawn = np.random.default_rng(seed).multinomial(
            self.num_patients, np.full(self.num_patients, 1 / max(1, self.num_patients)), size=resamples
        )
        self._weights = drawn[:, of_study].astype(np.float64)

    def figure(self, statistic: Statistic) -> Figure | None:
        """A figure with its percentile interval; None where the studies themselves have no such figure."""
        value = statistic(np.ones(self.num_studies))
        if not np.isfinite(value):
            return None
        drawn = np.array([statistic(weights) for weights in self._weights])
        low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])
        return Figure(value, float(low), float(high), self.num_patients)


def share(counted: npt.ArrayLike, among: npt.ArrayLike) -> Statistic:
    """The share of studies that are `counted` among those that are `among`."""
    hits = np.asarray(counted, np.float64) * np.asarray(among, np.float64)
    base = np.asarray(among, np.float64)

    def statistic(weights: Floats) -> float:
        total = float(weights @ base)
        return float(weights @ hits) / total if total > 0 else float("nan")

    return statistic


def ranking(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Statistic:
    """Area under the ROC curve; ties count half."""
    _, place = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    positive = np.asarray(labels, np.float64)

    def statistic(weights: Floats) -> float:
        high = np.bincount(place, weights * positive)
        low = np.bincount(place, weights * (1 - positive))
        pairs = high.sum() * low.sum()
        below = np.cumsum(low) - low
        return float((high * (below + low / 2)).sum() / pairs) if pairs > 0 else float("nan")

    return statistic


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Statistic:
    """Area under the precision-recall curve as a step function; tied scores are one step."""
    values, place = np.unique(-np.asarray(scores, np.float64), return_inverse=True)
    positive = np.asarray(labels, np.float64)

    def statistic(weights: Floats) -> float:
        hits = np.bincount(place, weights * positive, minlength=len(values))
        all_ = np.bincount(place, weights, minlength=len(values))
        if hits.sum() == 0:
            return float("nan")
        precision = np.cumsum(hits) / np.maximum(np.cumsum(all_), 1e-12)
        return float((precision * hits).sum() / hits.sum())

    return statistic
