"""The labels of a frozen data set as DICOM: an SR for each study, and a SEG where somebody painted."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from labeling.export import objects_folder
from labeling.manifest import Row, read_data_set
from labeling.splits import Part
from pacs_gateway.label_objects import (
    Said,
    build_label_report,
    build_label_segmentation,
    labelled_study,
)
from pacs_gateway.objects import result_file
from service.durable import sync, sync_tree

PRESENCE = {1: "present", 0: "absent", None: "uncertain"}


def write_objects(
    folder: Path, *, at: datetime, told: Callable[[int, int], object] = lambda done, total: None
) -> Path:
    """Write STUDY/sr.dcm and seg.dcm for every study of a part, beside the data set; whole or not at all.

    Args:
        folder: Of the frozen data set, which is checked against its hashes first.
        at: When it was frozen; the same labels give the same bytes.
        told: Is told after each study how many are made, of how many.

    Raises:
        BadDataSet: the folder is not what was frozen.
    """
    found = read_data_set(folder)
    out = objects_folder(folder)
    if out.is_dir():
        return out
    rows = [row for row in found.rows if row.split is not Part.LEFT_OUT]
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for number, row in enumerate(rows, start=1):
            _write(row, folder, scratch / row.study_key, found.digest, at)
            told(number, len(rows))
        sync_tree(scratch)
        scratch.rename(out)
        sync(out.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return out


def _write(row: Row, folder: Path, out: Path, digest: str, at: datetime) -> None:
    images = [folder / name for name in row.files if name != row.mask_path]
    study = labelled_study(images, digest=digest, at=at)
    out.mkdir()
    said = [
        Said(
            kind.value,
            PRESENCE[label],
            row.soft_labels.get(kind),
            [uid for ends in row.slice_ranges.get(kind, ()) for uid in ends],
        )
        for kind, label in row.labels.items()
    ]
    observer = "Adjudicator" if row.adjudicated else f"Consensus of {len(row.readers)} readers"
    report = build_label_report(study, said, observer=observer)
    (out / "sr.dcm").write_bytes(result_file("sr", report).content)
    if row.mask_path:
        with np.load(folder / row.mask_path, allow_pickle=False) as arrays:
            masks = {name: arrays[name].astype(np.bool_) for name in arrays.files}
        segmentation = build_label_segmentation(study, masks)
        (out / "seg.dcm").write_bytes(result_file("seg", segmentation).content)
