"""The picture of who differs from whom: every pair once, deeper where they differ more, well-formed."""

import re
from xml.etree import ElementTree

from labeling.heatmap import Cell, disagreement_svg

SVG = "{http://www.w3.org/2000/svg}"


def test_every_pair_is_drawn_once_and_says_what_it_is() -> None:
    cells = {
        ("a", "b"): Cell(0.0, "a – b: 9 cases"),
        ("b", "c"): Cell(0.3, "b – c <9>"),
        ("c", "c"): Cell(1.0, "c again"),
    }
    root = ElementTree.fromstring(disagreement_svg(["a", "b", "c"], cells, 'who "differs"'))
    assert root.get("aria-label") == 'who "differs"'
    assert [each.text for each in root.iter(f"{SVG}title")] == ["a – b: 9 cases", "b – c <9>", "c again"]
    rects = list(root.iter(f"{SVG}rect"))
    places = [(int(each.get("x", "")), int(each.get("y", ""))) for each in rects]
    assert len(set(places)) == 3
    reds = [int(re.fullmatch(r"#..(..)..", each.get("fill", ""))[1], 16) for each in rects]  # type: ignore[index]
    assert reds == sorted(reds, reverse=True)
    inks = [each.get("fill") for each in root.iter(f"{SVG}text") if each.text in ("0", "30", "100")]
    assert inks == ["#111", "#fff", "#fff"]
