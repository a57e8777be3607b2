"""Turn a volume into what the network sees: a square grid of fixed mm, untilted, centred on the head.

The same functions serve training and detection. Resampling in the plane is separable, rows and columns each
by a matrix of box overlaps: linear where the grid is finer than the image, an average where it is coarser.
Between slices nothing is interpolated: tilt is a shift within the plane, and thin slices are averaged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model.head import Head, find_head
from model.pixels import AIR_HU, HIGHEST_HU
from model.volume import Volume

SLAB_MM = 5.0
THIN_MM = 2.75
"""Slices closer than this are averaged to slabs of SLAB_MM: thick slices are what training data has."""
HEAD_MM = 140.0
"""The head is centred on what lies within this of its top; jaw, neck and shoulders do not count."""
TOP_AREA_CM2 = 5.0

EIGHT_BIT_LOW, EIGHT_BIT_HIGH = -20.0, 100.0
"""The window that the public 8-bit slices were saved in, close enough."""

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What the network sees: slice 0 most inferior, rows to the back, columns to the patient's left."""

    hu: Float32
    """Shape (slices', side, side), HU in [-1024, 3071]."""
    z: Float32
    """Shape (slices', 2): mm below the top of the head / 100, slice spacing mm / 10."""
    source: tuple[int, ...]
    """For each slice of the network, the slice of the volume that is shown for it."""
    grid_mm: float
    to_image: Floats
    """Shape (slices', 2, 3): to_image @ (grid column, grid row, 1) is (x, y) in fractions of the image."""
    members: tuple[tuple[int, ...], ...] = ()
    """For each slice of the network, every slice of the volume that went into it."""

    def box_in_image(
        self, index: int, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """A box in grid pixels (pixel j reaches from j - 0.5 to j + 0.5) as fractions of the source image."""
        corners = self.to_image[index] @ np.array([[left, right], [top, bottom], [1.0, 1.0]])
        x, y = np.clip(np.sort(corners, axis=1), 0.0, 1.0)
        return float(x[0]), float(y[0]), float(x[1]), float(y[1])


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the images lie in their plane, in mm: `across` to the patient's left, `down` to the back."""

    transposed: bool
    """Rows of the stored image run across the patient."""
    across_mm: float
    down_mm: float
    """Signed pixel sizes: negative where the image is mirrored against across or down."""
    origins: Floats
    """Shape (slices, 2): across and down of the first pixel of each slice."""


def to_model_input(volume: Volume, *, side: int, grid_mm: float) -> ModelInput:
    """Resample a volume onto a square grid of `side` pixels of `grid_mm`, at most one slice for 2.75 mm."""
    head = find_head(volume.hu, volume.spacing_mm)
    frame = _frame(volume)
    centre = _head_centre(head, volume, frame)
    groups = _slabs(volume.positions_mm)
    planes = volume.hu.transpose(0, 2, 1) if frame.transposed else volume.hu
    hu = np.empty((len(groups), side, side), np.float32)
    maps = np.empty((len(groups), 2, 3))
    source = tuple(int(group[len(group) // 2]) for group in groups)
    for number, group in enumerate(groups):
        hu[number] = _slab(planes, group, frame, centre, side=side, grid_mm=grid_mm)
        maps[number] = _image_map(volume, source[number], frame, centre, side=side, grid_mm=grid_mm)
    positions = np.array([volume.positions_mm[group].mean() for group in groups])
    z = np.stack([(_top_mm(head, volume) - positions) / 100.0, _local_spacing(positions) / 10.0], axis=1)
    members = tuple(tuple(int(index) for index in group) for group in groups)
    return ModelInput(hu, z.astype(np.float32), source, grid_mm, maps, members)


def window(hu: NDArray[np.generic], centre: float, width: float) -> Float32:
    """HU to 0..1 in a display window."""
    low = np.float32(centre - width / 2)
    shown: Float32 = np.clip((hu.astype(np.float32) - low) / np.float32(width), 0.0, 1.0)
    return shown


def from_eight_bit(
    image: NDArray[np.uint8], low: float = EIGHT_BIT_LOW, high: float = EIGHT_BIT_HIGH
) -> Float32:
    """Pseudo-HU of a slice saved with 8 bits in the window [low, high]."""
    return image.astype(np.float32) * np.float32((high - low) / 255.0) + np.float32(low)


def resample_slice(
    image: NDArray[np.generic],
    *,
    pixel_mm: tuple[float, float],
    centre: tuple[float, float],
    side: int,
    grid_mm: float,
    outside: float = AIR_HU,
) -> Float32:
    """One slice onto the grid, as `to_model_input` does it.

    Args:
        image: Shape (rows, columns).
        pixel_mm: Row and column spacing of the image.
        centre: Row and column of the image, in pixels, that lands in the middle of the grid.
        side: Pixels of the grid each way.
        grid_mm: Size of a pixel of the grid.
        outside: Value of what the image does not cover.
    """
    way = np.arange(side, dtype=np.float64) - (side - 1) / 2
    scale = grid_mm / pixel_mm[0], grid_mm / pixel_mm[1]
    rows = overlap_matrix(centre[0] + way * scale[0], scale[0], image.shape[0])
    columns = overlap_matrix(centre[1] + way * scale[1], scale[1], image.shape[1])
    shifted = image.astype(np.float32) - np.float32(outside)
    resampled: Float32 = (rows @ shifted) @ columns.toarray().T + np.float32(outside)
    return resampled


def overlap_matrix(centres: Floats, width: float, length: int) -> sparse.csr_array:
    """Matrix (len(centres), length): how much a box of `width` pixels about each centre overlaps each pixel.

    Rows sum to 1 where the box lies inside the line of pixels, to less where it reaches over the end.
    """
    width = max(abs(width), 1.0)
    taps = int(np.ceil(width)) + 1
    first = np.floor(centres - width / 2 + 0.5).astype(np.int64)
    index = first[:, None] + np.arange(taps)
    low = np.maximum(index - 0.5, (centres - width / 2)[:, None])
    high = np.minimum(index + 0.5, (centres + width / 2)[:, None])
    weight = np.clip(high - low, 0.0, None) / width
    weight[(index < 0) | (index >= length)] = 0.0
    return sparse.csr_array(
        (
            weight.astype(np.float32).ravel(),
            np.clip(index, 0, length - 1).astype(np.int32).ravel(),
            np.arange(0, weight.size + 1, taps, dtype=np.int32),
        ),
        shape=(len(centres), length),
    )


def _slab(
    planes: NDArray[np.int16],
    group: NDArray[np.int64],
    frame: _Frame,
    centre: tuple[float, float],
    *,
    side: int,
    grid_mm: float,
) -> Float32:
    half = (np.arange(side) - (side - 1) / 2) * grid_mm
    rows_done = np.zeros((side, planes.shape[2]), np.float32)
    for index in group:
        down = (centre[1] + half - frame.origins[index, 1]) / frame.down_mm
        rows = overlap_matrix(down, grid_mm / frame.down_mm, planes.shape[1])
        rows_done += rows @ (planes[index].astype(np.float32) - np.float32(AIR_HU))
    across = (centre[0] + half - frame.origins[group, 0].mean()) / frame.across_mm
    columns = overlap_matrix(across, grid_mm / frame.across_mm, planes.shape[2])
    slab = (columns @ rows_done.T).T / np.float32(len(group)) + np.float32(AIR_HU)
    clipped: Float32 = np.clip(slab, AIR_HU, HIGHEST_HU)
    return clipped


def _frame(volume: Volume) -> _Frame:
    column_way = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    row_way = volume.affine[:3, 1] / np.linalg.norm(volume.affine[:3, 1])
    transposed = abs(column_way[0]) < abs(row_way[0])
    across, down = (row_way, column_way) if transposed else (column_way, row_way)
    sizes = volume.spacing_mm[1:] if transposed else volume.spacing_mm[:0:-1]
    signs = (-1.0 if across[0] < 0 else 1.0), (-1.0 if down[1] < 0 else 1.0)
    travel = (volume.positions_mm - volume.positions_mm[0]) / (volume.spacing_mm[0] or 1.0)
    first_pixels = volume.affine[:3, 3] + np.outer(travel, volume.affine[:3, 0])
    origins = np.stack([first_pixels @ (across * signs[0]), first_pixels @ (down * signs[1])], axis=1)
    return _Frame(transposed, sizes[0] * signs[0], sizes[1] * signs[1], origins)


def _head_centre(head: Head, volume: Volume, frame: _Frame) -> tuple[float, float]:
    """Middle of the upper head, across and down in mm."""
    depth = _top_mm(head, volume) - volume.positions_mm
    near = (depth >= 0) & (depth <= HEAD_MM) & head.body.any(axis=(1, 2))
    ends: list[Floats] = []
    for index in np.flatnonzero(near):
        body = head.body[index].T if frame.transposed else head.body[index]
        step = head.step[::-1] if frame.transposed else head.step
        for axis, size in ((0, frame.across_mm), (1, frame.down_mm)):
            line = np.flatnonzero(body.any(axis=axis))
            pixels = (line[[0, -1]] + 0.5) * step[1 - axis] - 0.5
            ends.append(frame.origins[index, axis] + pixels * size)
    if not ends:
        return _image_centre(volume, frame)
    edges = np.sort(np.array(ends).reshape(-1, 2, 2), axis=2)
    low, high = np.percentile(edges[:, :, 0], 10, axis=0), np.percentile(edges[:, :, 1], 90, axis=0)
    return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2


def _image_centre(volume: Volume, frame: _Frame) -> tuple[float, float]:
    down, across = volume.hu.shape[:0:-1] if frame.transposed else volume.hu.shape[1:]
    middle = frame.origins.mean(axis=0)
    return (
        float(middle[0] + frame.across_mm * (across - 1) / 2),
        float(middle[1] + frame.down_mm * (down - 1) / 2),
    )


def _top_mm(head: Head, volume: Volume) -> float:
    """Position of the highest slice that shows more than a sliver of the head."""
    areas = head.body.sum(axis=(1, 2)) * head.pixel_cm2
    above = np.flatnonzero(areas > TOP_AREA_CM2)
    return float(volume.positions_mm[above[-1] if len(above) else -1])


def _slabs(positions_mm: Floats) -> list[NDArray[np.int64]]:
    """Indices of the slices that make each slice of the network, inferior to superior."""
    indices = np.arange(len(positions_mm))
    if len(indices) < 2 or float(np.median(np.diff(positions_mm))) >= THIN_MM:
        return [indices[index : index + 1] for index in indices]
    # Half a micrometre keeps slices that lie on an edge on one side of it.
    number = np.floor((positions_mm[-1] - positions_mm + 5e-4) / SLAB_MM).astype(np.int64)
    return [indices[number == value] for value in np.unique(number)[::-1]]


def _local_spacing(positions: Floats) -> Floats:
    return np.gradient(positions) if len(positions) > 1 else np.full(1, SLAB_MM)


def _image_map(
    volume: Volume, index: int, frame: _Frame, centre: tuple[float, float], *, side: int, grid_mm: float
) -> Floats:
    """Grid column and row to fractions of the stored image, one slice."""
    half = (side - 1) / 2 * grid_mm
    rows, columns = volume.hu.shape[1:]
    lengths = (rows, columns) if frame.transposed else (columns, rows)
    lines = []
    for axis, size in ((0, frame.across_mm), (1, frame.down_mm)):
        start = (centre[axis] - half - frame.origins[index, axis]) / size
        line = np.zeros(3)
        line[axis] = grid_mm / size / lengths[axis]
        line[2] = (start + 0.5) / lengths[axis]
        lines.append(line)
    return np.stack(lines[::-1] if frame.transposed else lines)
