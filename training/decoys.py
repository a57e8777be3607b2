"""What looks like blood and is none, drawn into real heads that do not bleed: calcium, dura, bone's shade."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from model.calibration import Floats
from training.bleeds import somewhere, turned, wobble
from training.cases import Case, FloatArray
from training.ground import Ground, bounds
from training.ischaemia import capsule

Decoy = Callable[[Ground, FloatArray, np.random.Generator], FloatArray]


def decoy_case(case: Case, ground: Ground, *, seed: int) -> Case:
    """A clean head with two to four decoys, drawn by seed; its labels stay those of the clean head."""
    rng = np.random.default_rng((77, seed))
    hu = add_decoys(ground, rng, int(rng.integers(2, 5)))
    name = f"decoy-{case.card.patient.removeprefix('sich-')}-{seed}"
    return Case(replace(case.card, name=name, source="decoy"), np.round(hu).astype(np.int16), case.masks)


def add_decoys(ground: Ground, rng: np.random.Generator, count: int) -> FloatArray:
    """The head with some decoys inside the skull and, in every third head, one on the outside."""
    hu = ground.hu.copy()
    for index in rng.choice(len(DECOYS), size=count, replace=False):
        hu = DECOYS[int(index)](ground, hu, rng)
    if rng.random() < 0.35:
        hu = OUTSIDE[int(rng.integers(len(OUTSIDE)))](ground, hu, rng)
    return hu


def _mix(hu: FloatArray, weight: Floats, value: float) -> FloatArray:
    """Lay something brighter over the head, with the soft edge of a scanner."""
    where = bounds(weight > 0, margin=4)
    if where is None:
        return hu
    soft = ndimage.gaussian_filter(np.clip(weight[where], 0, 1).astype(np.float32), (0.25, 0.5, 0.5))
    mixed = hu.copy()
    mixed[where] += soft * np.maximum(value - hu[where], 0)
    return mixed


def _choroid(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Calcified choroid plexus on one side or both."""
    across, along = ground.across_mm, ground.along_mm
    where = ground.ventricles & (along > 0)
    if not where.any():
        return hu
    spot = np.unravel_index(int(rng.choice(np.flatnonzero(where))), where.shape)
    height, out, behind = float(ground.z_mm[spot]), abs(float(across[spot])), float(along[spot])
    value = float(rng.uniform(60, 300))
    for side in (-1, 1) if rng.random() < 0.7 else (int(rng.choice((-1, 1))),):
        size = rng.uniform(1.5, 4.0, 3)
        square = ((across - side * out) / size[0]) ** 2 + ((along - behind) / (1.4 * size[1])) ** 2
        weight = 1.5 - (square + ((ground.z_mm - height) / (1.5 + size[2])) ** 2)
        hu = _mix(hu, weight * ground.inside, value)
    return hu


