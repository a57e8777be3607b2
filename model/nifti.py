"""Head CT as NIfTI: orientation from its affine, Hounsfield units from whatever numbers it holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.pixels import AIR_HU
from model.stroke import Note

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
OFFSET_HU = 1024
"""What files whose rescale intercept was forgotten lie too high by."""
THICK_RATIO = 1.8
"""An axis with steps this much longer than the next is the one between slices."""


class BadNifti(ValueError):
    """A NIfTI file cannot be read as a head CT; the text names what it holds."""


@dataclass(frozen=True, slots=True)
class NiftiImage:
    """Numbers of a file in the order (slice, row, column), not yet taken for Hounsfield units."""

    values: Array
    affine: Floats
    """4 x 4, (slice, row, column, 1) to LPS mm."""
    notes: tuple[Note, ...]


def read_nifti(path: Path) -> NiftiImage:
    """Read a file and put its axes in order; slices may still run either way.

    Raises:
        BadNifti: it is no NIfTI, has more than one volume, or its slices are not axial.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        values = np.asarray(image.dataobj)
        affine = np.asarray(image.affine, np.float64)
        zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
        placed = int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0
    except Exception as error:  # nibabel raises its own kinds, zlib's, EOFError and ValueError
        raise BadNifti(f"{path.name} is not readable NIfTI: {type(error).__name__}") from error
    values = values.reshape(values.shape[:3]) if values.ndim > 3 and values.size == _one(values) else values
    if values.ndim != 3 or values.dtype.fields is not None:
        raise BadNifti(f"{path.name} has the shape {values.shape} of {values.dtype}, not one grey volume")
    notes = []
    if not placed:
        notes.append(Note("orientation_assumed", "Neither sform nor qform is set; the usual axes are taken."))
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        affine = np.diag([-(zooms[0] or 1.0), zooms[1] or 1.0, zooms[2] or 1.0, 1.0])
        notes.append(Note("orientation_assumed", "The affine is singular; the usual axes are taken."))
    order = _axis_order(affine, path.name)
    arranged = (RAS_TO_LPS @ affine)[:, [*order, 3]]
    return NiftiImage(np.transpose(values, order), arranged, tuple(notes))


def to_hounsfield(values: Array) -> tuple[npt.NDArray[np.int16], list[Note]]:
    """HU in [-1024, 3071] of CT numbers: a forgotten intercept is taken off, a missing background filled."""
    notes = []
    numbers = np.nan_to_num(np.asarray(values, np.float32), nan=AIR_HU, posinf=3071, neginf=AIR_HU)
    # with the offset brain lies at 1030 to 1070, without it only some bone does
    if numbers.min() >= 0 and _count(numbers, 1000, 1100) > _count(numbers, 100, 1000):
        numbers = numbers - OFFSET_HU
        notes.append(Note("offset_removed", f"All numbers are positive; {OFFSET_HU} was taken off."))
    rim = np.concatenate([numbers[:, [0, -1]].ravel(), numbers[:, :, [0, -1]].ravel()])
    common, counts = np.unique(rim, return_counts=True)
    outside = float(common[np.argmax(counts)])
    if outside > -300 and counts.max() > 0.5 * rim.size:
        numbers = np.where(numbers == outside, AIR_HU, numbers)
        notes.append(Note("background_filled", f"The background of {outside:.0f} was taken for air."))
    return np.clip(np.round(numbers), AIR_HU, 3071).astype(np.int16), notes


def is_eight_bit(values: Array) -> bool:
    """Whether the numbers are greys of 0 to 255, or of 0 to 1, and not Hounsfield units."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low >= 0 and high <= 255


def as_grey(values: Array) -> npt.NDArray[np.uint8]:
    """Greys of 0 to 255 from such numbers."""
    scale = 255.0 if float(np.nanmax(values)) <= 1.0 else 1.0
    return np.round(np.nan_to_num(np.asarray(values, np.float32)) * scale).astype(np.uint8)


def _axis_order(affine: Floats, name: str) -> list[int]:
    """Axes of the file as (slice, row, column): slices run along the body, rows to front or back."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    ways = np.abs(affine[:3, :3] / steps)
    between = int(np.argmax(ways[2]))
    thick = int(np.argmax(steps))
    if thick != between and steps[thick] > THICK_RATIO * np.sort(steps)[1]:
        raise BadNifti(f"{name} has steps of {np.round(steps, 2).tolist()} mm: its slices are not axial")
    rest = [axis for axis in range(3) if axis != between]
    rest.sort(key=lambda axis: -ways[1, axis])
    return [between, *rest]


def _one(values: Array) -> int:
    return int(np.prod(values.shape[:3]))


def _count(numbers: npt.NDArray[np.float32], low: float, high: float) -> int:
    return int(((numbers > low) & (numbers < high)).sum())
