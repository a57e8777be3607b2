"""Pictures whose lines can be read off."""

import re
from xml.etree import ElementTree

import pytest

from training.drawing import LEFT, SIZE, TOP, calibration, probabilities, roc


def line(svg: str, css: str) -> list[tuple[float, float]]:
    """The points of a line in 0..1, from the lower left."""
    found = re.search(rf'class="{css}" points="([^"]*)"', svg)
    assert found
    places = [tuple(map(float, place.split(","))) for place in found[1].split()]
    return [((x - LEFT) / SIZE, 1 - (y - TOP) / SIZE) for x, y in places]


class TestRoc:
    def test_goes_through_every_step(self) -> None:
        svg = roc([0.9, 0.4], [0.5, 0.1], {"flag": 0.45})
        assert line(svg, "curve") == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]

    def test_marks_a_threshold_where_the_studies_at_or_above_it_put_it(self) -> None:
        svg = roc([0.9, 0.4], [0.5, 0.1], {"flag": 0.4})
        assert f'cx="{LEFT + SIZE * 0.5:.1f}" cy="{TOP:.1f}"' in svg


def test_calibration_curve_runs_through_its_bins() -> None:
    bins = [{"said": s, "found": {"value": f, "low": 0.0, "high": 1.0}} for s, f in ((0.2, 0.1), (0.8, 0.9))]
    assert line(calibration(bins), "curve") == [
        pytest.approx((0.2, 0.1), abs=1e-3),
        pytest.approx((0.8, 0.9), abs=1e-3),
    ]


def test_every_study_has_its_tick() -> None:
    svg = probabilities([0.9, 0.8, 0.7], [0.1], {"flag": 0.5})
    ElementTree.fromstring(svg)
    ticks = re.search(r'class="positive" d="([^"]*)"', svg)
    assert ticks
    assert ticks[1].count("M") == 3
