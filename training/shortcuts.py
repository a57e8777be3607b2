"""The shortcut audit: what moves a network's score besides the lesion.

With and without the bleed, a head is shown smaller and larger, noisier, and mirrored. None of these is a
finding, so the score of the study must not move; the bleed is, so it must. Within the heads without a bleed
the score must not follow the level of the slice either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage, stats

from model.detect import Detector
from model.engine import FloatArray, Outputs
from training.twins import Twins

Run = Callable[[Detector, FloatArray, float], Outputs]

SCALES = (0.9, 1.1)
NOISE_HU = 6.0
AIR_HU = -400.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One study, with or without its bleed, shown in another way."""

    patient: str
    bleeds: bool
    what: str
    usual: float
    """Calibrated probability of any_ich."""
    changed: float
    level: float
    """Rank correlation of slice score and distance from the level of the bleed, of the usual study."""


def probe_patient(detector: Detector, twins: Twins, run: Run) -> list[Probe]:
    """Every change of one patient's study, with and without the bleed."""
    probes = []
    spacing, middle = twins.study.spacing_mm, float(np.mean(twins.annotated))
    for bleeds, hu in ((True, twins.study.hu), (False, twins.without)):
        outputs = run(detector, hu, spacing)
        usual = probability(detector, outputs)
        away = np.abs(np.arange(len(hu)) - middle)
        level = float(stats.spearmanr(-away, outputs.slices[:, 0]).statistic)
        for what, changed in changes(hu).items():
            moved = probability(detector, run(detector, changed, spacing))
            probes.append(Probe(twins.study.patient, bleeds, what, usual, moved, level))
    return probes


def changes(hu: FloatArray) -> dict[str, FloatArray]:
    """The study shown in other ways that are no finding."""
    noise = np.random.default_rng(0).normal(0, NOISE_HU, hu.shape).astype(np.float32)
    shown = {f"size x{scale:g}": resized(hu, scale) for scale in SCALES}
    return {**shown, "noise": hu + noise * (hu > -100), "side": np.ascontiguousarray(hu[:, :, ::-1])}


def resized(hu: FloatArray, scale: float) -> FloatArray:
    """The head larger or smaller in its plane, on the same grid."""
    centre = (np.array(hu.shape[1:]) - 1) / 2
    offset = centre - centre / scale
    return np.stack(
        [
            ndimage.affine_transform(image, np.eye(2) / scale, offset=offset, order=1, cval=AIR_HU)
            for image in hu
        ]
    )


def probability(detector: Detector, outputs: Outputs) -> float:
    """Calibrated probability of any haemorrhage, of a package that is proven for it or not."""
    calibrations = detector.artefact.calibrations
    kinds = [kind for kind in tuple(calibrations)[:6] if calibrations[kind].assessed] or [
        next(iter(calibrations))
    ]
    order = tuple(calibrations)
    return max(calibrations[kind].probability(float(outputs.study[order.index(kind)])) for kind in kinds)


def summarise_probes(probes: Sequence[Probe]) -> dict[str, Any]:
    """By change: how far the probability moves; and what the bleed itself moves."""
    if not probes:
        return {}
    rows: dict[str, Any] = {}
    for what in dict.fromkeys(probe.what for probe in probes):
        for bleeds in (True, False):
            group = [probe for probe in probes if probe.what == what and probe.bleeds == bleeds]
            moved = np.array([probe.changed - probe.usual for probe in group])
            rows[f"{what}, {'with' if bleeds else 'without'}"] = {
                "mean_shift": round(float(moved.mean()), 4),
                "mean_move": round(float(np.abs(moved).mean()), 4),
                "over_0.05": int((np.abs(moved) > 0.05).sum()),
                "num": len(group),
            }
    once = {(probe.patient, probe.bleeds): probe for probe in probes}
    lifted = [once[patient, True].usual - once[patient, False].usual for patient, bleeds in once if bleeds]
    rows["the bleed itself"] = {"mean_shift": round(float(np.mean(lifted)), 4), "num": len(lifted)}
    levels = [probe.level for (_, bleeds), probe in once.items() if not bleeds and np.isfinite(probe.level)]
    rows["level, without"] = {"mean_rank_correlation": round(float(np.mean(levels)), 4), "num": len(levels)}
    return rows
