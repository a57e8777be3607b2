"""The flow of cases from upload to data set, counted from the rows, in the form that CONSORT made usual."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

from labeling.answers import Criterion
from labeling.splits import Part
from labeling.wording import Both

WIDTH, BOX, SIDE, LINE, GAP = 900, 380, 400, 20, 34
"""Pixels: of the picture, of a box, of a box at the side, of a line of text, between two boxes."""

WORDS = {
    "uploaded": Both("ส่งเข้าระบบ", "Uploaded"),
    "waiting": Both("รอการคัดกรองหรือรอผู้ตัดสิน", "Not screened yet, or waiting for a person"),
    "excluded": Both("คัดออก", "Excluded"),
    "eligible": Both("เข้าเกณฑ์", "Eligible"),
    "unassigned": Both("ยังไม่ได้มอบหมาย", "Not assigned yet"),
    "assigned": Both("มอบให้ผู้อ่าน", "Assigned to readers"),
    "unread": Both("ยังอ่านไม่ครบ", "Not read by all yet"),
    "read": Both("อ่านครบ", "Read by all"),
    "agreed": Both("ผู้อ่านเห็นตรงกัน", "Agreed"),
    "adjudicated": Both("มีผู้ตัดสิน", "Adjudicated"),
    "disputed": Both("รอผู้ตัดสิน", "Waiting for an adjudicator"),
    "left_out": Both("ไม่นำเข้าชุดข้อมูล", "Left out of the data set"),
    "frozen": Both("ชุดข้อมูล", "Data set"),
    "many": Both("หนึ่งกรณีอาจมีหลายเหตุผล", "a case may have several reasons"),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """How many cases got how far."""

    uploaded: int = 0
    waiting: int = 0
    excluded: int = 0
    reasons: Mapping[Criterion, int] = field(default_factory=dict)
    """Of the excluded; a case may have several."""
    eligible: int = 0
    assigned: int = 0
    read: int = 0
    agreed: int = 0
    adjudicated: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why cases that were read are not in the data set."""
    parts: Mapping[Part, int] = field(default_factory=dict)
    """Of the data set; empty before it is frozen."""

    def __post_init__(self) -> None:
        if self.uploaded != self.waiting + self.excluded + self.eligible:
            raise ValueError(
                f"{self.uploaded} uploaded are not {self.waiting} + {self.excluded} + {self.eligible}"
            )
        chain = (self.eligible, self.assigned, self.read, self.agreed + self.adjudicated)
        if any(after > before for before, after in pairwise(chain)):
            raise ValueError(f"eligible, assigned, read and settled do not fall: {chain}")


def count_reasons(excluded_by: Iterable[Sequence[Criterion]]) -> dict[Criterion, int]:
    """Cases by reason, in the order of the criteria."""
    counts = Counter(criterion for reasons in excluded_by for criterion in reasons)
    return {criterion: counts[criterion] for criterion in Criterion if counts[criterion]}


def plain_flow(flow: Flow) -> dict[str, Any]:
    """The flow as JSON keeps it."""
    plain = asdict(flow)
    plain["reasons"] = {criterion.value: count for criterion, count in flow.reasons.items()}
    plain["parts"] = {part.value: count for part, count in flow.parts.items()}
    return plain


def flow_rows(flow: Flow, language: str = "en") -> list[tuple[str, int, list[str]]]:
    """Every box down the middle: title, count, and the lines of the box at its side."""

    def word(name: str) -> str:
        return WORDS[name].th if language == "th" else WORDS[name].en

    settled = flow.agreed + flow.adjudicated
    screened = [
        *([f"{word('waiting')}: {flow.waiting}"] if flow.waiting else []),
        f"{word('excluded')}: {flow.excluded}" + (f" ({word('many')})" if len(flow.reasons) > 1 else ""),
        *(
            f"  {criterion.reason.th if language == 'th' else criterion.reason.en}: {count}"
            for criterion, count in flow.reasons.items()
        ),
    ]
    rows = [
        (word("uploaded"), flow.uploaded, screened),
        (word("eligible"), flow.eligible, _rest(word("unassigned"), flow.eligible - flow.assigned)),
        (word("assigned"), flow.assigned, _rest(word("unread"), flow.assigned - flow.read)),
        (word("read"), flow.read, [f"{word('agreed')}: {flow.agreed}",
                                   f"{word('adjudicated')}: {flow.adjudicated}",
                                   *_rest(word("disputed"), flow.read - settled)]),
    ]  # fmt: skip
    if flow.parts:
        rows[-1][2].extend(f"{word('left_out')} ({why}): {count}" for why, count in flow.left_out.items())
        parts = [f"{part.value}: {count}" for part, count in flow.parts.items()]
        rows.append((word("frozen"), sum(flow.parts.values()), parts))
    return rows


def flow_text(flow: Flow, language: str = "en") -> str:
    """The flow as lines of text."""
    lines = []
    for title, count, side in flow_rows(flow, language):
        lines += [f"{title}: {count}", *(f"    {line}" for line in side)]
    return "\n".join(lines)


def flow_svg(flow: Flow, language: str = "en") -> str:
    """The flow as a picture: a box for every stage, what left it at its right."""
    drawn, top = [], 10
    rows = flow_rows(flow, language)
    for number, (title, count, side) in enumerate(rows):
        tall = max(LINE * 2 + 14, LINE * len(side) + 14)
        drawn.append(_box(10, top, BOX, LINE * 2 + 14, [title, f"n = {count}"]))
        if side:
            middle = top + LINE + 7
            drawn.append(_line(10 + BOX, middle, WIDTH - SIDE - 10, middle))
            drawn.append(_box(WIDTH - SIDE - 10, top, SIDE, LINE * len(side) + 14, side))
        if number < len(rows) - 1:
            drawn.append(_line(10 + BOX / 2, top + LINE * 2 + 14, 10 + BOX / 2, top + tall + GAP))
        top += tall + GAP
    height = top - GAP + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
        f'height="{height:g}" role="img" font-family="Sarabun, Noto Sans Thai, sans-serif" font-size="14" '
        f'fill="currentColor">{"".join(drawn)}</svg>\n'
    )


def _rest(title: str, count: int) -> list[str]:
    return [f"{title}: {count}"] if count else []


def _box(x: float, y: float, width: float, height: float, lines: Sequence[str]) -> str:
    text = ""
    for at, line in enumerate(lines):
        left, base = x + (26 if line.startswith("  ") else 12), y + 7 + LINE * (at + 0.75)
        text += f'<text x="{left:g}" y="{base:g}">{escape(line.strip())}</text>'
    frame = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"'
    return f'{frame} fill="none" stroke="currentColor"/>{text}'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="currentColor"/>'
