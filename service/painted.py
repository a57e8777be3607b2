"""From what readers painted to the masks of a data set: whole findings of one reader, or nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labeling.labels import Label, RoiKind
from model.stroke import StrokeType
from service.masks import read_mask
from service.storage import Storage


def painted(
    labels: Sequence[Label], uids: Sequence[str], storage: Storage
) -> dict[StrokeType, NDArray[np.bool_]]:
    """By stroke type the mask over all slices, (slices, rows, columns), from inferior to superior.

    Taken is the first label that has any: the adjudicator's goes first. A finding of which a slice between
    its first and its last is not painted is left out, for training takes what is not painted as free of it.

    Args:
        labels: What was said of the case, the most binding first.
        uids: The slices by the names that labels use.
        storage: Where the masks are.
    """
    for label in labels:
        if found := _whole(label, uids, storage):
            return found
    return {}


def _whole(label: Label, uids: Sequence[str], storage: Storage) -> dict[StrokeType, NDArray[np.bool_]]:
    place = {uid: index for index, uid in enumerate(uids)}
    named: dict[StrokeType, dict[int, str]] = {}
    for roi in label.rois:
        if roi.kind is RoiKind.MASK and roi.sop_uid in place:
            named.setdefault(roi.finding, {})[place[roi.sop_uid]] = roi.mask
    found = {}
    for finding, slices in named.items():
        extent = {
            index
            for each in label.extents
            if each.finding is finding and each.first in place and each.last in place
            for index in range(place[each.first], place[each.last] + 1)
        }
        if extent and extent <= set(slices):
            found[finding] = _stack(slices, len(uids), storage)
    return found


def _stack(slices: dict[int, str], count: int, storage: Storage) -> NDArray[np.bool_]:
    pictures = {index: read_mask(storage, name) for index, name in slices.items()}
    whole = np.zeros((count, *next(iter(pictures.values())).shape), np.bool_)
    for index, picture in pictures.items():
        whole[index] = picture
    return whole
