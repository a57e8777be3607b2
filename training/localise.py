"""Where the network saw blood against where it is: lesion-level FROC, Dice and volume, where masks exist.

Truth is looked up on the grid of the network's mask. Lesions and suspicions are connected pieces over slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from model.detect import Heat
from model.forms import as_volume
from model.nifti import read_nifti
from model.volume import Volume
from training.bootstrap import Resamples
from training.judgement import plain

Bools = npt.NDArray[np.bool_]

SUSPECT, DRAWN = 0.2, 0.5
"""A suspicion is a piece above SUSPECT, scored by its highest probability; the mask lies above DRAWN."""
LEAST_ML = 0.05
"""Smaller pieces, of truth and of suspicion, are not counted."""
RATES = (0.25, 0.5, 1.0)
"""False suspicions per study at which the share of lesions found is told."""


@dataclass(frozen=True, slots=True)
class Located:
    """One study of known mask."""

    name: str
    patient: str
    num_lesions: int
    found: tuple[float, ...]
    """Of each lesion, the score of the best suspicion that meets it; 0 where none does."""
    false: tuple[float, ...]
    """Scores of the suspicions that meet no lesion."""
    dice: float | None
    """None where neither truth nor mask holds anything."""
    true_ml: float
    drawn_ml: float


def read_mask(path: Path, volume: Volume) -> Bools:
    """A mask in the order of a volume's images.

    Raises:
        ValueError: its shape is another; the text says both.
    """
    image = read_nifti(path)
    names = [str(number) for number in range(len(image.values))]
    mask = as_volume((np.asarray(image.values) > 0).astype(np.int16), image.affine, names)
    flips = tuple(
        slice(None, None, -1 if float(mask.affine[:3, axis] @ volume.affine[:3, axis]) < 0 else 1)
        for axis in (1, 2)
    )
    values = mask.hu[:, flips[0], flips[1]] > 0
    if values.shape != volume.hu.shape:
        raise ValueError(f"{path.name} has the shape {values.shape}, the study {volume.hu.shape}")
    return np.asarray(values, np.bool_)


def on_mask_grid(truth: Bools, heat: Heat) -> Bools:
    """Truth (slices, rows, columns) of the images at the pixels of the network's mask."""
    slices, height, width = heat.probability.shape
    stride = heat.shown.hu.shape[-1] // width
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack(
        [stride * (columns + 0.5) - 0.5, stride * (rows + 0.5) - 0.5, np.ones_like(columns, float)]
    )
    out = np.zeros((slices, height, width), np.bool_)
    for index in range(slices):
        x, y = np.tensordot(heat.shown.to_image[index], places, axes=1)
        image = truth[heat.shown.source[index]]
        row, column = (np.floor(y * image.shape[0]).astype(int), np.floor(x * image.shape[1]).astype(int))
        inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
        out[index][inside] = image[row[inside], column[inside]]
    return out


def locate(name: str, patient: str, truth: Bools, heat: Heat) -> Located:
    """Lesions, suspicions and overlap of one study; truth on the grid of the mask."""
    stride = heat.shown.hu.shape[-1] // heat.probability.shape[-1]
    voxel_ml = (stride * heat.shown.grid_mm) ** 2 * heat.shown.z[:, 1].mean() * 10 / 1000
    lesions, num_lesions = pieces(truth, voxel_ml)
    suspicions, num_suspicions = pieces(heat.probability >= SUSPECT, voxel_ml)
    found, false = [0.0] * num_lesions, []
    for number in range(1, num_suspicions + 1):
        where = suspicions == number
        score = float(heat.probability[where].max())
        met = np.unique(lesions[where])
        for lesion in met[met > 0]:
            found[lesion - 1] = max(found[lesion - 1], score)
        if not met.any():
            false.append(score)
    drawn = heat.probability >= DRAWN
    total = int(truth.sum() + drawn.sum())
    overlap = 2 * float((truth & drawn).sum()) / total if total else None
    return Located(
        name,
        patient,
        num_lesions,
        tuple(found),
        tuple(false),
        overlap,
        float(truth.sum() * voxel_ml),
        float(drawn.sum() * voxel_ml),
    )


def pieces(mask: Bools, voxel_ml: float) -> tuple[npt.NDArray[np.int64], int]:
    """Numbered pieces of a mask that are large enough."""
    numbers, count = ndimage.label(mask, np.ones((3, 3, 3)))
    large = np.bincount(numbers.ravel(), minlength=count + 1) * voxel_ml >= LEAST_ML
    large[0] = False
    return np.asarray((np.cumsum(large) * large)[numbers], np.int64), int(large.sum())


def froc(studies: Sequence[Located]) -> list[tuple[float, float]]:
    """False suspicions per study and share of lesions found, from the strictest score down."""
    found = np.array([score for study in studies for score in study.found])
    false = np.array([score for study in studies for score in study.false])
    cuts = np.unique(np.concatenate([found[found > 0], false]))[::-1]
    return [(float((false >= cut).sum()) / len(studies), float((found >= cut).mean())) for cut in cuts]


def summarise(studies: Sequence[Located]) -> dict[str, Any] | None:
    """FROC, Dice and volume error; None without a lesion."""
    if not any(study.num_lesions for study in studies):
        return None
    curve = froc(studies)
    positive = [study for study in studies if study.num_lesions and study.dice is not None]
    values = np.array([study.dice for study in positive], np.float64)
    draws = Resamples([study.patient for study in positive])
    errors = np.array([study.drawn_ml - study.true_ml for study in positive])
    return {
        "num_studies": len(studies),
        "num_lesions": sum(study.num_lesions for study in studies),
        "lesions_found_at_false_per_study": {
            f"{rate:g}": round(max((share for false, share in curve if false <= rate), default=0.0), 4)
            for rate in RATES
        },
        "dice": plain(draws.figure(lambda weights: float(weights @ values / weights.sum()))),
        "volume_error_ml": {
            "median": round(float(np.median(errors)), 2),
            "middle_half": [round(float(q), 2) for q in np.quantile(errors, [0.25, 0.75])],
        },
        "froc": [[round(false, 4), round(share, 4)] for false, share in curve],
    }
