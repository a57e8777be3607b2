"""What each reader said of a case, as a data set keeps it beside what was agreed; who read is not said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.consensus import agree
from labeling.labels import Label
from labeling.manifest import MASKS, sha256_of
from model.stroke import StrokeType
from service.anonymous import Made
from service.extents import slice_ranges
from service.painted import painted
from service.reads import Read, parse_label
from service.storage import Storage

Painted = Mapping[StrokeType, NDArray[np.bool_]]


def plain_read(at: int, read: Read) -> dict[str, Any]:
    """The `at`-th read of a case for `labeling.manifest.Row.readers`."""
    return {
        "id": f"reader-{at}",
        "round": read.read_no,
        "labels": dict(agree([parse_label(read.label)]).labels),
        "slice_ranges": slice_ranges([read.label], None),
    }


def reads_with_masks(
    readers: Sequence[Mapping[str, Any]],
    labels: Sequence[Label],
    uids: Sequence[str],
    storage: Storage,
    stem: Path,
) -> tuple[list[dict[str, Any]], dict[str, Made]]:
    """The reads with the names of their masks, and those files by these names.

    Args:
        readers: As `plain_read` made them.
        labels: What was said of the case; the readers' come last, in the same order.
        uids: The slices by the names that labels use.
        storage: Where the masks are.
        stem: Where the files are written, named by the case.
    """
    found: list[dict[str, Any]] = []
    files: dict[str, Made] = {}
    for reader, label in zip(readers, labels[len(labels) - len(readers) :], strict=True):
        own = dict(reader)
        if masks := painted([label], uids, storage):
            name = f"{stem.name}.{own['id']}.npz"
            own["mask_path"] = f"{MASKS}{name}"
            files[own["mask_path"]] = keep_masks(masks, stem.with_name(name))
        found.append(own)
    return found, files


def keep_masks(masks: Painted, path: Path) -> Made:
    """Write masks as training reads them."""
    named: dict[str, Any] = {kind.value: mask for kind, mask in masks.items()}
    np.savez_compressed(path, **named)
    return Made(path, sha256_of(path))
