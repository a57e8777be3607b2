"""Whether a study came whole, for its sender: complete and why, or which slices are missing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from pacs_gateway.completion import HEAD_EXTENT_MM, Announced
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.stacks import Hole, Stack, stacks_of

FEWEST = 3
"""Slices from which on a series is a stack whose spacing can be judged."""
RANGES_SHOWN = 8


class Wholeness(StrEnum):
    """How whole a study is."""

    COVERED = "covered"
    """A stack without a gap covers a head."""
    COUNTED = "counted"
    """As many instances as the sender says it has."""
    EVEN = "even"
    """No gap in what came; whether more was meant to come, nobody has said."""
    MISSING = "missing"
    """Slices are missing."""
    NO_STACK = "no_stack"
    """No CT slices with positions: nothing to judge by."""
    NOTHING = "nothing"
    """Nothing was stored."""


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """What is said of a study; `code` and the values for machines, `text` for people."""

    code: Wholeness
    instances: int
    expected: int | None
    """The sender's own count, where it gave one."""
    slices: int
    spacing_mm: float | None
    extent_mm: float | None
    tilt_deg: float
    doubled: int
    """Slices at a place that another slice has too."""
    missing: tuple[str, ...]
    """Ranges such as 41-44: instance numbers where they are known, else places."""
    text: str

    @property
    def complete(self) -> bool:
        """Whether nothing speaks against the study being whole."""
        return self.code in (Wholeness.COVERED, Wholeness.COUNTED, Wholeness.EVEN)


def verdict_of(headers: Sequence[InstanceHeader], *, announced: Announced | None = None) -> StudyVerdict:
    """Judge what was stored of one study.

    Args:
        headers: of every instance.
        announced: what the sender says the study holds, where it said anything.
    """
    stacks = [stack for stack in stacks_of(headers) if len(stack.slices) >= FEWEST]
    missing = [gap for stack in stacks for gap in map(_named, stack.holes)]
    if not stacks:
        missing = _missing_numbers(headers)
    longest = stacks[0] if stacks else None
    extent = _extent(longest)
    code = _code(headers, longest, missing, extent, announced)
    return StudyVerdict(
        code=code,
        instances=len(headers),
        expected=None if announced is None else announced.expected,
        slices=0 if longest is None else len(longest.slices),
        spacing_mm=None if longest is None or longest.spacing_mm is None else round(longest.spacing_mm, 2),
        extent_mm=extent,
        tilt_deg=0.0 if longest is None else longest.tilt_deg,
        doubled=sum(stack.doubled for stack in stacks),
        missing=tuple(missing[:RANGES_SHOWN]),
        text=_text(code, headers, longest, missing, extent, announced),
    )


def _code(
    headers: Sequence[InstanceHeader],
    longest: Stack | None,
    missing: list[str],
    extent: float | None,
    announced: Announced | None,
) -> Wholeness:
    if not headers:
        return Wholeness.NOTHING
    if missing or (announced is not None and announced.missing):
        return Wholeness.MISSING
    if announced is not None:
        return Wholeness.COUNTED
    if longest is None:
        return Wholeness.NO_STACK
    return Wholeness.COVERED if extent is not None and extent >= HEAD_EXTENT_MM else Wholeness.EVEN


def _text(
    code: Wholeness,
    headers: Sequence[InstanceHeader],
    longest: Stack | None,
    missing: list[str],
    extent: float | None,
    announced: Announced | None,
) -> str:
    expected, absent = (0, 0) if announced is None else (announced.expected, announced.missing)
    slices, spacing = (0, 0.0) if longest is None else (len(longest.slices), longest.spacing_mm or 0.0)
    shown = ", ".join(missing[:RANGES_SHOWN]) + (" and more" if len(missing) > RANGES_SHOWN else "")
    match code:
        case Wholeness.NOTHING:
            return "nothing was stored"
        case Wholeness.MISSING if not missing:
            return f"{expected - absent} of the {expected} instances that the sender counts are here"
        case Wholeness.MISSING:
            return f"slices {shown} missing"
        case Wholeness.COUNTED:
            return f"complete, because all {expected} instances that the sender counts are here"
        case Wholeness.NO_STACK:
            return f"{len(headers)} instances, none of them CT slices with positions"
        case Wholeness.COVERED:
            return f"complete, because {slices} slices {spacing:.2f} mm apart cover {extent:.0f} mm"
    return f"no gap in {slices} slices {spacing:.2f} mm apart; they cover {extent:.0f} mm, less than a head"


def _extent(stack: Stack | None) -> float | None:
    if stack is None:
        return None
    return round(stack.heights[-1] - stack.heights[0] + (stack.spacing_mm or 0.0), 1)


def _named(hole: Hole) -> str:
    """The instance numbers between two slices where they fit the hole, else its place."""
    below, above = hole.below.instance_number, hole.above.instance_number
    if below is not None and above is not None and abs(above - below) - 1 == hole.missing:
        return _range(min(below, above) + 1, max(below, above) - 1)
    between = f"between {below} and {above}" if below is not None and above is not None else "unnumbered"
    return f"{hole.missing} {between} ({hole.width_mm:.1f} mm)"


def _missing_numbers(headers: Sequence[InstanceHeader]) -> list[str]:
    """Gaps in the instance numbers of each series without positions."""
    series: dict[str, set[int]] = defaultdict(set)
    for header in headers:
        if header.modality == "CT" and header.instance_number is not None and header.position is None:
            series[header.series_instance_uid].add(header.instance_number)
    return [
        _range(low + 1, high - 1)
        for numbers in series.values()
        if len(numbers) >= FEWEST
        for low, high in pairwise(sorted(numbers))
        if high - low > 1
    ]


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
