"""Where the slices of a stack lie: order, spacing, tilt, duplicates, holes.

Everything comes from ImagePositionPatient and ImageOrientationPatient; GantryDetectorTilt is nominal and
is only compared. Coordinates are LPS, in mm. DICOM PS3.3 C.7.6.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.headers import SliceHeader, Triple
from model.stroke import Note

Floats = NDArray[np.float64]

SAME_POSITION_MM = 0.05
UNEVEN_MM = 0.1
"""Gaps this close to one another count as even."""
HOLE_RATIO = 1.5
"""A gap this much wider than both the slice and the usual gap lacks a slice (model design, section 3.2.3)."""
REGULAR_RUN = 4
"""So many equal gaps in a row are a protocol, not a loss."""
MISSING_FRACTION = 0.03
TILT_TOLERANCE_DEG = 0.5
SIDEWAYS_MM = 2.0
"""A slice this far off the line of the others in its plane was reconstructed about another centre."""


def plane_normal(orientation: Sequence[float]) -> Floats:
    """Unit normal of the slice plane, pointing to the head end of the patient (or along the larger axis)."""
    cross = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(cross))
    if length < 1e-6:
        return np.zeros(3)
    normal = cross / length
    axis = int(np.argmax(np.abs(normal)))
    return np.asarray(normal if normal[axis] > 0 else -normal, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices in order, slice 0 most inferior."""

    headers: tuple[SliceHeader, ...]
    positions_mm: Floats
    """Along the normal."""
    normal: Floats
    duplicates: int
    """Slices dropped because another lies at the same position."""

    @property
    def gaps_mm(self) -> Floats:
        return np.diff(self.positions_mm)

    @property
    def spacing_mm(self) -> float:
        """The usual distance between slices along the normal."""
        return (
            float(np.median(self.gaps_mm)) if len(self.headers) > 1 else self.headers[0].thickness_mm or 0.0
        )

    @property
    def extent_mm(self) -> float:
        return float(self.positions_mm[-1] - self.positions_mm[0]) + self.spacing_mm

    @property
    def origins(self) -> tuple[Triple, ...]:
        """ImagePositionPatient of each slice."""
        return tuple(header.position or (0.0, 0.0, 0.0) for header in self.headers)

    @property
    def frame_count(self) -> int:
        """Frames of the multi-frame file that holds the stack; 1 where every slice is a file."""
        return max(header.pixels.frames if header.pixels else 1 for header in self.headers)

    @property
    def frames(self) -> tuple[int, ...]:
        """Number of each slice in that file, from 1; none where every slice is a file."""
        return tuple(header.frame + 1 for header in self.headers) if self.frame_count > 1 else ()


def sort_stack(headers: Sequence[SliceHeader]) -> Stack:
    """Order slices of one orientation along its normal; of several at one position the last given stays."""
    first = headers[0].orientation
    assert first is not None, "sort_stack takes slices with geometry"
    normal = plane_normal(first)
    along = np.array([np.dot(header.position or (0.0, 0.0, 0.0), normal) for header in headers])
    order = np.argsort(along, kind="stable")
    kept: list[int] = []
    for index in order:
        if kept and along[index] - along[kept[-1]] < SAME_POSITION_MM:
            kept[-1] = max(kept[-1], int(index))
        else:
            kept.append(int(index))
    return Stack(
        headers=tuple(headers[index] for index in kept),
        positions_mm=along[kept],
        normal=normal,
        duplicates=len(headers) - len(kept),
    )


def missing_slices(stack: Stack) -> int:
    """How many slices the gaps leave room for.

    A gap is a hole when it is wider than the slices beside it and than the usual gap, and is not one of a run
    of equal gaps: a protocol may step 4 mm through the skull base and 7 mm above.
    """
    gaps = stack.gaps_mm
    thickness = np.array([header.thickness_mm or 0.0 for header in stack.headers])
    beside = np.maximum(thickness[:-1], thickness[1:])
    missing = 0
    for index, gap in enumerate(gaps):
        due = max(stack.spacing_mm, float(beside[index]))
        if gap > HOLE_RATIO * due and not _in_regular_run(gaps, index):
            missing += max(1, round(float(gap) / due) - 1)
    return missing


def _in_regular_run(gaps: Floats, index: int) -> bool:
    same = np.abs(gaps - gaps[index]) <= UNEVEN_MM
    start = index
    while start > 0 and same[start - 1]:
        start -= 1
    stop = index + 1
    while stop < len(gaps) and same[stop]:
        stop += 1
    return stop - start >= REGULAR_RUN


