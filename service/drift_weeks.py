"""A week of one hospital judged by the weeks before it: what is counted, and what raises an alarm."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import numpy as np

from labeling.drift import PSI_LIMIT, Chart, Mix, chart, ks, mix, psi

LEAST = 10
"""Studies in a week below which nothing is said of it."""
LEAST_REFERENCE = 30
"""Studies in the reference weeks."""


class Alarm(StrEnum):
    """What has drifted."""

    SCORES = "scores"
    FLAGS = "flags"
    SCANNER = "scanner"
    """Most studies come from scanners not seen in the reference weeks, or the mix is another."""
    KERNEL = "kernel"
    """The same of the kernels by which the images were reconstructed."""
    EMBEDDING = "embedding"
    """The studies lie otherwise, or mostly farther, from those that the package knows."""
    AGREEMENT = "agreement"
    """Radiologists agree less than they did."""


@dataclass(slots=True)
class Pile:
    """What is known of some studies."""

    scores: list[float] = field(default_factory=list)
    distances: dict[str, list[float]] = field(default_factory=dict)
    """By package: of the embedding, in units of the package's usual limit."""
    studies: int = 0
    flags: int = 0
    agreed: int = 0
    reviewed: int = 0
    scanners: list[str] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Away:
    """How far a week's studies lie from those that the package knows; 1 is the package's usual limit."""

    median: float
    beyond: float
    """Share of the studies beyond the limit; 0.01 of those that it was set on were."""
    distance: float | None
    """Kolmogorov and Smirnov's, to the reference weeks of the same package; None where they have too few."""
    distance_limit: float | None


@dataclass(frozen=True, slots=True)
class Week:
    """One week of one hospital."""

    begins: date
    studies: int
    psi: float | None
    """None where there are too few studies to say."""
    distance: float | None
    distance_limit: float | None
    flags: Chart | None
    agreement: Chart | None
    new_scanners: int
    """Studies from scanners that the reference weeks have not."""
    new_kernels: int
    scanners: Mix | None
    kernels: Mix | None
    away: Away | None
    alarms: tuple[Alarm, ...]


def sum_piles(piles: Iterable[Pile]) -> Pile:
    """All of them as one."""
    whole = Pile()
    for pile in piles:
        whole.scores += pile.scores
        for digest, distances in pile.distances.items():
            whole.distances.setdefault(digest, []).extend(distances)
        whole.scanners += pile.scanners
        whole.kernels += pile.kernels
        whole.studies += pile.studies
        whole.flags += pile.flags
        whole.agreed += pile.agreed
        whole.reviewed += pile.reviewed
    return whole


def judge_week(begins: date, own: Pile, before: Pile) -> Week:
    """A week by the reference weeks."""
    enough = before.studies >= LEAST_REFERENCE and own.studies >= LEAST
    scored = len(before.scores) >= LEAST_REFERENCE and len(own.scores) >= LEAST
    index = psi(before.scores, own.scores) if scored else None
    distance, limit = ks(before.scores, own.scores) if scored else (None, None)
    flags = chart(own.flags, own.studies, before.flags, before.studies) if enough else None
    agreement = None
    if before.reviewed >= LEAST_REFERENCE and own.reviewed >= LEAST:
        agreement = chart(own.agreed, own.reviewed, before.agreed, before.reviewed)
    scanners, kernels = _mix(before.scanners, own.scanners), _mix(before.kernels, own.kernels)
    away, moved = _away(before.distances, own.distances)
    alarms = {
        # both: the index alone is loud where a week is small, the distance alone where a year is long
        Alarm.SCORES: _beyond(distance, limit) and (index or 0) > PSI_LIMIT,
        Alarm.FLAGS: flags is not None and flags.out,
        Alarm.SCANNER: _other(before.scanners, own.scanners, scanners),
        Alarm.KERNEL: _other(before.kernels, own.kernels, kernels),
        Alarm.EMBEDDING: moved,
        Alarm.AGREEMENT: agreement is not None and agreement.share < agreement.low,
    }
    raised = tuple(alarm for alarm, raised in alarms.items() if raised)
    return Week(
        begins=begins,
        studies=own.studies,
        psi=index,
        distance=distance,
        distance_limit=limit,
        flags=flags,
        agreement=agreement,
        new_scanners=_strangers(before.scanners, own.scanners) if scanners else 0,
        new_kernels=_strangers(before.kernels, own.kernels) if kernels else 0,
        scanners=scanners,
        kernels=kernels,
        away=away,
        alarms=raised,
    )


def _beyond(distance: float | None, limit: float | None) -> bool:
    return distance is not None and limit is not None and distance > limit


def _strangers(before: Sequence[str], own: Sequence[str]) -> int:
    known = set(before)
    return sum(each not in known for each in own)


def _mix(before: Sequence[str], own: Sequence[str]) -> Mix | None:
    return mix(before, own) if len(before) >= LEAST_REFERENCE and len(own) >= LEAST else None


def _other(before: Sequence[str], own: Sequence[str], found: Mix | None) -> bool:
    return found is not None and (2 * _strangers(before, own) > len(own) or found.other)


def _away(before: dict[str, list[float]], own: dict[str, list[float]]) -> tuple[Away | None, bool]:
    """Of the package that read most of the week's studies, and whether that is an alarm."""
    digest = max(own, key=lambda each: len(own[each]), default="")
    distances, known = own.get(digest, []), before.get(digest, [])
    if len(distances) < LEAST:
        return None, False
    median, beyond = float(np.median(distances)), float(np.mean(np.array(distances) > 1))
    if len(known) < LEAST_REFERENCE:  # a package that came lately: by what it calls usual itself
        return Away(median, beyond, None, None), median > 1
    distance, limit = ks(known, distances)
    return Away(median, beyond, distance, limit), distance > limit and psi(known, distances) > PSI_LIMIT
