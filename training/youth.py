"""Make an old head look young: sulci shut, ventricles narrow. The heads of the public set are old."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from training.cases import FloatArray
from training.ground import Ground

GREY_ABOVE_HU = 2.0
"""Cortex above the median of the brain."""
RIM_MM = (0.5, 3.5)
"""By how much ventricles are narrowed all round."""


def rejuvenated(ground: Ground, rng: np.random.Generator) -> Ground:
    """The head with most of its sulci filled by cortex and its ventricles narrowed; labels stay."""
    near = ndimage.gaussian_filter(ground.ventricles.astype(np.float32), (0.3, 2.0, 2.0)) > 0.05
    kept = ground.csf * np.float32(rng.uniform(0.0, 0.35))
    shut = np.where(near, 0, ground.csf - kept)
    shut += _rim(ground, rng)
    brain = ground.inside & (ground.csf < 0.1) & (ground.depth_mm > 5)
    if not brain.any():
        return ground
    grey = float(np.median(ground.hu[brain])) + GREY_ABOVE_HU
    wanted = grey + ground.grain(rng)
    shut = np.clip(ndimage.gaussian_filter(shut.astype(np.float32), (0, 0.5, 0.5)), 0, 1) * ground.inside
    filled = ground.hu + shut * np.maximum(wanted - ground.hu, 0)
    csf = (ground.csf * (1 - shut)).astype(np.float32)
    return replace(ground, hu=filled.astype(np.float32), csf=csf, ventricles=ground.ventricles & (csf > 0.4))


def _rim(ground: Ground, rng: np.random.Generator) -> FloatArray:
    """Fluid of the ventricles that lies near their wall."""
    wide = float(rng.uniform(*RIM_MM))
    rim = np.zeros(ground.hu.shape, np.float32)
    for number in np.flatnonzero(ground.ventricles.any(axis=(1, 2))):
        deep = ndimage.distance_transform_edt(ground.ventricles[number]) * ground.grid_mm
        rim[number] = np.clip(wide - deep + 0.5, 0, 1) * ground.csf[number] * (deep > 0)
    return rim
