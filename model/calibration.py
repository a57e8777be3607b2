"""From logits to calibrated probabilities and the three answers flag, clear and review."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model.stroke import Decision, Score, StrokeType

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class TypeCalibration:
    """How the logit of one stroke type becomes an answer, and on how many held-out studies that rests."""

    assessed: bool
    """False: the package is not proven for this type and says so instead of giving a number."""
    temperature: float
    flag: float
    """Flagged from this probability on."""
    clear: float
    """Clear below this one; between the two a person decides."""
    num_positive: int
    num_negative: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.clear <= self.flag <= 1.0:
            raise ValueError(f"thresholds must be 0 <= clear {self.clear:g} <= flag {self.flag:g} <= 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature {self.temperature:g} must be above 0")

    def probability(self, logit: float) -> float:
        """The calibrated probability of a logit."""
        return float(sigmoid(np.asarray(logit, np.float64) / self.temperature))


def sigmoid(x: Floats) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    half = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64)))
    return np.asarray(half, np.float64)


def fit_temperature(logits: Floats, labels: Floats) -> float:
    """The one divisor of the logits under which held-out labels are likeliest, between 0.5 and 20."""
    # not at the top: whoever only checks a package, as the API does, is spared scipy's 30 MB
    from scipy import optimize

    def surprise(log_temperature: float) -> float:
        x = np.asarray(logits, np.float64) / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, x) - np.asarray(labels) * x))

    best = optimize.minimize_scalar(surprise, bounds=(np.log(0.5), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def choose_thresholds(
    positive: Floats, negative: Floats, *, sensitivity: float, specificity: float
) -> tuple[float, float]:
    """The clear and the flag threshold from held-out probabilities.

    Clear lies where `sensitivity` of the positives are above it, flag where `specificity` of the negatives
    are below it. Where the two groups do not touch, the gap between them is cut in thirds, so that neither
    threshold leans on the last case of a small set.

    Raises:
        ValueError: a group is empty.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError(
            f"thresholds need both groups, there are {len(positive)} positive, {len(negative)} negative"
        )
    low = float(np.quantile(positive, 1.0 - sensitivity, method="lower"))
    high = float(np.nextafter(np.quantile(negative, specificity, method="higher"), 1.0))
    if low <= high:
        return low, high
    # in the middle of the log odds, not of the probabilities, which crowd at 0 and 1
    odds = [float(np.log(p / (1 - p))) for p in np.clip([high, low], 1e-6, 1 - 1e-6)]
    clear, flag = sigmoid(np.array([odds[0] + share * (odds[1] - odds[0]) for share in (1 / 3, 2 / 3)]))
    return float(clear), float(flag)


def with_flags(
    calibrations: Mapping[StrokeType, TypeCalibration], flags: Mapping[StrokeType, float]
) -> dict[StrokeType, TypeCalibration]:
    """The calibrations with other flag thresholds for some types.

    Clear is never raised: what was due for a person's review is cleared by no flag threshold, however high.
    It comes down with a flag threshold below it, as nothing may be flagged and clear.
    """
    return {
        kind: replace(row, flag=flags[kind], clear=min(row.clear, flags[kind]))
        if kind in flags and row.assessed
        else row
        for kind, row in calibrations.items()
    }


def decide(
    logits: Sequence[float],
    calibrations: Mapping[StrokeType, TypeCalibration],
    *,
    doubts: Sequence[str] = (),
) -> tuple[Score, ...]:
    """Answer for every stroke type.

    Args:
        logits: In the order of StrokeType.
        calibrations: Of every stroke type.
        doubts: Why nothing may be called clear in this study, in words; they never take back a flag.

    Returns:
        Scores in the order of StrokeType; any_ich is never below an assessed kind of haemorrhage.
    """
    probabilities = {
        kind: calibrations[kind].probability(logit) for kind, logit in zip(StrokeType, logits, strict=True)
    }
    bleeds = [kind for kind in tuple(StrokeType)[:6] if calibrations[kind].assessed]
    if StrokeType.ANY_ICH in bleeds:
        probabilities[StrokeType.ANY_ICH] = max(probabilities[kind] for kind in bleeds)
    scores = [_score(kind, probabilities[kind], calibrations[kind], doubts) for kind in StrokeType]
    return tuple(scores)


def overall(scores: Sequence[Score]) -> Decision:
    """FLAG if any type is flagged, else REVIEW if any needs one, else CLEAR of what is assessed."""
    decisions = {score.decision for score in scores}
    for decision in (Decision.FLAG, Decision.REVIEW, Decision.CLEAR):
        if decision in decisions:
            return decision
    return Decision.REVIEW


def _score(
    kind: StrokeType, probability: float, calibration: TypeCalibration, doubts: Sequence[str]
) -> Score:
    if not calibration.assessed:
        reason = "This model package is not proven for this type; nothing is said of it."
        return Score(kind, None, None, Decision.NOT_ASSESSED, reason)
    flag, clear = calibration.flag, calibration.clear
    if probability >= flag:
        decision, reason = Decision.FLAG, f"{probability:.3f} is at or above the flag threshold {flag:.3f}."
    elif probability >= clear:
        reason = f"{probability:.3f} lies between the thresholds clear {clear:.3f} and flag {flag:.3f}."
        decision = Decision.REVIEW
    elif doubts:
        reason = f"{probability:.3f} is below the clear threshold {clear:.3f}, but {'; '.join(doubts)}."
        decision = Decision.REVIEW
    else:
        decision, reason = Decision.CLEAR, f"{probability:.3f} is below the clear threshold {clear:.3f}."
    return Score(kind, probability, flag, decision, reason)
