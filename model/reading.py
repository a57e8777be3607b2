"""What was read and where blood is suspected in it, small enough to keep with every analysis.

The network suspects on its own grid: square, untilted, at half its resolution. Here its suspicion is carried
back to the pixels of the images that it came from, slice by slice, so that it can be drawn over them.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.detect import BOX_PROBABILITY, MIN_BOX_PIXELS, Heat
from model.volume import Volume

Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """The slices that were read, inferior to superior, and the suspected blood on them."""

    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]
    frames: tuple[int, ...]
    """As in `Volume`; none where every slice is a file."""
    frame_count: int
    origins: Floats
    """Shape (slices, 3): ImagePositionPatient, mm."""
    orientation: tuple[float, ...]
    """Six cosines: along a row, along a column."""
    pixel_spacing: tuple[float, float]
    """Between rows, between columns, mm."""
    shape: tuple[int, int]
    """Rows, columns."""
    masks: dict[int, Bits]
    """Suspected blood by slice, each of that shape; slices without are left out."""
    volume_ml: float


def reading_of(volume: Volume, heat: Heat) -> Reading:
    """Carry the network's suspicion back to the images.

    Args:
        volume: The study as read.
        heat: Of the same volume.
    """
    masks = _masks(volume, heat)
    return Reading(
        series_instance_uid=volume.series_instance_uid,
        sop_instance_uids=volume.sop_instance_uids,
        frames=volume.frames,
        frame_count=volume.frame_count,
        origins=_origins(volume),
        orientation=(*_direction(volume, 2), *_direction(volume, 1)),
        pixel_spacing=volume.spacing_mm[1:],
        shape=(volume.hu.shape[1], volume.hu.shape[2]),
        masks=masks,
        volume_ml=_volume_ml(volume, masks),
    )


def pack(reading: Reading) -> bytes:
    """A reading as bytes: masks as bits, deflated; the same reading gives the same bytes."""
    numbers = sorted(reading.masks)
    bits = np.packbits(np.array([reading.masks[number] for number in numbers], dtype=np.bool_))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        series=np.array(reading.series_instance_uid),
        uids=np.array(reading.sop_instance_uids),
        frames=np.array(reading.frames, np.int32),
        frame_count=np.array(reading.frame_count),
        origins=reading.origins,
        orientation=np.array(reading.orientation),
        spacing=np.array(reading.pixel_spacing),
        shape=np.array(reading.shape),
        numbers=np.array(numbers, np.int32),
        bits=bits,
        volume_ml=np.array(reading.volume_ml),
    )
    return buffer.getvalue()


def unpack(content: bytes) -> Reading:
    """The reading that `pack` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        rows, columns = (int(value) for value in kept["shape"])
        numbers = [int(number) for number in kept["numbers"]]
        count = len(numbers) * rows * columns
        bits = np.unpackbits(kept["bits"], count=count).astype(np.bool_).reshape(len(numbers), rows, columns)
        return Reading(
            series_instance_uid=str(kept["series"]),
            sop_instance_uids=tuple(str(uid) for uid in kept["uids"]),
            frames=tuple(int(frame) for frame in kept["frames"]),
            frame_count=int(kept["frame_count"]),
            origins=kept["origins"],
            orientation=tuple(float(value) for value in kept["orientation"]),
            pixel_spacing=(float(kept["spacing"][0]), float(kept["spacing"][1])),
            shape=(rows, columns),
            masks=dict(zip(numbers, bits, strict=True)),
            volume_ml=float(kept["volume_ml"]),
        )


def _masks(volume: Volume, heat: Heat) -> dict[int, Bits]:
    origins, found = _origins(volume), {}
    for number, source in enumerate(heat.shown.source):
        probability = _without_specks(heat.probability[number])
        if not (probability >= BOX_PROBABILITY).any():
            continue
        for member in heat.shown.members[number]:
            mask = _on_image(probability, volume, heat, number, origins[member] - origins[source])
            if mask.any():
                found[member] = mask
    return found


def _without_specks(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Suspicions too small to be outlined are not drawn either."""
    pieces, count = ndimage.label(probability >= BOX_PROBABILITY, structure=np.ones((3, 3)))
    if count == 0:
        return probability
    small = np.flatnonzero(np.bincount(pieces.ravel())[1:] < MIN_BOX_PIXELS) + 1
    return np.where(np.isin(pieces, small), np.float32(0.0), probability)


def _on_image(
    probability: NDArray[np.float32], volume: Volume, heat: Heat, number: int, moved: Floats
) -> Bits:
    """One slice of the network over one image whose first pixel lies `moved` mm from that of its source."""
    rows, columns = volume.hu.shape[1:]
    stride = heat.shown.hu.shape[-1] // probability.shape[-1]
    to_image = heat.shown.to_image[number]
    # image pixel (row, column) -> fractions of the image -> grid column and row -> mask row and column
    shift = (
        moved @ np.array(_direction(volume, 2)) / volume.spacing_mm[2] / columns,
        moved @ np.array(_direction(volume, 1)) / volume.spacing_mm[1] / rows,
    )
    to_grid = np.linalg.inv(to_image[:, :2])
    scale = np.array([[0.0, 1.0 / columns], [1.0 / rows, 0.0]])
    start = np.array([0.5 / columns + shift[0], 0.5 / rows + shift[1]]) - to_image[:, 2]
    matrix = (to_grid @ scale)[::-1] / stride
    offset = ((to_grid @ start)[::-1] - (stride - 1) / 2) / stride
    drawn = ndimage.affine_transform(
        probability, matrix, offset, output_shape=(rows, columns), order=1, mode="constant", prefilter=False
    )
    return np.asarray(drawn >= BOX_PROBABILITY, np.bool_)


def _volume_ml(volume: Volume, masks: dict[int, Bits]) -> float:
    several = len(volume.positions_mm) > 1
    depth = np.gradient(volume.positions_mm) if several else np.array([volume.spacing_mm[0]])
    pixel_mm2 = volume.spacing_mm[1] * volume.spacing_mm[2]
    return float(sum(mask.sum() * pixel_mm2 * depth[number] for number, mask in masks.items())) / 1000.0


def _origins(volume: Volume) -> Floats:
    if volume.origins:
        return np.array(volume.origins, dtype=np.float64)
    travel = (volume.positions_mm - volume.positions_mm[0]) / (volume.spacing_mm[0] or 1.0)
    return np.asarray(volume.affine[:3, 3] + np.outer(travel, volume.affine[:3, 0]), dtype=np.float64)


def _direction(volume: Volume, axis: int) -> tuple[float, ...]:
    """Unit vector along rows (axis 2) or down columns (axis 1)."""
    way = volume.affine[:3, axis]
    return tuple(float(value) for value in way / np.linalg.norm(way))
