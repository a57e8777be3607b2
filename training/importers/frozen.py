"""The hub's frozen data sets, as `labeling.manifest` writes them: a study of every row that is not left out.

Where dataset.json lies beside the manifest, every file is first checked against its hash.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labeling.manifest import ABOUT, read_data_set
from training.importers.studies import BadLabels, KnownOf

SOURCES = {"real": "real", "simulated": "phantom"}
"""What a set says of itself, in the words of cards: a package trained on a simulated set must say so."""
Found = tuple[list[Path], KnownOf]


def frozen_studies(manifest: Path) -> Iterator[Found]:
    """Files and knowledge of every study that is not excluded.

    Raises:
        BadLabels: a row is no JSON, lacks a key, or names a folder or mask that is not there.
        BadDataSet: a file of a frozen data set is not what it was.
    """
    if (manifest.parent / ABOUT).is_file():
        read_data_set(manifest.parent)
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not row.get("exclude_reason"):
                yield _found(row, manifest.parent)
        except (json.JSONDecodeError, KeyError, BadLabels) as error:
            raise BadLabels(f"{manifest.name} line {number}: {error}") from error


def _found(row: dict[str, Any], beside: Path) -> Found:
    folder = beside / row.get("folder", row["study_key"])
    if not folder.is_dir():
        raise BadLabels(f"{folder} is not a folder")
    known = KnownOf(
        name=row["study_key"],
        patient=row["patient_key"],
        labels=row["labels"],
        slice_ranges={
            word: [(first, last) for first, last in pairs]
            for word, pairs in (row.get("slice_ranges") or {}).items()
        },
        masks=_masks(beside / row["mask_path"]) if row.get("mask_path") else {},
        hospital=str(row.get("hospital") or ""),
        month=str(row.get("acquired_month") or ""),
        part=str(row.get("split") or ""),
        source=SOURCES[row.get("source", "real")],
    )
    return [path for path in sorted(folder.rglob("*")) if path.is_file()], known


def _masks(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    if not path.is_file():
        raise BadLabels(f"{path} is not a file")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.bool_) for name in arrays.files}
