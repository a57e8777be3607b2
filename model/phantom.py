"""Simulated non-contrast head CT with the truth about it, for tests, the demo and training."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.phantom_anatomy import Build, Head, cavity, draw_build, make_head
from model.phantom_brain import draw_brain
from model.phantom_faults import Fault
from model.phantom_grid import Pose, make_grid, stream
from model.phantom_lesions import draw_lesions
from model.phantom_plan import BLEEDS, KINDS, MASS_EFFECT_MM, Lesion, PlacedLesion, place_lesion, press
from model.phantom_scanner import (
    NOISE_HU,
    add_contrast,
    add_holder,
    add_metal,
    add_motion,
    add_noise,
    blur,
    harden_beam,
    miscalibrate,
    open_skull,
)
from model.phantom_template import Subject, Template, draw_template_brain
from model.stroke import StrokeType

__all__ = ["KINDS", "Fault", "Lesion", "Phantom", "simulate_head"]

CHILD_AGE = 12.0
MIN_SLICE_MM3 = 20.0
"""Volume from which a lesion counts as visible in a slice."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """A simulated study in memory.

    Axes are LPS: slice 0 is the most inferior, rows run to the back, columns to the patient's left.
    """

    hu: NDArray[np.int16]
    """(slices, rows, columns)."""
    masks: Mapping[StrokeType, NDArray[np.bool_]]
    """Only the types that are present; same shape as `hu`. No mask stands for mass effect."""
    labels: Mapping[StrokeType, int]
    """0 or 1 for every stroke type."""
    slice_labels: Mapping[StrokeType, NDArray[np.bool_]]
    """(slices,) for every stroke type."""
    spacing_mm: tuple[float, float, float]
    """Slice distance along the normal, row and column spacing."""
    tilt_deg: float
    """Gantry tilt; positive lifts the front of the slice."""
    kernel: str
    seed: int
    age: float
    lesions: tuple[PlacedLesion, ...] = ()
    faults: tuple[Fault, ...] = ()
    extras: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Masks of what is no lesion: metal, skull_defect."""

    @property
    def sha256(self) -> str:
        """Digest of the voxels."""
        return hashlib.sha256(self.hu.tobytes()).hexdigest()


def simulate_head(
    seed: int,
    *,
    lesions: Sequence[str | Lesion] = (),
    side: int = 256,
    slices: int = 28,
    spacing_mm: float = 5.0,
    tilt_deg: float = 0.0,
    kernel: str = "soft",
    faults: Sequence[str] = (),
    age: float | None = None,
    fov_mm: float | None = None,
    template: Template | None = None,
) -> Phantom:
    """Simulate one head CT; the same arguments give the same voxels.

    The head depends on the seed alone: with other lesions it is the same head, so that pairs that
    differ in one lesion can be made.

    Args:
        seed: Draws everything that is not given.
        lesions: Keys of `KINDS`, or `Lesion` where size, side or site matter.
        side: Rows and columns.
        slices: Number of slices; the last one lies at the vertex.
        spacing_mm: Distance of slices along their normal, and their thickness.
        tilt_deg: Gantry tilt.
        kernel: `soft`, `standard` or `bone`.
        faults: Words of `Fault`; those that live in headers only are kept for the writer.
        age: In years; drawn when None.
        fov_mm: Field of view; drawn when None.
        template: Take brain and inner table from it, warped for this seed; analytic when None.

    Raises:
        ValueError: unknown lesion, fault or kernel.
    """
    if kernel not in NOISE_HU:
        raise ValueError(f"unknown kernel {kernel!r}; known: {', '.join(NOISE_HU)}")
    wanted = tuple(Fault(f) for f in faults)
    rng = stream(seed, "pose")
    drawn_age = float(rng.uniform(20, 92))
    age = CHILD_AGE if Fault.CHILD in wanted else drawn_age if age is None else age
    build = draw_build(seed, age)
    pose, drawn_fov = draw_pose(rng, build)
    pixel = (fov_mm or drawn_fov) / side
    spacing = (spacing_mm, pixel, pixel)
    top = 86 * pose.size + float(rng.uniform(-4, 8))
    shear = float(np.tan(np.deg2rad(tilt_deg)))
    grid = make_grid((slices, side, side), spacing, pose, top_mm=top, shear=shear)
    placed = tuple(place_lesion(seed, index, lesion) for index, lesion in enumerate(lesions))
    brain, effaced = press(grid, placed)
    if template is None:
        head = make_head(seed, grid, brain, build, effaced, cavity(seed, grid, build))
        draw_brain(head)
    else:
        subject = Subject(template, build, seed)
        head = make_head(seed, grid, brain, build, effaced, subject.spaces(grid))
        draw_template_brain(head, subject)
    masks = draw_lesions(head, placed)
    extras = spoil_head(head, seed, wanted)
    shift = sum(lesion.shift_mm * lesion.side for lesion in placed)
    labels, slice_labels = label(masks, spacing, slices, shifted=abs(shift) >= MASS_EFFECT_MM)
    return Phantom(
        scan_head(head, kernel, moves=Fault.MOTION in wanted),
        masks,
        labels,
        slice_labels,
        spacing,
        tilt_deg,
        kernel,
        seed,
        age,
        placed,
        wanted,
        extras,
    )


