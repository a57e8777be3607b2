"""What looks like blood and is none, drawn into real heads that do not bleed: calcium, dura, bone's shade."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from model.calibration import Floats
from training.bleeds import somewhere
from training.cases import Case, FloatArray
from training.ground import Ground

Decoy = Callable[[Ground, FloatArray, np.random.Generator], FloatArray]


def decoy_case(case: Case, ground: Ground, *, seed: int) -> Case:
    """A clean head with two to four decoys, drawn by seed; its labels stay those of the clean head."""
    rng = np.random.default_rng((77, seed))
    hu = ground.hu.copy()
    for index in rng.choice(len(DECOYS), size=int(rng.integers(2, 5)), replace=False):
        hu = DECOYS[int(index)](ground, hu, rng)
    name = f"decoy-{case.card.patient.removeprefix('sich-')}-{seed}"
    return Case(replace(case.card, name=name, source="decoy"), np.round(hu).astype(np.int16), case.masks)


def _mix(hu: FloatArray, weight: Floats, value: float) -> FloatArray:
    """Lay something brighter over the head, with the soft edge of a scanner."""
    soft = ndimage.gaussian_filter(np.clip(weight, 0, 1), (0.25, 0.5, 0.5))
    mixed: FloatArray = hu + soft * np.maximum(value - hu, 0)
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


DECOYS: tuple[Decoy, ...] = (_choroid, _pineal, _falx, _sinus, _vertex, _glow)
