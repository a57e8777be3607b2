"""Loss curves of a run as one SVG picture: a panel by stage, a line by loss, on a logarithmic scale."""

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, TOP, GAP = 420, 220, 52, 24, 44
COLOURS = ("#1f6f8b", "#c0562f", "#5a7d2a", "#7a4b94")
LOSSES = ("mask", "label", "study", "slice")


def draw_curves(rows: Sequence[Mapping[str, float]]) -> str:
    """From the rows of log.jsonl to an SVG document."""
    stages = sorted({int(row["stage"]) for row in rows})
    panels = [
        _panel([row for row in rows if row["stage"] == stage], stage, at) for at, stage in enumerate(stages)
    ]
    height = TOP + len(stages) * (HEIGHT + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height}" '
        'font-family="sans-serif" font-size="11" role="img" aria-label="Loss curves">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(rows: Sequence[Mapping[str, float]], stage: int, at: int) -> str:
    top = TOP + at * (HEIGHT + GAP)
    names = [name for name in LOSSES if any(row.get(name, 0) > 0 for row in rows)]
    values = [row[name] for row in rows for name in names if row.get(name, 0) > 0]
    if not values:
        return ""
    low, high = math.log10(min(values)) - 0.02, math.log10(max(values)) + 0.02
    last = max(row["step"] for row in rows)
    parts = [
        f'<text x="{LEFT}" y="{top - 6}">stage {stage}: loss by step</text>',
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
        f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 14}" text-anchor="end">{last:.0f}</text>',
    ]
    for value in (10**low, 10 ** ((low + high) / 2), 10**high):
        y = top + HEIGHT * (high - math.log10(value)) / (high - low)
        parts.append(f'<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for number, name in enumerate(names):
        points = " ".join(
            f"{LEFT + WIDTH * row['step'] / last:.1f},"
            f"{top + HEIGHT * (high - math.log10(row[name])) / (high - low):.1f}"
            for row in rows
            if row.get(name, 0) > 0
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[number]}" stroke-width="1.5"/>'
        )
        y = top + 14 + 16 * number
        parts.append(f'<text x="{LEFT + WIDTH + 8}" y="{y}" fill="{COLOURS[number]}">{name}</text>')
    return "".join(parts)