def _pineal(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A calcified spot in the midline."""
    across, along = ground.across_mm, ground.along_mm
    deep = ground.depth_mm > 35
    height = somewhere(ground, deep if deep.any() else ground.inside, rng)[0]
    size = rng.uniform(1.5, 3.5)
    square = (across / size) ** 2 + ((along - rng.uniform(0, 25)) / size) ** 2
    weight = 1.5 - (square + ((ground.z_mm - height) / 4.0) ** 2)
    return _mix(hu, weight * ground.inside, float(rng.uniform(70, 250)))


def _falx(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A dense or partly calcified falx, thicker towards the back."""
    across, along = ground.across_mm, ground.along_mm
    bend = rng.uniform(-2, 2)
    half = rng.uniform(0.5, 1.3) + 0.8 * np.clip(along / 70, 0, 1)
    far = np.abs(along) > rng.uniform(15, 40)
    weight = np.clip(half - np.abs(across - bend) + 0.5, 0, 1) * far
    return _mix(hu, weight * ground.inside, float(rng.uniform(46, 72)))


def _sinus(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Dense blood of a young or dry patient in the sagittal sinus."""
    across, along = ground.across_mm, ground.along_mm
    size = rng.uniform(2.5, 5.0)
    weight = 1.5 - ((across / size) ** 2 + ((ground.depth_mm - 1.0) / size) ** 2)
    return _mix(hu, weight * (along > 30) * ground.inside, float(rng.uniform(48, 68)))


def _vertex(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Thick slices at the vertex: bone of the slice above shines through."""
    tops = np.flatnonzero(ground.inside.any(axis=(1, 2)))[-4:]
    mixed = hu.copy()
    for number in tops[tops + 1 < len(hu)]:
        share = rng.uniform(0.02, 0.2) * ground.inside[number]
        above = np.clip(hu[number + 1], -100, 600)
        mixed[number] = hu[number] + share * np.maximum(above - hu[number], -20)
    return mixed


def _glow(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Brightness beside the skull that a hard beam leaves."""
    glow = rng.uniform(4, 16) * np.exp(-ground.depth_mm / rng.uniform(2, 5))
    bright: FloatArray = hu + (glow * ground.inside).astype(np.float32)
    return bright


def _floor(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Thick slices above the skull base: bone of the slice below shines through."""
    mixed = hu.copy()
    share = float(rng.uniform(0.03, 0.14))
    low = np.flatnonzero(ground.inside.any(axis=(1, 2)))
    for number in low[low > 0][: len(low) // 2]:
        below = ndimage.gaussian_filter(np.clip(hu[number - 1], 0, 300), 0.8)
        bony = below * (below > 90) * ground.inside[number]
        mixed[number] = hu[number] + share * np.maximum(bony - hu[number], 0) * (bony > 0)
    return mixed


def _ganglia(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Calcified basal ganglia on both sides, rarely on one."""
    jitter = rng.normal(0, 3, 3)
    value = float(rng.uniform(50, 180))
    for side in (-1, 1) if rng.random() < 0.8 else (int(rng.choice((-1, 1))),):
        size = rng.uniform(2.0, 5.0)
        z, y, x = ground.place((-5 + jitter[0], -17 + jitter[1], side * (20 + jitter[2])))
        square = ((ground.x_mm - x) / size) ** 2 + ((ground.y_mm - y) / (1.5 * size)) ** 2
        weight = 1.3 - square - ((ground.z_mm - z) / (1.2 * size)) ** 2
        hu = _mix(hu, weight * ground.inside, value)
    return hu


def _tentorium(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A dense tentorium: the two arms of a V that opens to the front."""
    apex, slope = rng.uniform(55, 72), rng.uniform(0.35, 0.75)
    arm = np.abs(np.abs(ground.across_mm) - slope * (apex - ground.along_mm)) / np.sqrt(1 + slope**2)
    level = np.clip(1.3 - np.abs(ground.up_mm - rng.uniform(-28, -8)) / rng.uniform(5, 12), 0, 1)
    weight = np.clip(rng.uniform(0.5, 1.3) - arm + 0.5, 0, 1) * level * (ground.along_mm < apex)
    weight = weight * (ground.along_mm > rng.uniform(5, 30)) * ground.inside
    return _mix(hu, weight, float(rng.uniform(45, 66)))


def _plaque(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Small calcified plaques of the dura, on the inner table or in the midline."""
    rim = ground.inside & (ground.depth_mm < 3)
    middle = ground.inside & (np.abs(ground.across_mm) < 2) & (ground.depth_mm < 30)
    for where in (rim, middle) if rng.random() < 0.5 else (rim,):
        if where.any():
            z, y, x = somewhere(ground, where, rng)
            size = rng.uniform(1.0, 3.0)
            square = (ground.x_mm - x) ** 2 + (ground.y_mm - y) ** 2 + (0.5 * (ground.z_mm - z)) ** 2
            hu = _mix(hu, (1.5 - square / size**2) * ground.inside, float(rng.uniform(100, 500)))
    return hu


def _side_sinus(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Dense blood in a transverse sinus, on the inner table at the back and low."""
    side = float(rng.choice((-1, 1)))
    level = np.clip(1.4 - np.abs(ground.up_mm - rng.uniform(-38, -20)) / rng.uniform(4, 7), 0, 1)
    weight = np.clip((rng.uniform(3, 7) - ground.depth_mm) / 1.5 + 0.5, 0, 1) * level
    weight = weight * (ground.along_mm > rng.uniform(20, 45)) * (side * ground.across_mm > 3) * ground.inside
    return _mix(hu, weight, float(rng.uniform(48, 68)))


def _arteries(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Dense arteries on both sides: thick blood or calcified walls, no clot."""
    jitter = rng.normal(0, 3, 2)
    value = float(rng.uniform(48, 64))
    weight = np.zeros_like(hu)
    for side in (-1, 1):
        start = ground.place((-25 + jitter[0], -20 + jitter[1], side * 9))
        stop = ground.place((-24 + jitter[0], -24 + jitter[1], side * 28))
        weight += capsule(ground, start, stop)
    return _mix(hu, weight * ground.inside, value)


def _streaks(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Bright and dark bands from bone to bone across the skull base and the posterior fossa."""
    level = np.exp(-(((ground.up_mm - rng.uniform(-48, -34)) / rng.uniform(6, 12)) ** 2))
    bands = np.zeros_like(hu)
    for _ in range(int(rng.integers(2, 6))):
        tilted = ground.along_mm - rng.uniform(-10, 50) + rng.uniform(-0.25, 0.25) * ground.across_mm
        bands += rng.uniform(-14, 18) * np.exp(-((tilted / rng.uniform(1.5, 5)) ** 2))
    striped: FloatArray = (hu + bands * level * ground.inside).astype(np.float32)
    return striped


def _rings(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Rings round the middle of the image, as a detector out of tune leaves them."""
    side = hu.shape[1] * ground.grid_mm
    away = np.hypot(ground.x_mm - side / 2 + rng.normal(0, 6), ground.y_mm - side / 2 + rng.normal(0, 6))
    rings = sum(
        rng.uniform(-5, 7) * np.exp(-(((away - rng.uniform(2, 70)) / rng.uniform(0.8, 1.6)) ** 2))
        for _ in range(int(rng.integers(1, 5)))
    )
    ringed: FloatArray = (hu + rings * ground.inside).astype(np.float32)
    return ringed


def _scalp(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A haematoma of the scalp over one part of the head."""
    angle = np.arctan2(ground.across_mm, -ground.along_mm)
    away = turned(angle, rng.uniform(-np.pi, np.pi))
    level = np.clip(1 - ((ground.up_mm - rng.uniform(0, 45)) / rng.uniform(12, 30)) ** 2, 0, 1)
    thick = rng.uniform(4, 16) * np.clip(1 - (away / rng.uniform(0.3, 0.8)) ** 2, 0, 1) * level
    swollen = hu.copy()
    value, ragged = float(rng.uniform(42, 70)), wobble(ground, rng, 8.0)
    for number in np.flatnonzero(ground.inside.any(axis=(1, 2))):
        skull = ndimage.binary_fill_holes(ndimage.binary_closing(hu[number] > 150, iterations=2))
        outside = ndimage.distance_transform_edt(~skull) * ground.grid_mm
        weight = np.clip((thick[number] - outside) / 1.5 + 0.5, 0, 1) * (outside > 1.0) * (thick[number] > 2)
        swollen[number] += weight * (value + 4 * ragged[number] - hu[number]) * (hu[number] < 150)
    return swollen


def _fracture(ground: Ground, hu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A gap in the skull."""
    angle = np.arctan2(ground.across_mm, -ground.along_mm) + 0.004 * ground.up_mm * rng.normal(0, 1)
    away = turned(angle, rng.uniform(-np.pi, np.pi))
    gap = np.clip(1.2 - away * np.hypot(ground.across_mm, ground.along_mm) / rng.uniform(0.6, 1.4), 0, 1)
    level = np.abs(ground.up_mm - rng.uniform(0, 40)) < rng.uniform(10, 35)
    weight = gap * level * (hu > 150) * ~ground.inside
    broken: FloatArray = (hu + weight * (rng.uniform(40, 250) - hu) * 0.8).astype(np.float32)
    return broken


DECOYS: tuple[Decoy, ...] = (
    _choroid,
    _pineal,
    _falx,
    _sinus,
    _vertex,
    _glow,
    _floor,
    _ganglia,
    _tentorium,
    _plaque,
    _side_sinus,
    _arteries,
    _streaks,
    _rings,
)
"""Inside of the skull."""
OUTSIDE: tuple[Decoy, ...] = (_scalp, _fracture)
