"""The labels of a frozen data set as DICOM: SR of what was agreed and each read, SEG of what was painted."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from labeling.export import objects_folder
from labeling.manifest import MASKS, Row, read_data_set
from labeling.splits import Part
from model.stroke import StrokeType
from pacs_gateway.label_objects import (
    Said,
    build_label_report,
    build_label_segmentation,
    labelled_study,
)
from pacs_gateway.objects import result_file
from pacs_gateway.results import StudyResult
from service.durable import sync, sync_tree

PRESENCE = {1: "present", 0: "absent", None: "uncertain"}


def write_objects(
    folder: Path, *, at: datetime, told: Callable[[int, int], object] = lambda done, total: None
) -> Path:
    """Write STUDY/sr.dcm and seg.dcm for every study of a part, beside the data set; whole or not at all.

    What each reader said lies beside them as reader-1.sr.dcm, reader-1.seg.dcm and so on.

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
    """What was agreed, and beside it what each reader said, each with UIDs of its own."""
    out.mkdir()
    images = [folder / name for name in row.files if not name.startswith(MASKS)]
    observer = "Adjudicator" if row.adjudicated else f"Consensus of {len(row.readers)} readers"
    agreed = Word(observer, row.labels, row.slice_ranges, row.mask_path, row.soft_labels)
    _write_word(agreed, labelled_study(images, digest=digest, at=at), folder, out, "")
    for each in row.readers:
        if "labels" in each:  # sets frozen before reads were kept have none
            name = str(each["id"])
            own = labelled_study(images, digest=f"{digest} {name}", at=at)
            _write_word(_word_of(each), own, folder, out, f"{name}.")


@dataclass(frozen=True, slots=True)
class Word:
    """What one observer says of a study."""

    observer: str
    labels: Mapping[StrokeType, int | None]
    slice_ranges: Mapping[StrokeType, Sequence[Sequence[str]]]
    mask_path: str | None
    soft: Mapping[StrokeType, float] = field(default_factory=dict)


def _word_of(reader: Mapping[str, Any]) -> Word:
    return Word(
        str(reader["id"]).replace("-", " ").capitalize(),
        {StrokeType(word): label for word, label in reader["labels"].items()},
        {StrokeType(word): pairs for word, pairs in reader["slice_ranges"].items()},
        reader.get("mask_path"),
    )


def _write_word(word: Word, study: StudyResult, folder: Path, out: Path, prefix: str) -> None:
    said = [
        Said(
            kind.value,
            PRESENCE[label],
            word.soft.get(kind),
            [uid for ends in word.slice_ranges.get(kind, ()) for uid in ends],
        )
        for kind, label in word.labels.items()
    ]
    report = build_label_report(study, said, observer=word.observer)
    (out / f"{prefix}sr.dcm").write_bytes(result_file("sr", report).content)
    if word.mask_path:
        with np.load(folder / word.mask_path, allow_pickle=False) as arrays:
            masks = {name: arrays[name].astype(np.bool_) for name in arrays.files}
        segmentation = build_label_segmentation(study, masks)
        (out / f"{prefix}seg.dcm").write_bytes(result_file("seg", segmentation).content)
