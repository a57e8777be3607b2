"""The shapes of five kinds of bleeding in a given head, following its sulci, ventricles and inner table."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from model.stroke import StrokeType
from training.cases import FloatArray
from training.ground import HALF_LENGTH_MM, HALF_WIDTH_MM, BoolArray, Ground, Point

Box = tuple[slice, slice, slice]

DEEP_SITES: tuple[tuple[Point, float, float], ...] = (
    ((-5, -17, 27), 0.34, 1.0),  # putamen
    ((-3, 1, 13), 0.17, 0.65),  # thalamus
    ((-1, -32, 14), 0.06, 0.6),  # caudate
    ((18, -49, 30), 0.11, 1.0),  # frontal lobe
    ((20, 25, 36), 0.11, 1.0),  # parietal lobe
    ((-22, -5, 44), 0.08, 0.9),  # temporal lobe
    ((-40, 8, 2), 0.04, 0.5),  # pons
    ((-42, 43, 22), 0.09, 0.8),  # cerebellum
)
"""Centre in the usual head (up, back, across), odds, and size as a factor."""
LOWEST_MM = -35.0
"""Most collections under the skull are centred above this height."""


def ball(ground: Ground, centre: Point, radii: Point) -> FloatArray:
    """Squared distance from a centre (z, y, x) in mm, in radii."""
    z, y, x = centre
    square: FloatArray = (
        ((ground.z_mm[:, :1, :1] - np.float32(z)) / np.float32(radii[0])) ** 2
        + ((ground.y_mm[:1, :, :1] - np.float32(y)) / np.float32(radii[1])) ** 2
        + ((ground.x_mm[:1, :1, :] - np.float32(x)) / np.float32(radii[2])) ** 2
    )
    return square


def somewhere(ground: Ground, where: BoolArray, rng: np.random.Generator) -> Point:
    """A point (z, y, x) in mm, drawn from a mask that is not empty."""
    spots = np.flatnonzero(where)
    spot = np.unravel_index(int(rng.choice(spots)), where.shape)
    return float(ground.z_mm[spot]), float(ground.y_mm[spot]), float(ground.x_mm[spot])


def wobble(ground: Ground, rng: np.random.Generator, length_mm: float) -> FloatArray:
    """Smooth unit noise with features of a size in mm."""
    sigma = np.array([0.4 * length_mm / ground.spacing_mm, *(2 * (0.4 * length_mm / ground.grid_mm,))])
    coarse = np.maximum(1, np.floor(sigma / 1.5)).astype(int)
    shape = [-(-n // c) + 2 for n, c in zip(ground.hu.shape, coarse, strict=True)]
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma / coarse)
    cut = enlarged(noise, coarse.tolist(), ground.hu.shape)
    unit: FloatArray = cut / np.float32(cut.std() + 1e-6)
    return unit


def enlarged(noise: FloatArray, factors: Sequence[int], shape: Sequence[int]) -> FloatArray:
    """Linear interpolation by whole factors, cut to a shape; by axes, as scipy's takes ten times as long."""
    for axis, (factor, size) in enumerate(zip(factors, shape, strict=True)):
        count = noise.shape[axis]
        places = np.arange(size) * ((count - 1) / (count * factor - 1))
        first = np.minimum(places.astype(int), count - 2)
        part = (places - first).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        low, high = np.take(noise, first, axis), np.take(noise, first + 1, axis)
        noise = low + part * (high - low) if factor > 1 else np.take(noise, np.arange(size), axis)
    return noise


