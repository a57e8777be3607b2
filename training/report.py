"""Figures from scored studies, by population and stroke type; simulated and real never share a row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from model.calibration import TypeCalibration
from model.stroke import StrokeType
from training.intervals import Figure, auroc, proportion

POPULATIONS: dict[str, str] = {
    "real": "real studies",
    "sich": "real heads of the SICH set, with their bleed or with its box mirrored away",
    "painted": "real heads with simulated bleeds, or without, or with decoys",
    "phantom": "simulated heads",
}


@dataclass(frozen=True, slots=True)
class ScoredStudy:
    """What the network said of one study whose truth is known."""

    name: str
    population: str
    """A key of POPULATIONS."""
    pair: str
    """Studies with an equal pair are one head with and without its bleed."""
    logits: tuple[float, ...]
    embedding: tuple[float, ...]
    labels: Mapping[StrokeType, int]
    hits: tuple[bool, ...] = field(default_factory=tuple)
    """By bleeding slice: whether the most suspect pixel lies in the bleed."""


def summarise(
    studies: Sequence[ScoredStudy], calibrations: Mapping[StrokeType, TypeCalibration]
) -> list[dict[str, Any]]:
    """One row by population and stroke type, for the types with both answers in that population."""
    rows = []
    for population in POPULATIONS:
        group = [study for study in studies if study.population == population]
        for index, kind in enumerate(StrokeType):
            row = _row(group, index, kind, calibrations[kind])
            if row is not None:
                rows.append({"population": population, "stroke_type": str(kind), **row})
    return rows


def _row(
    group: Sequence[ScoredStudy], index: int, kind: StrokeType, calibration: TypeCalibration
) -> dict[str, Any] | None:
    scores: dict[int, list[float]] = {0: [], 1: []}
    for study in group:
        if kind in study.labels:
            scores[study.labels[kind]].append(calibration.probability(study.logits[index]))
    positive, negative = np.array(scores[1]), np.array(scores[0])
    if len(positive) == 0 or len(negative) == 0:
        return None
    both = np.concatenate([positive, negative])
    return {
        "assessed": calibration.assessed,
        "num_positive": len(positive),
        "num_negative": len(negative),
        "auroc": _plain(auroc(positive, negative)),
        "sensitivity_at_flag": _plain(proportion(int((positive >= calibration.flag).sum()), len(positive))),
        "specificity_at_flag": _plain(proportion(int((negative < calibration.flag).sum()), len(negative))),
        "sensitivity_at_clear": _plain(proportion(int((positive >= calibration.clear).sum()), len(positive))),
        "between": _plain(
            proportion(int(((both >= calibration.clear) & (both < calibration.flag)).sum()), len(both))
        ),
    }


def paired(studies: Sequence[ScoredStudy], population: str) -> dict[str, Any] | None:
    """How often a head scores higher with its bleed than without: any_ich, pairs of one head."""
    pairs: dict[str, dict[int, float]] = {}
    for study in studies:
        if study.population == population and StrokeType.ANY_ICH in study.labels:
            pairs.setdefault(study.pair, {})[study.labels[StrokeType.ANY_ICH]] = study.logits[0]
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    return _plain(proportion(sum(pair[1] > pair[0] for pair in whole), len(whole)))


def mask_hits(studies: Sequence[ScoredStudy], population: str) -> dict[str, Any] | None:
    """In how many bleeding slices the most suspect pixel lies in the bleed."""
    hits = [hit for study in studies if study.population == population for hit in study.hits]
    return _plain(proportion(sum(hits), len(hits)))


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| population | stroke type | assessed | pos / neg | AUROC | sensitivity | specificity |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            POPULATIONS[row["population"]],
            row["stroke_type"],
            "yes" if row["assessed"] else "no",
            f"{row['num_positive']} / {row['num_negative']}",
            *(_words(row[name]) for name in FIGURES),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


FIGURES = ("auroc", "sensitivity_at_flag", "specificity_at_flag")


def _plain(figure: Figure | None) -> dict[str, Any] | None:
    return None if figure is None else {k: round(v, 4) for k, v in asdict(figure).items()}


def _words(figure: Mapping[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
