"""The same slices without their bleed, and slices without one under the same paste.

A twin is judged against its original, so whatever the network says of the two differs by the bleed alone,
and by what the taking away leaves behind. The latter is measured on slices that never bled: the same box,
pasted the same way, must not change their scores.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.cases import FloatArray
from training.sich import BoolArray, SichStudy, mirrored

CLEAR_MM, RAMP_MM = 3.0, 5.0
"""The paste is whole to CLEAR_MM beyond the box and fades out over RAMP_MM."""
BLOOD_OVER_BRAIN_HU = 12.0
BONE_FROM_HU = 95.0
FILL_MM = 4.0
"""Reach of the tissue that fills what mirroring cannot mend."""
SHIFT_MM = 25.0
"""From so far away comes the grain of filled tissue."""


@dataclass(frozen=True, slots=True)
class Twins:
    """One patient's slices thrice on the network's grid, each (S, H, W) in HU."""

    study: SichStudy
    without: FloatArray
    """Without haematoma and oedema; slices that are not `annotated` or beside one carry the empty paste."""
    annotated: tuple[int, ...]
    other: tuple[int, ...]
    """Slices that hold no bleed and lie beside none."""


def make_twins(study: SichStudy) -> Twins:
    """Take the bleed away slice by slice, and paste as much into the slices that have none."""
    without = study.hu.copy()
    annotated = tuple(sorted(study.boxes))
    beside = {near for number in annotated for near in (number - 1, number, number + 1)}
    other = tuple(number for number in range(len(study.hu)) if number not in beside)
    for number in range(len(study.hu)):
        nearest = min(annotated, key=lambda each: abs(each - number))
        weight = feathered(study.boxes[nearest], study.hu.shape[1], study.grid_mm)
        flipped = mirrored(study.hu[number], study.axis)
        pasted = weight * flipped + (1 - weight) * study.hu[number]
        if number in beside:
            blood = np.asarray(study.haematoma[max(number - 1, 0) : number + 2].any(axis=0), np.bool_)
            pasted = fill_blood(pasted, left_blood(pasted, blood, weight, study), study.grid_mm)
        without[number] = pasted
    return Twins(study, without, annotated, other)


def feathered(box: tuple[float, float, float, float], side: int, grid_mm: float) -> FloatArray:
    """Weight of the paste: 1 in the box and a little beyond, then falling to 0."""
    left, top, right, bottom = box
    rows, columns = np.mgrid[:side, :side]
    outside = np.maximum.reduce([left - columns, columns - right, top - rows, rows - bottom]) * grid_mm
    return np.asarray(np.clip(1.0 - (outside - CLEAR_MM) / RAMP_MM, 0, 1), np.float32)


def left_blood(pasted: FloatArray, blood: BoolArray, weight: FloatArray, study: SichStudy) -> BoolArray:
    """Pixels that are still blood: mirrored over from across the midline, or outside the paste."""
    across = mirrored(blood.astype(np.float32), study.axis) > 0.1
    suspect = ((weight > 0.02) & across) | ((weight < 0.98) & blood)
    brain = float(np.median(pasted[(pasted > 10) & (pasted < 50)]))
    smooth = ndimage.gaussian_filter(np.clip(pasted, -20, 100), 1.0)
    near_bone = ndimage.binary_dilation(pasted > BONE_FROM_HU, iterations=2)
    bright = suspect & (smooth > brain + BLOOD_OVER_BRAIN_HU) & ~near_bone
    return np.asarray(ndimage.binary_dilation(bright, iterations=2) & ~near_bone, np.bool_)


def fill_blood(image: FloatArray, hole: BoolArray, grid_mm: float) -> FloatArray:
    """Fill pixels with the tissue round them, and with grain from elsewhere in the slice."""
    if not hole.any():
        return image
    usable = (~hole & (image > 0) & (image < 60)).astype(np.float32)
    sigma = FILL_MM / grid_mm
    weight = ndimage.gaussian_filter(usable, sigma)
    level = ndimage.gaussian_filter(usable * image, sigma) / np.maximum(weight, 1e-3)
    grain = image - ndimage.gaussian_filter(image, 2.0 / grid_mm)
    shift = round(SHIFT_MM / grid_mm)
    moved = np.clip(np.roll(grain, (shift, shift), axis=(0, 1)), -8, 8)
    return np.where(hole, level + moved, image).astype(np.float32)