def parenchymal(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """A lumpy bleed in the brain, at one of the usual sites or anywhere."""
    usual, factor = None, 1.0
    if rng.random() < 0.65:
        number = int(rng.choice(len(DEEP_SITES), p=np.array([s[1] for s in DEEP_SITES])))
        (up, back, across), _, factor = DEEP_SITES[number]
        jitter = rng.normal(0, 5, 3)
        usual = ground.place(
            (up + jitter[0], back + jitter[1], rng.choice((-1, 1)) * (across + 0.6 * jitter[2]))
        )
    near = ground.depth_mm > (9 if rng.random() < 0.7 else 3)
    brain = near & (ground.csf < 0.5)
    if usual is None and rng.random() < 0.3:  # a contusion of the frontal or temporal base, next to bone
        factor = 0.7
        low = (ground.up_mm < 0) & (ground.up_mm > -40) & (ground.along_mm < 15)
        brain = low & (ground.depth_mm > 2) & (ground.depth_mm < 9)
    centre = usual or somewhere(ground, brain if brain.any() else ground.inside, rng)
    radius = float(np.clip(rng.lognormal(np.log(8.5), 0.5) * size * factor, 2.5, 30))
    radii = radius * rng.uniform(0.75, 1.3, 3)
    radii[0] = max(float(radii[0]), 0.55 * ground.spacing_mm)
    square = ball(ground, centre, (float(radii[0]), float(radii[1]), float(radii[2])))
    away = 1 - np.sqrt(square)
    rough = 0.20 * wobble(ground, rng, 1.4 * radius + 3) + 0.10 * wobble(ground, rng, 0.5 * radius + 2.5)
    if rng.random() < 0.3:  # a second lobe runs into the first
        turn = rng.uniform(0, 2 * np.pi)
        step = rng.uniform(0.8, 1.3) * radius
        other = (
            centre[0] + rng.normal(0, 0.3) * radius,
            centre[1] + step * np.sin(turn),
            centre[2] + step * np.cos(turn),
        )
        r = float(radius * rng.uniform(0.4, 0.75))
        away = np.maximum(away, 0.7 - np.sqrt(ball(ground, other, (max(r, 0.5 * ground.spacing_mm), r, r))))
    depth = (away + rough * (away > -1)) * radius
    edge = np.float32(np.exp(rng.uniform(np.log(1.5), np.log(6.0))))
    weight: FloatArray = depth / min(edge, np.float32(1.2 * radius)) + np.float32(0.5)
    return weight * (ground.depth_mm > 1.0)


def ventricular(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """Blood lying in the back of the ventricles, on one side, or filling them."""
    if not ground.ventricles.any():
        return np.zeros_like(ground.hu)
    wet = ndimage.gaussian_filter(ground.ventricles.astype(np.float32), (0.2, 0.7, 0.7)) * 1.6
    way = rng.random()
    if way < 0.65:
        share = float(np.clip(rng.uniform(0.0, 0.95) / max(size, 0.3), 0, 0.97))
        level = float(np.quantile(ground.along_mm[ground.ventricles], share))
        held = (ground.along_mm - level) / rng.uniform(1.5, 5.0) + 0.5
    elif way < 0.85:
        held = (ground.across_mm * rng.choice((-1, 1)) + 3) / 4.0
    else:
        held = np.ones_like(ground.hu)
    patchy = np.clip(wobble(ground, rng, 8.0) + rng.uniform(0.6, 2.0), 0, 1)
    filled: FloatArray = np.clip(wet, 0, 1) * np.clip(held, 0, 1) * patchy * (ground.csf > 0.1)
    return filled


def subarachnoid(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """Blood in the fluid of sulci, fissures or cisterns near a point; a film where sulci are shut."""
    sulci = (ground.csf > 0.35) & ~ndimage.binary_dilation(ground.ventricles, iterations=2)
    if rng.random() < 0.45:
        centre = ground.place((-24 + rng.normal(0, 5), -18 + rng.normal(0, 8), rng.uniform(-22, 22)))
        reach = np.array([18, 30, 34]) * rng.uniform(0.6, 1.3) * size**0.5
    else:
        shallow = sulci & (ground.depth_mm < 25)
        if not shallow.any():
            return np.zeros_like(ground.hu)
        centre = somewhere(ground, shallow, rng)
        reach = rng.uniform(12, 42) * np.array([0.8, 1.0, 1.0]) * size**0.5
    near = 1 - ball(ground, centre, (float(reach[0]), float(reach[1]), float(reach[2])))
    near = np.clip((near + 0.3 * wobble(ground, rng, 10.0)) * 3, 0, 1)
    filled: FloatArray = near * ground.csf * ~ndimage.binary_dilation(ground.ventricles, iterations=2)
    return filled * np.float32(rng.uniform(1.0, 1.8))


def turned(angle: FloatArray, centre: float) -> FloatArray:
    """How far angles lie from a centre, the shorter way round, 0 to pi."""
    away: FloatArray = np.abs(
        np.mod(angle - np.float32(centre - np.pi), np.float32(2 * np.pi)) - np.float32(np.pi)
    )
    return away


def beneath_skull(ground: Ground, rng: np.random.Generator, size: float, *, lens: bool) -> FloatArray:
    """A crescent or a lens on the inner table."""
    angle = np.arctan2(ground.across_mm, -ground.along_mm)  # 0 at the forehead
    centre = rng.choice((-1, 1)) * (rng.uniform(0.3, 2.7) if lens else rng.uniform(0.6, 2.4))
    away = turned(angle, centre)
    deep = (ground.depth_mm > 15) & (ground.up_mm > (LOWEST_MM if rng.random() < 0.85 else -1000.0))
    height = somewhere(ground, deep if deep.any() else ground.inside, rng)[0]
    spread_z = rng.uniform(10, 40) * size**0.3
    rise = np.clip(1 - ((ground.z_mm - height) / spread_z) ** 2, 0, 1)
    if lens:
        thick = np.clip(rng.lognormal(np.log(10), 0.5) * size, 2.5, 26)
        half = np.clip(rng.uniform(0.22, 0.5) * (0.5 + thick / 20), 0.15, 0.6)
        profile = thick * np.clip(1 - (away / half) ** 2, 0, 1) * rise
    else:
        thick = np.clip(rng.lognormal(np.log(5), 0.5) * size, 1.8, 18)
        profile = thick * np.clip(1 - (away / rng.uniform(0.5, 1.3)) ** 4, 0, 1) * np.sqrt(rise)
    profile = profile * (1 + 0.12 * wobble(ground, rng, 18.0))
    # at the base, bone lies between the lobes as well: no collection runs round a temporal pole
    outer = np.hypot(ground.across_mm / HALF_WIDTH_MM, ground.along_mm / HALF_LENGTH_MM) > 0.5
    weight: FloatArray = ((profile - ground.depth_mm) / 1.2 + 0.5) * (profile > 1.2) * outer
    return weight


def along_dura(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """A thin subdural beside the falx."""
    thick = float(np.clip(rng.lognormal(np.log(3.0), 0.35) * size, 1.6, 8))
    side = float(rng.choice((-1, 1)))
    back = rng.random() < 0.7
    along = ground.along_mm * (1 if back else -1)
    start = rng.uniform(18, 40)
    height = rng.uniform(0, 45)
    rise = np.clip(1.2 - ((ground.up_mm - height) / rng.uniform(14, 34)) ** 2, 0, 1)
    profile = thick * np.sqrt(np.clip((along - start) / 12, 0, 1) * rise)
    profile = profile * (1 + 0.15 * wobble(ground, rng, 14.0))
    beside = ground.across_mm * side + 1.0
    weight: FloatArray = (np.minimum(profile - beside, beside) + 0.5) * (profile > 1.0)
    return weight


def subdural(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """A crescent on the convexity, or a thin one along the falx."""
    if rng.random() < 0.15:
        return along_dura(ground, rng, size)
    return beneath_skull(ground, rng, size, lens=False)


def epidural(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """A lens between skull and dura."""
    return beneath_skull(ground, rng, size, lens=True)


BLEEDS: dict[StrokeType, Callable[[Ground, np.random.Generator, float], FloatArray]] = {
    StrokeType.IPH: parenchymal,
    StrokeType.IVH: ventricular,
    StrokeType.SAH: subarachnoid,
    StrokeType.SDH: subdural,
    StrokeType.EDH: epidural,
}
"""Weights of blood; below 0 and above 1 are cut by the painter."""
