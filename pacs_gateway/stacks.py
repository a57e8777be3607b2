"""CT slices of a study put in order along the patient: how far apart they are, and which are missing."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pacs_gateway.headers import InstanceHeader

SAME_HEIGHT_MM = 0.05
TWICE = 1.5
"""Times the usual gap and the slice thickness from which on slices are missing not unevenly spaced."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Slices that are not there: how many fit, and between which two that are."""

    missing: int
    below: InstanceHeader
    above: InstanceHeader
    width_mm: float


@dataclass(frozen=True, slots=True)
class Stack:
    """Parallel slices of one series, lowest along their normal first, one for each height."""

    series_instance_uid: str
    series_number: int | None
    slices: tuple[InstanceHeader, ...]
    heights: tuple[float, ...]
    """Along the slice normal, mm."""
    doubled: int
    """Slices at a height that another one has too."""
    tilt_deg: float
    """Between slice normal and the direction in which positions move: the gantry's tilt, 0 where unknown."""

    @property
    def spacing_mm(self) -> float | None:
        """The usual gap; None for fewer than two slices."""
        gaps = [upper - lower for lower, upper in pairwise(self.heights)]
        return median(gaps) if gaps else None

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Gaps in which at least one slice is missing."""
        usual = self.spacing_mm
        if usual is None or len(self.slices) < 3:
            return ()
        gaps = [upper - lower for lower, upper in pairwise(self.heights)]
        thick = max((each.slice_thickness or 0.0 for each in self.slices), default=0.0)
        limit = TWICE * max(usual, thick)
        found = []
        for at, gap in enumerate(gaps):
            near = [*gaps[max(0, at - 2) : at], *gaps[at + 1 : at + 3]]
            rhythm = sum(abs(each - gap) <= 0.1 * gap for each in near)
            if gap > limit and rhythm < 2:  # a protocol may step wider in one part of the head
                missing = max(1, round(gap / usual) - 1)
                found.append(Hole(missing, self.slices[at], self.slices[at + 1], round(gap, 2)))
        return tuple(found)


def stacks_of(headers: Iterable[InstanceHeader]) -> tuple[Stack, ...]:
    """Every stack of axial, coronal or oblique CT slices, the longest first; localizers are left out."""
    groups: dict[tuple[str, tuple[float, ...]], list[tuple[float, InstanceHeader]]] = defaultdict(list)
    for header in headers:
        normal = normal_of(header)
        if header.modality == "CT" and normal and header.position and "LOCALIZER" not in header.image_type:
            rounded = tuple(round(part, 2) + 0.0 for part in normal)
            groups[header.series_instance_uid, rounded].append((dot(normal, header.position), header))
    stacks = [_stack(found) for found in groups.values()]
    return tuple(sorted(stacks, key=lambda stack: len(stack.slices), reverse=True))


def _stack(found: list[tuple[float, InstanceHeader]]) -> Stack:
    found.sort(key=lambda each: (each[0], each[1].instance_number or 0))
    kept: list[tuple[float, InstanceHeader]] = []
    for height, header in found:
        if not kept or height - kept[-1][0] > SAME_HEIGHT_MM:
            kept.append((height, header))
    first, last = kept[0][1], kept[-1][1]
    return Stack(
        series_instance_uid=first.series_instance_uid,
        series_number=first.series_number,
        slices=tuple(header for _, header in kept),
        heights=tuple(height for height, _ in kept),
        doubled=len(found) - len(kept),
        tilt_deg=_tilt(first, last),
    )


def _tilt(first: InstanceHeader, last: InstanceHeader) -> float:
    normal = normal_of(first)
    if normal is None or first.position is None or last.position is None:
        return 0.0
    move = tuple(b - a for a, b in zip(first.position, last.position, strict=True))
    length = math.hypot(*move)
    if length < SAME_HEIGHT_MM:
        return 0.0
    return round(math.degrees(math.acos(min(1.0, abs(dot(normal, move)) / length))), 1)


def normal_of(header: InstanceHeader) -> tuple[float, float, float] | None:
    """Unit normal of a slice; None where the cosines are no directions. PS3.3 C.7.6.2.1.1."""
    if header.orientation is None:
        return None
    a, b, c, d, e, f = header.orientation
    cross = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*cross)
    if not 0.5 < length < 2.0:
        return None
    return (cross[0] / length, cross[1] / length, cross[2] / length)


def dot(one: Iterable[float], other: Iterable[float]) -> float:
    """The inner product of two directions."""
    return sum(a * b for a, b in zip(one, other, strict=True))
