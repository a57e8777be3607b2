"""Small pictures in SVG: ROC curve, calibration curve, and where the probabilities lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SIZE = 260
"""Of the square plot, without its margins."""
LEFT, TOP, BOTTOM, RIGHT = 44, 10, 40, 12
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRIP = 70
"""Height of the strip of probabilities."""


def roc(positive: Sequence[float], negative: Sequence[float], points: Mapping[str, float]) -> str:
    """ROC curve from probabilities by truth; `points` are thresholds to mark, by their word."""
    first, second = np.sort(np.array(positive)), np.sort(np.array(negative))
    cuts = np.unique(np.concatenate([first, second]))[::-1]
    curve = [(0.0, 0.0)] + [(_from(second, cut), _from(first, cut)) for cut in cuts]
    parts = [_frame("false positives (1 - specificity)", "sensitivity"), _line([(0, 0), (1, 1)], "guide")]
    parts.append(_line(curve, "curve"))
    for word, cut in points.items():
        x, y = _place(_from(second, cut), _from(first, cut))
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        left = x > LEFT + 0.7 * SIZE
        anchor, away = ("end", -8) if left else ("start", 8)
        text_y = min(y + 16, TOP + SIZE - 4)
        parts.append(f'<text x="{x + away:.1f}" y="{text_y:.1f}" text-anchor="{anchor}">{word}</text>')
    return _svg("ROC curve", parts)


def calibration(bins: Sequence[Mapping[str, Any]]) -> str:
    """Share of positives against the probability said, by bin, with intervals."""
    parts = [_frame("probability said", "share found positive"), _line([(0, 0), (1, 1)], "guide")]
    parts.append(_line([(each["said"], each["found"]["value"]) for each in bins], "curve"))
    for each in bins:
        x, low = _place(each["said"], each["found"]["low"])
        _, high = _place(each["said"], each["found"]["high"])
        _, y = _place(each["said"], each["found"]["value"])
        parts.append(f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    return _svg("Calibration curve", parts)


def probabilities(positive: Sequence[float], negative: Sequence[float], points: Mapping[str, float]) -> str:
    """A tick for every study: positives above, negatives below, the thresholds across."""
    height = TOP + 2 * STRIP + BOTTOM
    parts = []
    for row, (word, values) in enumerate((("positive", positive), ("negative", negative))):
        top = TOP + row * STRIP
        parts.append(
            f'<rect class="box" x="{LEFT}" y="{top}" width="{SIZE}" height="{STRIP}"/>'
            f'<text x="{LEFT + 4}" y="{top + 13}">{word}, n={len(values)}</text>'
        )
        ticks = "".join(f"M{LEFT + SIZE * v:.1f} {top + 22}v{STRIP - 30}" for v in values)
        parts.append(f'<path class="{word}" d="{ticks}"/>')
    for cut in points.values():
        x = LEFT + SIZE * cut
        parts.append(f'<path class="guide" d="M{x:.1f} {TOP}v{2 * STRIP}"/>')
    parts.append(_ticks_across(TOP + 2 * STRIP, "probability said (dashed: clear, flag)"))
    return _svg("Probabilities by truth", parts, height)


def confusion(three_way: Mapping[str, Mapping[str, int]]) -> str:
    """Truth against answer, each cell as dark as its share of its row."""
    wide, high = SIZE / 4, 48
    parts = []
    for row, (truth, counts) in enumerate(three_way.items()):
        total = max(1, sum(counts.values()))
        top = TOP + 18 + row * high
        parts.append(f'<text x="{LEFT - 6}" y="{top + high / 2 + 4}" text-anchor="end">{truth[:3]}.</text>')
        for column, (answer, count) in enumerate(counts.items()):
            left = LEFT + column * wide
            share = 0.85 * count / total
            parts.append(
                f'<rect class="box" x="{left}" y="{top}" width="{wide}" height="{high}" '
                f'style="fill:var(--accent);fill-opacity:{share:.2f}"/>'
                f'<text x="{left + wide / 2}" y="{top + high / 2 + 4}" text-anchor="middle">{count}</text>'
            )
            if row == 0:
                parts.append(
                    f'<text x="{left + wide / 2}" y="{TOP + 10}" text-anchor="middle">{answer}</text>'
                )
    return _svg("Truth against answer", parts, TOP + 24 + 2 * high)


def froc(curve: Sequence[Sequence[float]]) -> str:
    """Share of lesions found against false suspicions per study, to 2 per study."""
    parts = [_frame("false suspicions per study / 2", "lesions found")]
    parts.append(_line([(0.0, 0.0), *((min(false / 2, 1.0), share) for false, share in curve)], "curve"))
    return _svg("FROC curve", parts)


def _from(values: Any, cut: float) -> float:
    """Share of sorted values at or above a cut."""
    return float(len(values) - np.searchsorted(values, cut, side="left")) / max(1, len(values))


def _place(x: float, y: float) -> tuple[float, float]:
    return LEFT + SIZE * x, TOP + SIZE * (1 - y)


def _line(points: Sequence[tuple[float, float]], css: str) -> str:
    places = [_place(x, y) for x, y in points]
    return f'<polyline class="{css}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'


def _frame(across: str, up: str) -> str:
    middle = TOP + SIZE / 2
    parts = [f'<rect class="box" x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}"/>']
    for tick in TICKS:
        _, y = _place(0, tick)
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{up}</text>'
    )
    return "".join([*parts, _ticks_across(TOP + SIZE, across)])


def _ticks_across(bottom: float, words: str) -> str:
    ticks = "".join(
        f'<text x="{LEFT + SIZE * tick:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>'
        for tick in TICKS
    )
    return f'{ticks}<text x="{LEFT + SIZE / 2}" y="{bottom + 33}" text-anchor="middle">{words}</text>'


def _svg(title: str, parts: Sequence[str], height: int = TOP + SIZE + BOTTOM) -> str:
    width = LEFT + SIZE + RIGHT
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{title}"><title>{title}</title>{"".join(parts)}</svg>'
    )
