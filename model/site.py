"""Thresholds of one site over those of a package: a file that `training.conformal` writes.

{"package": digest of the package it was made for, "site": name, "types": {stroke type: {flag, clear,
num_positive, num_negative, guarantee}}}. A file for another package is refused: thresholds belong to the
weights they were set on.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from model.calibration import TypeCalibration
from model.stroke import StrokeType


class BadSite(ValueError):
    """A site's file cannot be used with this package; the text says why."""


def load_site(
    path: Path, digest: str, calibrations: Mapping[StrokeType, TypeCalibration]
) -> dict[StrokeType, TypeCalibration]:
    """The package's calibrations with the site's thresholds in them; temperatures stay.

    Raises:
        BadSite: the file is for another package, names a type that is not proven, or its thresholds make
        no sense.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        package, types = said["package"], dict(said["types"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadSite(f"{path.name} is no file of a site's thresholds: {error}") from error
    if package != digest:
        raise BadSite(f"{path.name} was made for the package {package[:12]}, this is {digest[:12]}")
    found = dict(calibrations)
    for name, row in types.items():
        kind = StrokeType(name) if name in tuple(StrokeType) else None
        if kind is None or not calibrations[kind].assessed:
            raise BadSite(f"{path.name} sets thresholds of {name}, for which the package is not proven")
        try:
            found[kind] = replace(
                calibrations[kind],
                flag=float(row["flag"]),
                clear=float(row["clear"]),
                num_positive=int(row["num_positive"]),
                num_negative=int(row["num_negative"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadSite(f"{path.name}: thresholds of {name}: {error}") from error
    return found
