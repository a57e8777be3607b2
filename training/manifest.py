"""The list of studies of known truth that a model is measured on: JSONL, one row a study.

case      the study, beside the manifest: a folder of DICOM or of 8-bit pictures, or a NIfTI file
source    `real` or `simulated` (or another word of report.POPULATIONS); nothing is guessed
labels    {stroke type: 0 | 1 | null}; null and absent are unknown
patient   optional; studies of one patient are drawn together (default: every case its own)

mask      optional; NIfTI of all blood, on the grid of the study's images

and any columns of `strata.COLUMNS`: hospital, vendor, scanner, dialect, kernel, spacing_mm, matrix,
tilt_deg, age, sex, onset_h, old_infarct, calcification, motion (0 or 1), agreement (of the readers),
lesion_ml (a number, or numbers by stroke type).

The rows of a frozen data set (`labeling.manifest`) are taken as they are, but for those left out of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeling.manifest import evaluation_row, is_frozen_row
from model.stroke import StrokeType
from training.report import POPULATIONS

SOURCES = {"simulated": "phantom", **{name: name for name in POPULATIONS}}


class BadManifest(ValueError):
    """A row of a manifest cannot be used; the text names line and value."""


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """One study whose truth is known."""

    name: str
    folder: Path
    population: str
    """A key of POPULATIONS."""
    patient: str
    labels: Mapping[StrokeType, int]
    row: Mapping[str, Any]
    mask: Path | None = None
    """NIfTI of all blood."""


def read_manifest(path: Path) -> list[KnownStudy]:
    """Read and check a manifest.

    Raises:
        BadManifest: a row has no case, source or labels, names a folder that is not there, or repeats a
        case. OSError: there is no such file.
    """
    studies: dict[str, KnownStudy] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if is_frozen_row(row):
                if row.get("exclude_reason"):
                    continue
                row = {**row, **evaluation_row(row)}
            study = _known_study(row, path.parent)
        except (json.JSONDecodeError, BadManifest) as error:
            raise BadManifest(f"{path.name} line {number}: {error}") from error
        if study.name in studies:
            raise BadManifest(f"{path.name} line {number}: case {study.name!r} is there already")
        studies[study.name] = study
    return list(studies.values())


def _known_study(row: Mapping[str, Any], beside: Path) -> KnownStudy:
    missing = [key for key in ("case", "labels") if key not in row]
    if missing:
        raise BadManifest(f"no {' and no '.join(missing)}")
    name = str(row["case"])
    if not (beside / name).exists():
        raise BadManifest(f"{beside / name} does not exist")
    mask = row.get("mask")
    if mask is not None and not (beside / str(mask)).is_file():
        raise BadManifest(f"mask {beside / str(mask)} is not a file")
    # before there was `source`, `real` said it
    source = row.get("source") or (
        {True: "real", False: "simulated"}.get(row["real"]) if "real" in row else None
    )
    if source not in SOURCES:
        raise BadManifest(f"source {source!r} is not one of {', '.join(SOURCES)}")
    return KnownStudy(
        name=name,
        folder=beside / name,
        population=SOURCES[source],
        patient=str(row.get("patient") or name),
        labels=_labels(row["labels"]),
        row=row,
        mask=None if mask is None else beside / str(mask),
    )


def _labels(said: Mapping[str, Any]) -> dict[StrokeType, int]:
    labels = {}
    for word, value in said.items():
        if word not in tuple(StrokeType):
            raise BadManifest(f"label {word!r} is not one of {', '.join(StrokeType)}")
        if value not in (0, 1, None):
            raise BadManifest(f"label {word} is {value!r}, not 0, 1 or null")
        if value is not None:
            labels[StrokeType(word)] = int(value)
    return labels
