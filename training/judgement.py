"""What the answers to studies of known truth are worth: every figure, by population and stroke type."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.calibration import TypeCalibration
from model.stroke import Decision, StrokeType
from training.bootstrap import RESAMPLES, SEED, Resamples, average_precision, ranking, share
from training.intervals import Figure, auroc, proportion
from training.reliability import brier, calibration_error, curve, recalibration
from training.report import POPULATIONS
from training.strata import COLUMNS, VOLUME_ML, band, lesion_ml, stratify

Bools = npt.NDArray[np.bool_]
ANSWERS = (Decision.FLAG, Decision.REVIEW, Decision.CLEAR)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was answered to one study of known truth."""

    name: str
    population: str
    """A key of POPULATIONS; figures of two populations never meet."""
    patient: str
    labels: Mapping[StrokeType, int]
    probabilities: Mapping[StrokeType, float]
    """Of every stroke type, assessed or not."""
    answers: Mapping[StrokeType, Decision]
    """Flag, review or clear; of a type that is not assessed, what its thresholds would give."""
    row: Mapping[str, Any]
    """Of the manifest."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A study that was not assessed."""

    name: str
    population: str
    labels: Mapping[StrokeType, int]
    reasons: tuple[str, ...]
    text: str


def judge(
    readings: Sequence[Reading],
    refused: Sequence[Refused],
    calibrations: Mapping[StrokeType, TypeCalibration],
    *,
    prevalences: Sequence[float],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """One row by population and stroke type, for types with both answers in that population.

    Args:
        readings: Studies that were assessed.
        refused: Studies that were not.
        calibrations: Of the package, with the frozen thresholds.
        prevalences: Shares of studies with the finding at which predictive values are wanted.
        resamples: Draws of the bootstrap.
        seed: Of those draws.
    """
    rows = []
    for population in POPULATIONS:
        group = [reading for reading in readings if reading.population == population]
        out = [each for each in refused if each.population == population]
        for kind in StrokeType:
            known = [reading for reading in group if kind in reading.labels]
            if len({reading.labels[kind] for reading in known}) < 2:
                continue
            draws = Resamples([reading.patient for reading in known], resamples=resamples, seed=seed)
            figures = _figures(known, kind, calibrations[kind], draws, prevalences)
            refusals = Counter(each.labels[kind] for each in out if kind in each.labels)
            figures["three_way"]["positive"]["refused"] = refusals[1]
            figures["three_way"]["negative"]["refused"] = refusals[0]
            rows.append({"population": population, "stroke_type": str(kind), **figures})
    return rows


def lagging(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """The strata that break the gate, of types that are assessed."""
    return [
        f"{row['population']} {row['stroke_type']}: {each['column']} {each['group']}"
        for row in figures
        if row["assessed"]
        for each in row["strata"]
        if each["lags"]
    ]


def predictive_value(right: float, wrong: float, prevalence: float) -> float | None:
    """How often an answer is right where so many studies have the finding.

    Args:
        right: Share of the studies for which the answer is right that get it.
        wrong: Share of the other studies that get it.
        prevalence: Share of all studies for which the answer is right.
    """
    true, false = right * prevalence, wrong * (1 - prevalence)
    return true / (true + false) if true + false > 0 else None


def _figures(
    known: Sequence[Reading],
    kind: StrokeType,
    calibration: TypeCalibration,
    draws: Resamples,
    prevalences: Sequence[float],
) -> dict[str, Any]:
    label = np.array([reading.labels[kind] for reading in known], np.float64)
    said = np.array([reading.probabilities[kind] for reading in known], np.float64)
    answer = np.array([reading.answers[kind] for reading in known])
    positive = label == 1
    flag, clear = answer == Decision.FLAG, answer == Decision.CLEAR
    fit = recalibration(said, label)
    return {
        "assessed": calibration.assessed,
        "flag": round(calibration.flag, 4),
        "clear": round(calibration.clear, 4),
        "num_positive": int(positive.sum()),
        "num_negative": int((~positive).sum()),
        "num_patients": draws.num_patients,
        "auroc": plain(auroc(said[positive], said[~positive])),
        "sensitivity_at_flag": plain(_share(flag, positive)),
        "specificity_at_flag": plain(_share(~flag, ~positive)),
        "positives_cleared": plain(_share(clear, positive)),
        "negatives_cleared": plain(_share(clear, ~positive)),
        "reviewed": plain(_share(~flag & ~clear, np.ones_like(flag))),
        "three_way": {
            name: {str(word): int((answer[group] == word).sum()) for word in ANSWERS}
            for name, group in (("positive", positive), ("negative", ~positive))
        },
        "bootstrap": {
            "auroc": plain(draws.figure(ranking(said, label))),
            "auprc": plain(draws.figure(average_precision(said, label))),
            "sensitivity_at_flag": plain(draws.figure(share(flag, positive))),
            "specificity_at_flag": plain(draws.figure(share(~flag, ~positive))),
            "brier": plain(draws.figure(lambda weights: brier(said, label, weights))),
            "ece": plain(draws.figure(lambda weights: calibration_error(said, label, weights))),
        },
        "calibration_slope": plain(fit[0] if fit else None),
        "calibration_in_the_large": plain(fit[1] if fit else None),
        "calibration_curve": [
            {"said": round(each.said, 4), "found": plain(each.found)} for each in curve(said, label)
        ],
        "predictive_values": [_predictive(flag, clear, positive, each) for each in prevalences],
        "strata": [
            {**asdict(each), "sensitivity": plain(each.sensitivity), "specificity": plain(each.specificity)}
            for each in stratify([reading.row for reading in known], kind, positive, flag)
        ],
        "missed_by_volume": _missed(known, kind),
        "scores": {
            name: sorted(round(float(value), 4) for value in said[group])
            for name, group in (("positive", positive), ("negative", ~positive))
        },
    }


def _share(counted: Bools, among: Bools) -> Figure | None:
    return proportion(int((counted & among).sum()), int(among.sum()))


def _predictive(flag: Bools, clear: Bools, positive: Bools, prevalence: float) -> dict[str, Any]:
    """PPV of a flag and NPV of a clear.

    The ends combine the unfavourable and the favourable ends of both of Wilson's intervals, which is wider
    than 95 %.
    """
    flagged, falsely = _share(flag, positive), _share(flag, ~positive)
    cleared, missed = _share(clear, ~positive), _share(clear, positive)
    assert flagged is not None
    assert falsely is not None
    assert cleared is not None
    assert missed is not None
    return {
        "prevalence": prevalence,
        "ppv_of_flag": _predicted(flagged, falsely, prevalence),
        "npv_of_clear": _predicted(cleared, missed, 1 - prevalence),
        "flags_in_100": round(100 * (flagged.value * prevalence + falsely.value * (1 - prevalence)), 1),
    }


def _predicted(right: Figure, wrong: Figure, prevalence: float) -> dict[str, float] | None:
    value = predictive_value(right.value, wrong.value, prevalence)
    low = predictive_value(right.low, wrong.high, prevalence)
    high = predictive_value(right.high, wrong.low, prevalence)
    if value is None or low is None or high is None:
        return None
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def _missed(known: Sequence[Reading], kind: StrokeType) -> list[dict[str, Any]]:
    """Positives by the volume of their lesion: what was answered, and who was not flagged."""
    column = next(column for column in COLUMNS if column.key == "lesion_ml")
    bands: dict[str, list[tuple[float, Reading]]] = {
        band(edge, VOLUME_ML, column.unit): [] for edge in (0.0, *VOLUME_ML)
    }
    for reading in known:
        volume = lesion_ml(reading.row, kind)
        if reading.labels[kind] == 1 and volume is not None:
            bands[band(volume, VOLUME_ML, column.unit)].append((volume, reading))
    if not any(bands.values()):
        return []
    return [
        {
            "group": name,
            "num": len(members),
            **{str(word): sum(r.answers[kind] == word for _, r in members) for word in ANSWERS},
            "not_flagged": [
                {
                    "case": reading.name,
                    "lesion_ml": round(volume, 2),
                    "probability": round(reading.probabilities[kind], 4),
                    "answer": str(reading.answers[kind]),
                }
                for volume, reading in sorted(members, key=lambda member: member[0])
                if reading.answers[kind] != Decision.FLAG
            ],
        }
        for name, members in bands.items()
    ]


def plain(figure: Figure | None) -> dict[str, Any] | None:
    """A figure for JSON, four digits."""
    return None if figure is None else {name: round(value, 4) for name, value in asdict(figure).items()}
