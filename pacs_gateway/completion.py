"""When a study has arrived: at once where the head is covered, else after a quiet time learned per sender."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

from pacs_gateway.headers import InstanceHeader

HEAD_EXTENT_MM = 100.0
"""Vertex to skull base of an adult is 120 to 160 mm; less than this is no whole head."""
FEWEST_SLICES = 10
SPACING_TOLERANCE = 0.25
"""A gap may differ from the median gap by this share: scanners round positions, gantry tilt shears them."""
SAME_POSITION_MM = 0.05
QUIET_FLOOR_SECONDS = 3.0
QUIET_CAP_SECONDS = 60.0
QUIET_UNKNOWN_SECONDS = 10.0
"""For a sender of whom fewer than `GAPS_TO_LEARN` gaps are known."""
GAPS_TO_LEARN = 30
QUIET_MARGIN = 4.0
"""Times the gap that 99 of 100 of the sender's gaps stay below."""

Axis = tuple[float, float, float]


class CompletionCode(StrEnum):
    """Why a study counts as complete."""

    HEAD_COVERED = "head_covered"
    QUIET = "quiet"
    ANNOUNCED = "announced"
    """All that MPPS or IAN lists is here."""
    COUNTED = "counted"
    """As many are here as the sender counts."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The study is complete: a code for machines, a sentence for people."""

    code: CompletionCode
    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The study may be complete in so many seconds, if nothing more comes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Announced:
    """What others say a study holds, against what is here."""

    source: str
    """MPPS, IAN or the sender's count."""
    expected: int
    missing: int
    extra: int
    """Instances that are here and were not announced."""

    @property
    def counted(self) -> bool:
        """Whether a number was given and no list."""
        return self.source.endswith("count")


def kept_word(announced: Announced | None, *, open_associations: int) -> Completion | None:
    """Whether all that was announced is here; beyond it, more may come while an association is open."""
    if announced is None or announced.missing or (announced.extra and open_associations):
        return None
    here, expected = announced.expected + announced.extra, announced.expected
    if announced.counted:
        return Completion(CompletionCode.COUNTED, f"the sender counts {expected}, {here} are here")
    return Completion(CompletionCode.ANNOUNCED, f"{here} here, all {expected} that {announced.source} lists")


def judge(
    slices: Sequence[InstanceHeader],
    *,
    open_associations: int,
    associations: int = 1,
    seconds_quiet: float,
    quiet_seconds: float,
    announced: Announced | None = None,
) -> Completion | Waiting:
    """Decide whether a study has arrived.

    Args:
        slices: headers of everything received of the study.
        open_associations: those that carried the study and have not ended.
        associations: all that carried it. A sender of one image per association is known by quiet time
            alone, because the end of its associations says nothing.
        seconds_quiet: since the last new instance.
        quiet_seconds: learned of the sender, see `learned_quiet`.
        announced: what others say the study holds. While some of it is missing, silence must last longest.
    """
    if (kept := kept_word(announced, open_associations=open_associations)) is not None:
        return kept
    if open_associations == 0 and associations * 2 <= max(len(slices), 2):
        covered = covered_head(slices)
        if covered is not None:
            return Completion(CompletionCode.HEAD_COVERED, covered)
    missing = announced.missing if announced is not None else 0
    quiet_seconds = QUIET_CAP_SECONDS if missing else quiet_seconds
    if seconds_quiet >= quiet_seconds:
        text = f"{len(slices)} instances, nothing new for {seconds_quiet:.1f} s (limit {quiet_seconds:.1f} s)"
        if announced is not None and missing:
            text += f"; {missing} of {announced.expected} that {announced.source} says are missing"
        return Completion(CompletionCode.QUIET, text)
    return Waiting(quiet_seconds - seconds_quiet)


def covered_head(slices: Sequence[InstanceHeader]) -> str | None:
    """Say which stack of CT slices covers a head without a gap, or None."""
    stacks: dict[tuple[str, Axis], list[Axis]] = defaultdict(list)
    for header in slices:
        normal = _normal(header)
        if header.modality == "CT" and header.position is not None and normal is not None:
            stacks[header.series_instance_uid, normal].append(header.position)
    for (_, normal), positions in stacks.items():
        heights = _distinct(sorted(_dot(normal, position) for position in positions))
        gap = even_gap(heights)
        if gap is not None and heights[-1] - heights[0] + gap >= HEAD_EXTENT_MM:
            return f"{len(heights)} slices {gap:.2f} mm apart cover {heights[-1] - heights[0] + gap:.0f} mm"
    return None


def even_gap(heights: Sequence[float]) -> float | None:
    """The spacing of sorted slice heights in mm if it is even, with none missing; else None."""
    if len(heights) < FEWEST_SLICES:
        return None
    gaps = [upper - lower for lower, upper in pairwise(heights)]
    middle = median(gaps)
    if any(abs(gap - middle) > SPACING_TOLERANCE * middle for gap in gaps):
        return None
    return middle


def _distinct(heights: Sequence[float]) -> list[float]:
    distinct: list[float] = []
    for height in heights:
        if not distinct or height - distinct[-1] > SAME_POSITION_MM:
            distinct.append(height)
    return distinct


def _normal(header: InstanceHeader) -> Axis | None:
    """Slice normal, rounded so that one stack has one; None where the cosines are no directions."""
    if header.orientation is None:
        return None
    a, b, c, d, e, f = header.orientation
    cross = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*cross)
    if not 0.5 < length < 2.0:
        return None
    x, y, z = (round(part / length, 2) + 0.0 for part in cross)
    return (x, y, z)


def _dot(normal: Axis, position: Axis) -> float:
    return sum(a * b for a, b in zip(normal, position, strict=True))


def gap_bucket(seconds: float) -> int | None:
    """Which bucket of the sender's histogram a gap between two slices falls in; None beyond the cap."""
    if not 0 <= seconds <= QUIET_CAP_SECONDS:
        return None
    return max(0, math.ceil(2 * math.log2(max(seconds, 0.05) / 0.05)))


def learned_quiet(histogram: Mapping[int, int]) -> float:
    """Seconds of silence after which this sender has nothing more to send.

    Args:
        histogram: how many gaps between slices of one study were seen, by `gap_bucket`.
    """
    total = sum(histogram.values())
    if total < GAPS_TO_LEARN:
        return QUIET_UNKNOWN_SECONDS
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= 0.99 * total:
            break
    longest = 0.05 * 2 ** (bucket / 2)
    return min(max(QUIET_MARGIN * longest, QUIET_FLOOR_SECONDS), QUIET_CAP_SECONDS)
