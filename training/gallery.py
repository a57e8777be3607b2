"""The studies that tell most about a network: its worst misses and false alarms, and its surest finds."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from model.picture import key_slices
from model.stroke import Prediction, StrokeType
from model.volume import Volume
from training.judgement import Reading

PICTURES = 3
"""Key slices of a study."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A study worth looking at, and why."""

    name: str
    population: str
    kind: StrokeType
    why: str
    probability: float
    answer: str


def pick_cases(readings: Sequence[Reading], kind: StrokeType, *, count: int) -> list[Pick]:
    """Positives of the lowest and negatives of the highest probability, then the other ends.

    Args:
        readings: Of one population.
        kind: The stroke type that is looked at.
        count: How many of each sort at most; no study is picked twice.
    """
    known = [reading for reading in readings if kind in reading.labels]
    ranked = sorted(known, key=lambda reading: (reading.probabilities[kind], reading.name))
    positive = [reading for reading in ranked if reading.labels[kind] == 1]
    negative = [reading for reading in ranked if reading.labels[kind] == 0]
    sorts = (
        ("positive, lowest", positive),
        ("negative, highest", negative[::-1]),
        ("positive, highest", positive[::-1]),
        ("negative, lowest", negative),
    )
    picks: dict[str, Pick] = {}
    for why, group in sorts:
        fresh = [reading for reading in group if reading.name not in picks][:count]
        for each in fresh:
            picks[each.name] = Pick(
                each.name, each.population, kind, why, each.probabilities[kind], str(each.answers[kind])
            )
    return list(picks.values())


def inline_slices(volume: Volume, prediction: Prediction) -> list[str]:
    """The key slices of a study as data URLs (WebP)."""
    pictures = key_slices(volume, prediction, count=PICTURES)
    return [f"data:image/webp;base64,{base64.b64encode(data).decode()}" for _, data in pictures]
