"""Contrast of the colours that stand on one another (WCAG 2.2, 1.4.3 AA), on screens and on paper."""

import re

import pytest

from service.web.assets import STATIC

CSS = (STATIC / "hub.css").read_text()
STATES = ("flag", "review", "clear", "refused")
PAIRS = [
    *((text, ground) for text in ("text", "soft", "link") for ground in ("ground", "surface", "raised")),
    *((state, ground) for state in STATES for ground in (f"{state}-ground", "surface")),
    ("flag", "raised"),
    ("text", "plain-ground"),
    ("on-primary", "primary"),
]
LEAST = 4.5


def colours(start: str) -> dict[str, str]:
    """The variables of the first block after `start`."""
    _, found, rest = CSS.partition(start)
    assert found, start
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", rest.partition("}")[0]))


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1."""
    digits = colour[1:] if len(colour) == 7 else "".join(each * 2 for each in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """1 (the same) to 21 (black on white)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


DARK, LIGHT = colours("\n:root {"), colours("\n:root[data-theme=light] {")
PAPER = colours("@media print {\n  :root, :root[data-theme] {")
THEMES = {"dark": DARK, "light": LIGHT, "dark printed": DARK | PAPER, "light printed": LIGHT | PAPER}


@pytest.mark.parametrize("theme", THEMES)
def test_every_pair_can_be_read(theme: str) -> None:
    values = THEMES[theme]
    weak = {pair: round(contrast(*(values[each] for each in pair)), 2) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < LEAST} == {}


@pytest.mark.parametrize("theme", ["dark printed", "light printed"])
def test_states_can_be_read_on_paper_without_grounds(theme: str) -> None:
    # browsers print no grounds unless they are told to
    weak = {state: round(contrast(THEMES[theme][state], "#ffffff"), 2) for state in STATES}
    assert {state: ratio for state, ratio in weak.items() if ratio < LEAST} == {}


def test_the_light_of_the_machine_is_the_light_of_the_button() -> None:
    assert colours(":root[data-theme=auto] {") == LIGHT


def test_the_figure_is_the_standards() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)
