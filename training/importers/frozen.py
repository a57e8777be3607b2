"""The hub's frozen data sets: manifest.jsonl, one row a study, with the studies' files beside it.

study_key       name of the study; its DICOM files lie in the folder of that name, or in `folder`
patient_key     HMAC of the patient; never split
hospital, acquired_month (YYYY-MM), labels {stroke type: 0 | 1 | null}
slice_ranges    {stroke type: [[first SOP instance UID, last], ...]}
mask_path       .npz beside the manifest: an array (slices, rows, columns) by stroke type, or null
exclude_reason  studies that have one are left out
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.importers.studies import BadLabels, KnownOf

Found = tuple[list[Path], KnownOf]


def frozen_studies(manifest: Path) -> Iterator[Found]:
    """Files and knowledge of every study that is not excluded.

    Raises:
        BadLabels: a row is no JSON, lacks a key, or names a folder or mask that is not there.
    """
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
    )
    return [path for path in sorted(folder.rglob("*")) if path.is_file()], known


def _masks(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    if not path.is_file():
        raise BadLabels(f"{path} is not a file")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.bool_) for name in arrays.files}
