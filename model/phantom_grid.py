"""The voxel grid that a simulated head is drawn on: coordinates in head millimetres, noise, soft shapes.

Head coordinates are LPS with the anterior commissure at the origin: x to the left, y back, z up.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]

SPLINE_POWER = 151 / 315
"""Mean square of a cubic B-spline series with unit coefficients, an axis."""


def stream(seed: int, concern: str) -> np.random.Generator:
    """Give each concern its own random numbers, so that adding a lesion leaves the head as it was."""
    return np.random.default_rng([seed, zlib.crc32(concern.encode())])


def spline_basis(count: int, step: float, phase: float) -> Array:
    """Return the cubic B-spline weights (count, nodes) of samples lying `step` nodes apart.

    The number of nodes follows from the extent alone, so that a finer grid shows the same noise.
    """
    place = (np.arange(count) + 0.5) * step + phase
    nodes = int(np.floor(round(count * step, 6) + phase)) + 4
    distance = np.abs(place[:, None] - (np.arange(nodes)[None, :] - 1))
    near = 2 / 3 - distance**2 * (1 - distance / 2)
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.asarray(np.where(distance < 1, near, far), np.float32)


def band_noise(
    rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], length_mm: float
) -> Array:
    """Draw smooth noise of unit variance whose features are about `length_mm` across."""
    basis = [
        spline_basis(n, s / max(length_mm, 1.05 * s), rng.uniform(0, 1))
        for n, s in zip(shape, spacing, strict=True)
    ]
    nodes = rng.standard_normal([b.shape[1] for b in basis], dtype=np.float32)
    for axis, weights in enumerate(basis):
        nodes = np.moveaxis(np.tensordot(weights, nodes, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(nodes / np.float32(SPLINE_POWER ** (len(shape) / 2)))


def ramp(depth: NDArray[np.floating], width: NDArray[np.floating] | float) -> Array:
    """Turn a signed depth in mm into membership 0..1 over an edge `width` mm wide."""
    return np.asarray(np.clip(depth / width + np.float32(0.5), 0, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Pose:
    """How the head lies in the gantry: angles in degrees, shift in mm, size as a factor."""

    yaw: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    shift: Point = (0.0, 0.0, 0.0)
    size: float = 1.0

    def matrix(self) -> NDArray[np.float64]:
        """Return the 3x3 map from gantry (x, y, z) to head (x, y, z)."""
        a, b, c = np.deg2rad([self.yaw, self.roll, self.pitch])
        yaw = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
        roll = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        pitch = np.array([[1, 0, 0], [0, np.cos(c), np.sin(c)], [0, -np.sin(c), np.cos(c)]])
        return np.asarray(pitch @ roll @ yaw / self.size)


NODES = 48
"""Nodes of a noise lattice along each axis, after which it repeats."""

Axes = tuple[Array, Array, Array]
"""Gantry mm of slices (slices,), rows (slices or 1, rows) and columns (columns,)."""


def lattice_weights(millimetres: Array, length_mm: float, phase: float) -> tuple[Array, NDArray[np.intp]]:
    """Return cubic B-spline weights (..., nodes) of points along one axis, and which nodes they weigh."""
    place = np.asarray(millimetres, np.float64) / length_mm + phase
    nodes = np.arange(int(np.floor(place.min())) - 1, int(np.floor(place.max())) + 3)
    distance = np.abs(place[..., None] - nodes)
    near = 2 / 3 - distance**2 * (1 - distance / 2)
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32), nodes % NODES


def lattice_noise(rng: np.random.Generator, axes: Axes, lengths_mm: Point) -> Array:
    """Draw smooth unit noise that is fixed in space: another grid shows the same noise at the same place.

    Args:
        rng: Gives up the same numbers whatever the grid is, even an empty one.
        axes: Where the voxels lie.
        lengths_mm: How large features are along slices, rows and columns.
    """
    nodes = rng.standard_normal((NODES, NODES, NODES), dtype=np.float32)
    phases = rng.uniform(0, NODES, 3)
    slices, rows, columns = axes
    if 0 in (slices.size, rows.size, columns.size):
        return np.zeros((slices.size, rows.shape[1], columns.size), np.float32)
    up, first = lattice_weights(slices, lengths_mm[0], phases[0])
    back, second = lattice_weights(rows, lengths_mm[1], phases[1])
    left, third = lattice_weights(columns, lengths_mm[2], phases[2])
    part = nodes[np.ix_(first, second, third)]
    part = (up @ part.reshape(len(first), -1)).reshape(len(up), len(second), len(third))
    return np.asarray(np.matmul(back, part @ left.T) / np.float32(SPLINE_POWER**1.5), np.float32)


@dataclass(slots=True)
class Grid:
    """Head coordinates of every voxel, and the way back from head millimetres to voxels."""

    x: Array
    y: Array
    z: Array
    axes: Axes
    spacing: Point
    """Slice, row, column in mm of the gantry."""
    head_to_voxel: NDArray[np.float64]
    """3x4: (slice, row, column) = M @ (x, y, z, 1)."""
    slack_mm: float = 0.0
    """By how much a warp may have moved structures."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.x.shape
        return slices, rows, columns

    def box(self, centre: Point, reach: Sequence[float]) -> Box:
        """Return the voxels that can lie within `reach` mm (x, y, z) of a point."""
        middle = self.head_to_voxel @ np.array([*centre, 1.0])
        extent = np.abs(self.head_to_voxel[:, :3]) @ (np.asarray(reach) + 2.0 + self.slack_mm) + 1
        low = np.clip(np.floor(middle - extent), 0, self.shape).astype(int)
        high = np.clip(np.ceil(middle + extent) + 1, 0, self.shape).astype(int)
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])

    def ellipsoid(
        self, centre: Point, radii: Point, *, turn: float = 0.0, margin: float = 0.0
    ) -> tuple[Box, Array]:
        """Return the box round an ellipsoid and the depth in mm below its surface there.

        Args:
            centre: In head mm.
            radii: Half axes in mm.
            turn: Rotation about the vertical axis in radians.
            margin: How many mm outside the surface the depth must still be known.
        """
        widest = max(radii[0], radii[1]) if turn else 0.0
        reach = (max(radii[0], widest) + margin, max(radii[1], widest) + margin, radii[2] + margin)
        box = self.box(centre, reach)
        x, y, z = self.x[box] - centre[0], self.y[box] - centre[1], self.z[box] - centre[2]
        if turn:
            cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            x, y = cos * x + sin * y, cos * y - sin * x
        radius = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
        return box, (1 - radius) * np.float32(min(radii))

    def noise(self, rng: np.random.Generator, length_mm: float, box: Box | None = None) -> Array:
        """Draw smooth unit noise, fixed to the head, over the grid or one box of it."""
        return self.stretched_noise(rng, (length_mm,) * 3, box)

    def stretched_noise(self, rng: np.random.Generator, lengths_mm: Point, box: Box | None = None) -> Array:
        """Draw smooth unit noise with features of another size along slices, rows and columns."""
        slices, rows, columns = self.axes
        if box is not None:
            rows = rows[box[0] if len(rows) > 1 else slice(None), box[1]]
            slices, columns = slices[box[0]], columns[box[2]]
        return lattice_noise(rng, (slices, rows, columns), lengths_mm)


