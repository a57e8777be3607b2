"""One hospital study as a training case: DICOM files on the network's grid, with what is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.network import MASKS, NetworkShape
from model.stroke import StrokeType
from model.transforms import ModelInput, to_model_input
from model.volume import Volume, load_head_ct
from training.cases import Case, CaseCard, pack_masks

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KnownOf:
    """What a data set says of one study."""

    name: str
    patient: str
    labels: Mapping[str, int | None]
    """By stroke type; None and absent are unknown."""
    slice_ranges: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """By stroke type, SOP instance UIDs of the first and last slice of every stretch that shows it."""
    masks: Mapping[str, BoolArray] = field(default_factory=dict)
    """By stroke type, (slices, rows, columns), slices from inferior to superior, of the chosen series."""
    hospital: str = ""
    month: str = ""
    part: str = ""
    """Of the split that was frozen with the data set; empty where there was none."""
    source: str = "real"
    """As in `training.cases.CaseCard`."""


class BadLabels(ValueError):
    """What a data set says of a study cannot be; the text names the study and the value."""


def import_study(paths: Sequence[Path], known: KnownOf, shape: NetworkShape) -> Case:
    """Read a study and put it onto the grid.

    Raises:
        UnreadableStudy: the hub would refuse it, too.
        BadLabels: a label, a slice or a mask does not fit the study.
    """
    volume = load_head_ct(paths)
    shown = to_model_input(volume, side=shape.side, grid_mm=shape.grid_mm)
    words = [*known.labels, *known.slice_ranges, *known.masks]
    strange = sorted({word for word in words if word not in tuple(StrokeType)})
    if strange:
        raise BadLabels(f"{known.name}: {strange} are not stroke types")
    labels = {word: int(value) for word, value in known.labels.items() if value is not None}
    if set(labels.values()) - {0, 1}:
        raise BadLabels(f"{known.name}: labels {labels} are not 0, 1 or null")
    masks = {word: _onto_grid(mask, volume, shown, known.name, word) for word, mask in known.masks.items()}
    card = CaseCard(
        name=known.name,
        source=known.source,
        patient=known.patient,
        spacing_mm=float(np.median(shown.z[:, 1]) * 10),
        known_masks=tuple(word for word in known.masks if word in MASKS),
        labels=labels,
        slice_ranges={
            word: [_grid_range(pair, volume, shown, known.name) for pair in pairs]
            for word, pairs in known.slice_ranges.items()
        },
        hospital=known.hospital,
        month=known.month,
        part=known.part,
    )
    hu = np.round(shown.hu).astype(np.int16)
    return Case(card, hu, pack_masks(masks, hu.shape))


def _grid_range(pair: tuple[str, str], volume: Volume, shown: ModelInput, name: str) -> tuple[int, int]:
    """Slices of the network that a stretch of the study's slices covers."""
    for uid in pair:
        if uid not in volume.sop_instance_uids:
            raise BadLabels(f"{name}: slice {uid} is not in the chosen series")
    first, last = sorted(volume.sop_instance_uids.index(uid) for uid in pair)
    source = np.array(shown.source)
    inside = np.flatnonzero((source >= first) & (source <= last))
    if len(inside):
        return int(inside[0]), int(inside[-1])
    nearest = int(np.argmin(np.abs(source - (first + last) / 2)))
    return nearest, nearest


def _onto_grid(mask: BoolArray, volume: Volume, shown: ModelInput, name: str, word: str) -> BoolArray:
    """A mask of the stored images, nearest pixel, on the grid; slabs show it where any of their slices do."""
    if mask.shape != volume.hu.shape:
        raise BadLabels(f"{name}: the mask of {word} has shape {mask.shape}, the images {volume.hu.shape}")
    side = shown.hu.shape[1]
    column, row = np.meshgrid(np.arange(side), np.arange(side))
    corners = np.stack([column, row, np.ones_like(row)]).reshape(3, -1)
    rows, columns = volume.hu.shape[1:]
    ends = [*shown.source, len(mask)]
    found = np.zeros(shown.hu.shape, np.bool_)
    for index, matrix in enumerate(shown.to_image):
        x, y = matrix @ corners
        at_x, at_y = np.floor(x * columns).astype(int), np.floor(y * rows).astype(int)
        inside = (at_x >= 0) & (at_x < columns) & (at_y >= 0) & (at_y < rows)
        reach = max(1, round((ends[index + 1] - ends[index]) / 2)) if len(ends) > 2 else 1
        low = max(0, shown.source[index] - reach + 1)
        part: BoolArray = np.logical_or.reduce(mask[low : shown.source[index] + reach], axis=0)
        flat = np.zeros(side * side, np.bool_)
        flat[inside] = part[at_y[inside], at_x[inside]]
        found[index] = flat.reshape(side, side)
    return found
