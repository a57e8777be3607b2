"""Simulated bleeds of every kind painted into real heads that do not bleed: masks learn on real anatomy."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from model.stroke import StrokeType
from training.cases import IGNORE_BIT, Case, FloatArray, pack_masks

BoolArray = npt.NDArray[np.bool_]

SECTION_MM2 = 4000.0
"""Slices whose closed skull holds less than this are left unpainted: skull base and vertex."""
MIN_MM3 = 100.0
"""Smaller bleeds are not drawn: no label could rest on them."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What painting needs to know of a head: all arrays (slices, side, side)."""

    hu: FloatArray
    inside: BoolArray
    """Brain and CSF within a closed skull."""
    depth_mm: FloatArray
    """In-plane distance from the inner table."""
    csf: FloatArray
    ventricles: BoolArray
    x_mm: FloatArray
    y_mm: FloatArray
    z_mm: FloatArray


def survey(case: Case, *, grid_mm: float) -> Ground | None:
    """Find skull, brain, CSF and ventricles of a head; None where no slice has a closed skull."""
    hu = case.hu.astype(np.float32)
    inside = np.zeros(hu.shape, np.bool_)
    depth = np.zeros(hu.shape, np.float32)
    for number, image in enumerate(hu):
        bone = ndimage.binary_closing(image > 110, iterations=2)
        hole = ndimage.binary_fill_holes(bone) & ~bone
        hole = ndimage.binary_opening(hole, iterations=2)
        if hole.sum() * grid_mm**2 > SECTION_MM2:
            inside[number] = hole
            depth[number] = ndimage.distance_transform_edt(hole) * grid_mm
    if not inside.any():
        return None
    smooth = ndimage.gaussian_filter(np.clip(hu, -20, 100), (0, 0.7, 0.7))
    csf = np.clip((23 - smooth) / 9, 0, 1) * inside
    ventricles = ndimage.binary_opening((csf > 0.4) & (depth > 22), np.ones((1, 2, 2)))
    mm = np.indices(hu.shape, dtype=np.float32)
    mm *= np.array([case.card.spacing_mm, grid_mm, grid_mm], np.float32)[:, None, None, None]
    return Ground(hu, inside, depth, csf, ventricles, x_mm=mm[2], y_mm=mm[1], z_mm=mm[0])