def make_grid(
    shape: tuple[int, int, int], spacing: Point, pose: Pose, *, top_mm: float, shear: float
) -> Grid:
    """Lay the grid; the topmost slice lies `top_mm` above the origin of the unmoved head.

    Args:
        shape: Slices, rows, columns.
        spacing: Slice distance along the normal, row and column spacing in mm.
        pose: Where the head lies.
        top_mm: Height of the last slice.
        shear: Tangent of the gantry tilt; slices slide by it along the rows' axis.
    """
    matrix = pose.matrix()
    to_gantry = np.array(
        [[0, 0, spacing[2]], [-shear * spacing[0], spacing[1], 0], [spacing[0], 0, 0]]
    )  # columns: slice, row, column
    middle = (np.array(shape) - 1) / 2
    bottom = top_mm - (shape[0] - 1) * spacing[0]
    origin = -to_gantry @ middle
    origin[2] = bottom
    origin -= np.array(pose.shift)
    forward = matrix @ to_gantry
    start = matrix @ origin
    k, j, i = (np.arange(n, dtype=np.float32) for n in shape)
    axes = [
        (start[a] + forward[a, 0] * k).astype(np.float32)[:, None, None]
        + (forward[a, 1] * j).astype(np.float32)[None, :, None]
        + (forward[a, 2] * i).astype(np.float32)[None, None, :]
        for a in range(3)
    ]
    inverse = np.linalg.inv(forward)
    back = np.concatenate([inverse, -(inverse @ start)[:, None]], axis=1)
    gantry = gantry_axes(shape, spacing, bottom, shear)
    return Grid(axes[0], axes[1], axes[2], gantry, spacing, back)


def gantry_axes(shape: tuple[int, int, int], spacing: Point, bottom: float, shear: float) -> Axes:
    """Return where slices, rows and columns lie in the gantry."""
    k, j, i = (np.arange(n, dtype=np.float32) for n in shape)
    slid = -np.float32(shear * spacing[0]) * (k - (shape[0] - 1) / 2) if shear else k[:1] * 0
    rows = np.float32(spacing[1]) * (j - (shape[1] - 1) / 2) + slid[:, None]
    return (
        (bottom + np.float32(spacing[0]) * k).astype(np.float32),
        rows.astype(np.float32),
        (np.float32(spacing[2]) * (i - (shape[2] - 1) / 2)).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Texture:
    """A cube of smooth noise that can be looked up at any point, for sulci that run inwards."""

    values: Array
    texel_mm: float

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Return the noise at points in mm; the cube repeats beyond its edge."""
        points = np.stack([z, y, x]) / np.float32(self.texel_mm) + np.float32(self.values.shape[0] / 2)
        return np.asarray(ndimage.map_coordinates(self.values, points, order=1, mode="grid-wrap"))


def make_texture(rng: np.random.Generator, length_mm: float, extent_mm: float) -> Texture:
    """Draw a cube of noise with features `length_mm` across."""
    texel = length_mm / 3
    count = int(np.ceil(extent_mm / texel))
    return Texture(band_noise(rng, (count,) * 3, (1.0,) * 3, 3.0), texel)
