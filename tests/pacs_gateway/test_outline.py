"""Outlines enclose exactly the pixels of the mask, whatever its shape."""

import numpy as np
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from pacs_gateway.outline import SMALLEST_PIXELS, outlines


def test_a_rectangle_has_four_corners() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[3:8, 10:25] = True
    (line,) = outlines(mask)
    assert line.tolist() == [[10, 3], [25, 3], [25, 8], [10, 8], [10, 3]]


def test_a_hole_has_an_outline_of_its_own_and_specks_have_none() -> None:
    mask = np.zeros((30, 30), np.bool_)
    mask[5:20, 5:20] = True
    mask[10:14, 10:14] = False
    mask[25, 25] = True
    assert sorted(len(line) for line in outlines(mask)) == [5, 5]


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((5, 5), np.bool_)) == []


def area(line: np.ndarray) -> float:
    x, y = line[:, 0], line[:, 1]
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, (12, 14)))
def test_lines_are_closed_and_enclose_the_area_of_the_mask(mask: np.ndarray) -> None:
    big = np.kron(mask, np.ones((3, 3), np.bool_))
    lines = outlines(big)
    assert all((line[0] == line[-1]).all() for line in lines)
    areas = [area(line) for line in lines]
    assert all(abs(area) >= SMALLEST_PIXELS for area in areas)
    assert sum(areas) == big.sum(), "holes count against what is round them"


def test_filled_again_it_is_the_mask() -> None:
    rows, columns = np.ogrid[:60, :60]
    mask = np.asarray((rows - 30) ** 2 / 500 + (columns - 25) ** 2 / 120 < 1, np.bool_)
    (line,) = outlines(mask)
    picture = Image.new("1", (600, 600))
    ImageDraw.Draw(picture).polygon([(10 * x, 10 * y) for x, y in line.tolist()], fill=1)
    filled = np.asarray(picture)[5::10, 5::10]
    np.testing.assert_array_equal(filled, mask)
