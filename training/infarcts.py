"""Public slices with an acute infarct (AISD): whether a package's mask points to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from model.calibration import sigmoid
from model.detect import Detector
from model.engine import FloatArray, Outputs
from model.network import MASKS
from model.stroke import StrokeType
from training.intervals import proportion
from training.judgement import plain
from training.sich import on_grid

Run = Callable[[Detector, FloatArray, float], Outputs]
MASK_PROBABILITY = 0.5


def infarct_hits(detector: Detector, folder: Path, run: Run) -> dict[str, Any]:
    """Slices with an acute infarct: whether the mask's peak lies in it, and by chance."""
    channel = MASKS.index(StrokeType.ACUTE_ISCHAEMIA)
    found, chance, overlap = [], [], []
    for path in sorted((folder / "images").glob("*.png")):
        mask = np.asarray(Image.open(folder / "masks" / path.name).convert("L")) > 0
        pixels = np.asarray(Image.open(path).convert("L"))
        hu, truth = on_grid(pixels, mask, side=detector.artefact.side, grid_mm=detector.artefact.grid_mm)
        drawn = run(detector, np.stack([hu] * 3), 5.0).masks[1, channel]
        stride = hu.shape[0] // drawn.shape[0]
        small = truth.reshape(drawn.shape[0], stride, drawn.shape[1], stride).mean(axis=(1, 3)) > 0.3
        if not small.any():
            continue
        brain = ((hu > 5) & (hu < 60)).reshape(drawn.shape[0], stride, drawn.shape[1], stride).mean(
            axis=(1, 3)
        ) > 0.5
        near = ndimage.binary_dilation(small)
        found.append(bool(near[np.unravel_index(int(drawn.argmax()), drawn.shape)]))
        chance.append(float((near & brain).sum() / max(brain.sum(), 1)))
        said = sigmoid(drawn) >= MASK_PROBABILITY
        overlap.append(float(2 * (said & small).sum() / (said.sum() + small.sum())))
    figure = proportion(sum(found), len(found))
    return {
        "hits": plain(figure),
        "by_chance": round(float(np.mean(chance)), 4),
        "dice": round(float(np.mean(overlap)), 4),
    }
