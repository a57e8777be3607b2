"""The outline of a mask as closed lines, for displays that draw lines but no masks."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]
"""Column, row of a pixel's corner: (0, 0) is the upper left corner of the image."""

SMALLEST_PIXELS = 9
"""A piece with fewer pixels is left out: its outline would be a dot."""


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Closed lines along the edges of the pixels, each (points, 2) as column and row, first point last again.

    Holes have an outline of their own. Straight runs are one piece, so a line has few points.
    """
    left = _edges(mask)
    lines = []
    while left:
        start = next(iter(left))
        line = [start]
        while True:
            ends = left[line[-1]]
            line.append(ends.pop())
            if not ends:
                del left[line[-2]]
            if line[-1] == start:
                break
        if abs(_area(line)) >= SMALLEST_PIXELS:
            lines.append(np.array(_straightened(line), dtype=np.float64))
    return lines


def _edges(mask: NDArray[np.bool_]) -> dict[Point, list[Point]]:
    """Every side of a pixel that has the mask on one side only, the mask on its right hand."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges: dict[Point, list[Point]] = defaultdict(list)
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for beyond, begin, end in sides:
        for row, column in np.argwhere(inside & ~beyond).tolist():
            edges[column + begin[0], row + begin[1]].append((column + end[0], row + end[1]))
    return dict(edges)


def _area(line: list[Point]) -> float:
    points = np.array(line, dtype=np.float64)
    x, y = points[:, 0], points[:, 1]
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def _straightened(line: list[Point]) -> list[Point]:
    corners = [line[0]]
    for before, here, after in zip(line, line[1:], line[2:], strict=False):
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1]):
            corners.append(here)
    return [*corners, line[-1]]
