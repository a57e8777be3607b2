"""The package of HUB_MODEL, by its own words, without loading it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model.stroke import StrokeType
from model.weights import digest, read_metadata


@dataclass(frozen=True, slots=True)
class Standard:
    """A package that a model is compared with."""

    name: str
    digest: str
    assessed: tuple[StrokeType, ...]


@cache
def shipped(path: Path) -> Standard:
    """The package in this folder, unchecked: workers check it when they load it."""
    rows = json.loads((path / "calibration.json").read_text(encoding="utf-8"))
    assessed = tuple(kind for kind in StrokeType if rows[kind.value]["assessed"])
    return Standard(read_metadata(path)["name"], digest(path), assessed)
