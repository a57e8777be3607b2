"""Who differs from whom, as a picture: readers down and across, in each cell the share they differ in."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

CELL, LEFT, TOP = 30, 150, 120
"""Pixels: side of a cell, room for the names at the left and above."""
PALE, DEEP = (233, 242, 243), (150, 20, 20)
DEEPEST = 0.40
"""Share of differing cases from which a cell is as deep as can be."""
DARK_FROM = 0.45
"""Of the way to the deepest, from where white can be read on it."""


class Cell(NamedTuple):
    """Two readers, or one and their re-reads."""

    differ: float
    """Share of their common cases."""
    title: str
    """What is told of it in words."""


def disagreement_svg(names: Sequence[str], cells: Mapping[tuple[str, str], Cell], label: str) -> str:
    """The picture, one cell a pair below the diagonal; pairs without common cases stay empty.

    Args:
        names: Readers, in the order of rows and columns.
        cells: By two names in any order; the same name twice is of a reader's own re-reads.
        label: What the picture is called, for who cannot see it.
    """
    width, height = LEFT + CELL * len(names) + 10, TOP + CELL * len(names) + 10
    drawn = []
    for at, name in enumerate(names):
        across, down = LEFT + CELL * (at + 0.5), TOP + CELL * (at + 0.65)
        short = escape(name[:18])
        drawn.append(f'<text x="{LEFT - 8}" y="{down:g}" text-anchor="end">{short}</text>')
        drawn.append(f'<text transform="translate({across + 4:g} {TOP - 8}) rotate(-55)">{short}</text>')
    place = {name: at for at, name in enumerate(names)}
    drawn.append('<g text-anchor="middle" stroke-width="2">')
    for (one, other), cell in cells.items():
        column, row = sorted((place[one], place[other]))
        drawn.append(_cell(row, column, cell))
    drawn.append("</g>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(label)}" font-size="12" '
        f'font-family="Sarabun, Noto Sans Thai, sans-serif" fill="currentColor">{"".join(drawn)}</svg>\n'
    )


def _cell(row: int, column: int, cell: Cell) -> str:
    depth = min(1.0, cell.differ / DEEPEST)
    red, green, blue = (round(pale + depth * (deep - pale)) for pale, deep in zip(PALE, DEEP, strict=True))
    ink = "#fff" if depth > DARK_FROM else "#111"
    x, y = LEFT + CELL * column, TOP + CELL * row
    frame = ' stroke="currentColor"' if row == column else ""
    return (
        f"<g><title>{escape(cell.title)}</title>"
        f'<rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" '
        f'fill="#{red:02x}{green:02x}{blue:02x}"{frame}/>'
        f'<text x="{x + CELL / 2:g}" y="{y + CELL * 0.65:g}" fill="{ink}">'
        f"{cell.differ * 100:.0f}</text></g>"
    )