def step_direction(stack: Stack) -> Floats:
    """Unit vector from each slice's first pixel to the next one's: the way of the table."""
    positions = np.array([header.position for header in stack.headers], dtype=np.float64)
    step = positions[-1] - positions[0]
    length = float(np.linalg.norm(step))
    return step / length if length > 0 else stack.normal


def tilt_degrees(stack: Stack) -> float:
    """Gantry tilt: the angle by which the table's way leaves the normal within the columns of the image."""
    orientation = stack.headers[0].orientation
    assert orientation is not None
    sine = float(np.dot(step_direction(stack), orientation[3:]))
    return float(-np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))) + 0.0


def affine_lps(stack: Stack) -> Floats:
    """4 x 4, from (slice, row, column, 1) to LPS mm; sheared when the gantry was tilted."""
    header = stack.headers[0]
    assert header.orientation is not None
    assert header.pixel_spacing is not None
    assert header.position is not None
    direction = step_direction(stack)
    advance = float(np.dot(direction, stack.normal))
    affine = np.eye(4)
    affine[:3, 0] = direction * (stack.spacing_mm / advance if advance > 0 else 0.0)
    affine[:3, 1] = np.array(header.orientation[3:]) * header.pixel_spacing[0]
    affine[:3, 2] = np.array(header.orientation[:3]) * header.pixel_spacing[1]
    affine[:3, 3] = header.position
    return affine


def upright(
    hu: NDArray[np.int16], stack: Stack, spacing_mm: tuple[float, float, float]
) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """A view with rows to the back and columns to the left of the patient, however the image was stored."""
    orientation = stack.headers[0].orientation
    assert orientation is not None
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    if abs(across[0]) < abs(down[0]):
        hu, spacing_mm = hu.transpose(0, 2, 1), (spacing_mm[0], spacing_mm[2], spacing_mm[1])
        across, down = down, across
    return hu[:, :: -1 if down[1] < 0 else 1, :: -1 if across[0] < 0 else 1], spacing_mm


def geometry_notes(stack: Stack) -> list[Note]:
    """What is unusual about where the slices lie, with the values seen."""
    notes: list[Note] = []
    if stack.duplicates:
        notes.append(
            Note(
                "duplicate_slices",
                f"{stack.duplicates} slices lay where another one lies; the last was kept.",
            )
        )
    gaps = stack.gaps_mm
    if len(gaps) and float(gaps.max() - gaps.min()) > UNEVEN_MM:
        notes.append(Note("uneven_spacing", f"Uneven spacing between slices: {_gap_list(gaps)}."))
    tilt = tilt_degrees(stack)
    if abs(tilt) > TILT_TOLERANCE_DEG:
        notes.append(
            Note("gantry_tilt", f"Gantry tilt {tilt:.1f} degrees, from the positions of the slices.")
        )
    stated = stack.headers[0].gantry_tilt
    if stated is not None and abs(abs(stated) - abs(tilt)) > TILT_TOLERANCE_DEG:
        notes.append(
            Note(
                "tilt_differs", f"GantryDetectorTilt says {stated:.1f} degrees, the positions say {tilt:.1f}."
            )
        )
    sideways = _sideways_mm(stack)
    if sideways > SIDEWAYS_MM:
        notes.append(Note("shifted_slices", f"Slices are shifted in their plane by up to {sideways:.1f} mm."))
    return notes


def _gap_list(gaps: Floats, limit: int = 6) -> str:
    values, counts = np.unique(np.round(gaps, 2), return_counts=True)
    most = np.argsort(-counts, kind="stable")[:limit]
    listed = ", ".join(f"{values[index]:.2f} mm x {counts[index]}" for index in sorted(most))
    rest = len(values) - len(most)
    return f"{listed} and {rest} other values up to {values[-1]:.2f} mm" if rest else listed


def _sideways_mm(stack: Stack) -> float:
    positions = np.array([header.position for header in stack.headers], dtype=np.float64)
    direction = step_direction(stack)
    advance = float(np.dot(direction, stack.normal))
    if advance <= 0:
        return 0.0
    expected = positions[0] + np.outer((stack.positions_mm - stack.positions_mm[0]) / advance, direction)
    return float(np.abs(positions - expected).max())