def paint_case(case: Case, ground: Ground, *, seed: int, grid_mm: float) -> Case | None:
    """Paint one to three bleeds, drawn by seed, into a clean head; None where nothing came of it."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(PAINTERS), size=rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]), replace=False)
    hu = ground.hu.copy()
    masks: dict[str, BoolArray] = {}
    for kind in kinds:
        weight = np.clip(PAINTERS[kind](ground, rng), 0, 1) * ground.inside
        weight = ndimage.gaussian_filter(weight, (0.25, 0.5, 0.5))
        blood = rng.uniform(50, 76) if rng.random() < 0.85 else rng.uniform(42, 50)
        texture = ndimage.gaussian_filter(rng.standard_normal(hu.shape).astype(np.float32), (0.5, 2, 2))
        grain = hu - ndimage.gaussian_filter(hu, (0, 1.0, 1.0))
        colour = blood + texture * (rng.uniform(0, 4) / (texture.std() + 1e-6)) + np.clip(grain, -8, 8)
        hu = hu * (1 - weight) + np.maximum(colour, hu) * weight
        mask = (weight > 0.5) & (hu > 40)
        if mask.sum() * grid_mm**2 * case.card.spacing_mm > MIN_MM3:
            masks[str(kind)] = mask
    if not masks:
        return None
    bits = pack_masks(masks, hu.shape) | (case.masks & np.uint16(1 << IGNORE_BIT))
    labels = {**case.card.labels, **dict.fromkeys(masks, 1), StrokeType.ANY_ICH: 1}
    name = f"painted-{case.card.patient.removeprefix('sich-')}-{seed}"
    card = replace(case.card, name=name, source="painted", labels=labels)
    return Case(card, np.round(hu).astype(np.int16), bits)


def ball(ground: Ground, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> FloatArray:
    """Squared distance from a centre (z, y, x) in mm, in radii."""
    z, y, x = centre
    square: FloatArray = (
        ((ground.z_mm - z) / radii[0]) ** 2
        + ((ground.y_mm - y) / radii[1]) ** 2
        + ((ground.x_mm - x) / radii[2]) ** 2
    )
    return square


def somewhere(ground: Ground, where: BoolArray, rng: np.random.Generator) -> tuple[float, float, float]:
    """A point (z, y, x) in mm, drawn from a mask that is not empty."""
    spots = np.flatnonzero(where)
    spot = np.unravel_index(int(rng.choice(spots)), where.shape)
    return float(ground.z_mm[spot]), float(ground.y_mm[spot]), float(ground.x_mm[spot])


def _wobble(ground: Ground, rng: np.random.Generator, amount: float) -> FloatArray:
    noise = ndimage.gaussian_filter(rng.standard_normal(ground.hu.shape).astype(np.float32), (1, 3.5, 3.5))
    wobble: FloatArray = noise * (amount / (noise.std() + 1e-6))
    return wobble


def _parenchymal(ground: Ground, rng: np.random.Generator) -> FloatArray:
    centre = somewhere(ground, ground.depth_mm > 9, rng)
    usual = 9 if rng.random() < 0.7 else 5
    radius = float(np.clip(rng.lognormal(np.log(usual), 0.45), 3, 28))
    radii = (
        max(radius * rng.uniform(0.7, 1.1), 4.0),
        radius * rng.uniform(0.8, 1.4),
        radius * rng.uniform(0.7, 1.2),
    )
    square = ball(ground, centre, radii) + _wobble(ground, rng, 0.25)
    weight: FloatArray = (1 - square) / 0.25 + 0.5
    return weight * (ground.depth_mm > 2)


def _ventricular(ground: Ground, rng: np.random.Generator) -> FloatArray:
    if not ground.ventricles.any():
        return np.zeros_like(ground.hu)
    level = float(np.quantile(ground.y_mm[ground.ventricles], rng.uniform(0.0, 0.75)))
    filled: FloatArray = ground.ventricles * np.clip((ground.y_mm - level) / 3.0, 0, 1) * 1.3
    return filled


def _subarachnoid(ground: Ground, rng: np.random.Generator) -> FloatArray:
    sulci = (ground.csf > 0.4) & ~ndimage.binary_dilation(ground.ventricles, iterations=3)
    if not sulci.any():
        return np.zeros_like(ground.hu)
    centre = somewhere(ground, sulci, rng)
    reach = rng.uniform(15, 45)
    near = np.clip((1 - ball(ground, centre, (reach, reach, reach))) * 3, 0, 1)
    filled: FloatArray = near * sulci * ground.csf * rng.uniform(1.0, 1.8)
    return filled


def _beneath_skull(ground: Ground, rng: np.random.Generator, *, lens: bool) -> FloatArray:
    middle_y, middle_x = float(ground.y_mm[ground.inside].mean()), float(ground.x_mm[ground.inside].mean())
    angle = np.arctan2(ground.x_mm - middle_x, -(ground.y_mm - middle_y))  # 0 at the forehead
    centre = rng.choice((-1, 1)) * (rng.uniform(0.4, 2.6) if lens else rng.uniform(0.7, 2.3))
    away = np.abs(np.angle(np.exp(1j * (angle - centre)))).astype(np.float32)
    height, spread_z = somewhere(ground, ground.depth_mm > 15, rng)[0], rng.uniform(12, 40)
    rise = np.clip(1 - ((ground.z_mm - height) / spread_z) ** 2, 0, 1)
    if lens:
        profile = rng.uniform(4, 20) * np.clip(1 - (away / rng.uniform(0.25, 0.5)) ** 2, 0, 1) * rise
    else:
        thick = rng.triangular(2, 4, 12)
        profile = thick * np.clip(1 - (away / rng.uniform(0.7, 1.3)) ** 4, 0, 1) * np.sqrt(rise)
    weight: FloatArray = ((profile - ground.depth_mm) / 1.2 + 0.5) * (profile > 1.2)
    return weight


def _subdural(ground: Ground, rng: np.random.Generator) -> FloatArray:
    return _beneath_skull(ground, rng, lens=False)


def _epidural(ground: Ground, rng: np.random.Generator) -> FloatArray:
    return _beneath_skull(ground, rng, lens=True)


PAINTERS: dict[StrokeType, Callable[[Ground, np.random.Generator], FloatArray]] = {
    StrokeType.IPH: _parenchymal,
    StrokeType.IVH: _ventricular,
    StrokeType.SAH: _subarachnoid,
    StrokeType.SDH: _subdural,
    StrokeType.EDH: _epidural,
}
