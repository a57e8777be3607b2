"""The pages' fonts as the letter's typesetter takes them: TrueType, and a family for each script.

All four files carry one family name; under it the typesetter would take the first and miss the other script.
"""

import os
import tempfile
from pathlib import Path

FONTS = Path(__file__).parent / "web" / "static" / "fonts"
FAMILIES = {"thai": "Hub Thai", "latin": "Hub Latin"}
FAMILY, STYLE, FULL_NAME = 1, 2, 4
"""Name IDs of the OpenType name table."""


def letter_fonts(folder: Path) -> Path:
    """The folder with the fonts, made when it is not there; several processes may ask at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(FONTS.glob("plex-*.woff2")):
        target = folder / f"{source.stem}.ttf"
        if not target.is_file():
            _convert(source, target)
    return folder


def _convert(source: Path, target: Path) -> None:
    from fontTools.ttLib import TTFont  # needed once in a hub's life

    script, weight = source.stem.split("-")[1:]
    style = "Regular" if weight == "400" else "SemiBold"
    with TTFont(source) as font:
        font.flavor = None
        for record in font["name"].names:
            names = {FAMILY: FAMILIES[script], STYLE: style, FULL_NAME: f"{FAMILIES[script]} {style}"}
            if record.nameID in names:
                record.string = names[record.nameID]
        handle, scratch = tempfile.mkstemp(dir=target.parent)
        os.close(handle)
        font.save(scratch)
    os.replace(scratch, target)