def scan_head(head: Head, kernel: str, *, moves: bool) -> NDArray[np.int16]:
    """Put a drawn head through the scanner."""
    add_holder(head, head.seed)
    harden_beam(head, head.seed)
    hu = blur(head.hu, head.grid.spacing, kernel)
    if moves:
        hu = add_motion(hu, head.seed, head.grid.spacing)
    add_noise(hu, head.seed, head.grid.spacing, kernel)
    miscalibrate(hu, head.seed)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def draw_pose(rng: np.random.Generator, build: Build) -> tuple[Pose, float]:
    """Draw how the head lies, and a field of view in mm that holds it."""
    size = float(rng.uniform(0.94, 1.06))
    long = 2 * size * (build.length + build.skull_mm + build.scalp_mm)
    fov = long * float(rng.uniform(1.06, 1.25))
    room = (fov - long) / 2
    pose = Pose(
        yaw=float(np.clip(rng.normal(0, 5), -14, 14)),
        roll=float(np.clip(rng.normal(0, 3), -8, 8)),
        pitch=float(rng.uniform(-6, 12)),
        shift=(float(rng.uniform(-8, 8)), float(rng.uniform(-0.7, 0.7)) * room - 17 * size, 0.0),
        size=size,
    )
    return pose, fov


def spoil_head(head: Head, seed: int, faults: Sequence[Fault]) -> dict[str, NDArray[np.bool_]]:
    """Apply the faults that lie in the head itself."""
    extras: dict[str, NDArray[np.bool_]] = {}
    if Fault.CONTRAST in faults or Fault.CONTRAST_UNTAGGED in faults:
        add_contrast(head, seed)
    if Fault.SKULL_DEFECT in faults:
        extras["skull_defect"] = open_skull(head, seed, closed=False)
    if Fault.CRANIOTOMY in faults:
        extras["skull_defect"] = open_skull(head, seed, closed=True)
    if Fault.METAL in faults:
        extras["metal"] = add_metal(head, seed)
    return extras


def label(
    masks: dict[StrokeType, NDArray[np.bool_]],
    spacing: tuple[float, float, float],
    slices: int,
    *,
    shifted: bool,
) -> tuple[dict[StrokeType, int], dict[StrokeType, NDArray[np.bool_]]]:
    """Label study and slices from the masks; adds the mask of any bleed."""
    bleeds = [masks[t] for t in BLEEDS if t in masks]
    if bleeds:
        masks[StrokeType.ANY_ICH] = np.logical_or.reduce(bleeds)
    voxel = float(np.prod(spacing))
    enough = max(1.0, MIN_SLICE_MM3 / voxel)
    slice_labels = {
        t: masks[t].sum(axis=(1, 2)) >= enough if t in masks else np.zeros(slices, bool) for t in StrokeType
    }
    labels = {t: int(slice_labels[t].any()) for t in StrokeType}
    if shifted:
        labels[StrokeType.MASS_EFFECT] = 1
        slice_labels[StrokeType.MASS_EFFECT] = np.logical_or.reduce(
            [m.any(axis=(1, 2)) for m in masks.values()]
        )
    return labels, slice_labels
