"""Acute infarcts and clotted arteries in a given head: which tissue, how dark after how many hours."""

import numpy as np
from scipy import ndimage

from model.phantom_plan import ischaemic_drop_hu
from training.bleeds import ball, wobble
from training.cases import FloatArray
from training.ground import Ground, Point

TERRITORIES: dict[str, tuple[Point, Point, float]] = {
    "mca": ((4, -17, 42), (26, 38, 22), 0.30),
    "mca_part": ((10, 8, 48), (16, 20, 16), 0.22),
    "insula": ((-5, -17, 34), (14, 22, 10), 0.12),
    "aca": ((26, -48, 9), (26, 26, 9), 0.06),
    "pca": ((-6, 49, 20), (18, 24, 17), 0.12),
    "cerebellar": ((-44, 45, 26), (12, 20, 18), 0.08),
    "lacune": ((0, -13, 22), (5, 5, 5), 0.10),
}
"""Centre in the usual head (up, back, across), half axes in mm, and odds."""
CLOT_MM = 1.7
"""Radius of a clotted middle cerebral artery."""


def territory(ground: Ground, rng: np.random.Generator, size: float) -> FloatArray:
    """Membership 0..1 of brain tissue in one artery's territory."""
    names = list(TERRITORIES)
    name = names[int(rng.choice(len(names), p=np.array([TERRITORIES[n][2] for n in names])))]
    (up, back, across), usual, _ = TERRITORIES[name]
    jitter = rng.normal(0, 4, 3)
    side = float(rng.choice((-1, 1)))
    centre = ground.place((up + jitter[0], back + jitter[1], side * (across + 0.5 * jitter[2])))
    radii = np.array(usual) * rng.uniform(0.75, 1.25, 3) * size**0.5
    radii[0] = max(float(radii[0]), 0.6 * ground.spacing_mm)
    small = float(min(radii))
    square = ball(ground, centre, (float(radii[0]), float(radii[1]), float(radii[2])))
    depth = (1 - np.sqrt(square) + 0.18 * wobble(ground, rng, 1.2 * small + 3)) * small
    part = np.clip(depth / max(2.0, 0.3 * small) + 0.5, 0, 1)
    own = np.clip(ground.across_mm * side / 2.0 - 0.5, 0, 1)
    member: FloatArray = (part * own * ground.inside * (1 - ground.csf)).astype(np.float32)
    return member


def darken(
    ground: Ground, hu: FloatArray, member: FloatArray, hours: float, rng: np.random.Generator
) -> FloatArray:
    """Take density from tissue; grey matter loses more, and swelling shuts the sulci within."""
    smooth = ndimage.gaussian_filter(np.clip(hu, 0, 60), (0, 1.0, 1.0))
    grey = np.clip((smooth - 28) / 9, 0, 1)
    drop = ischaemic_drop_hu(hours) * rng.uniform(0.75, 1.3)
    fade = member * np.float32(drop) * (0.5 + 0.6 * grey) * (hu < 60)
    swollen = ndimage.gaussian_filter(member, (0.3, 3, 3)) * ground.csf * ~ground.ventricles
    shut = swollen * np.clip(hours / 24, 0, 1) * np.clip(30 - smooth, 0, None)
    darker: FloatArray = hu - fade + 0.7 * shut
    return darker


def clot(ground: Ground, rng: np.random.Generator) -> FloatArray:
    """Weight of clot in one middle cerebral artery; zero where no fluid leads along its usual way."""
    side = float(rng.choice((-1, 1)))
    best, weight = 0.12, np.zeros_like(ground.hu)
    for up in (-31.0, -26.0, -21.0, -16.0):
        for back in (-30.0, -25.0, -20.0, -15.0):
            start = ground.place((up, back + 2, side * 9))
            stop = ground.place((up + 1, back - 2, side * 30))
            tube = capsule(ground, start, stop)
            wet = float((tube * ground.csf).sum() / (tube.sum() + 1e-6))
            if wet > best and tube.sum() > 4:
                best, weight = wet, tube
    return weight


def capsule(ground: Ground, start: Point, stop: Point) -> FloatArray:
    """Weight of a slightly bent tube between two points (z, y, x) in one slice."""
    number = int(np.argmin(np.abs(ground.z_mm[:, 0, 0] - start[0])))
    away_y, away_x = stop[1] - start[1], stop[2] - start[2]
    length = float(np.hypot(away_y, away_x)) + 1e-6
    y, x = ground.y_mm[number] - start[1], ground.x_mm[number] - start[2]
    share = np.clip((y * away_y + x * away_x) / length**2, 0, 1)
    bend = 2.5 * np.sin(np.pi * share)
    off = np.hypot(y - share * away_y + bend * away_x / length, x - share * away_x - bend * away_y / length)
    weight = np.zeros_like(ground.hu)
    weight[number] = np.clip(CLOT_MM - off + 0.5, 0, 1) * ground.inside[number]
    return weight
