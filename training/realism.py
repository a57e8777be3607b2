"""How like real CT simulated heads are: the same figures of both, and a page of pictures side by side.

    python -m training.realism OUT --sich FOLDER --study FOLDER --template FOLDER --n 8

Writes OUT/realism.json and OUT/realism.png: a row for each source, slices from the base to the vertex in the
brain window. Nothing is judged here; a person looks, and a table shows where the simulator is off.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from model.network import NetworkShape
from training.cases import Case, FloatArray
from training.ground import BoolArray, Ground, survey
from training.implant import read_negative
from training.paint import paint_case
from training.phantoms import phantom_case, template_case
from training.sich import bleeding_case, clean_case, read_patients, read_study
from training.template import load_template

SHAPE = NetworkShape(side=256, grid_mm=0.9)
LEVELS = (0.22, 0.34, 0.46, 0.58, 0.72, 0.88)
"""Of the slices shown, from the lowest that holds brain to the highest."""
CROP = 24


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured of one head; HU unless the name says otherwise."""

    low: float
    """10th, 50th and 90th percentile of brain and fluid, away from bone."""
    median: float
    high: float
    grey_white: float
    """Cortex less the white matter of the centrum semiovale."""
    csf_percent: float
    noise: float
    grain_mm: float
    """Sigma of the blur that white noise would need to look like this."""
    skull_mm: float
    skull_edge_mm: float
    """Way on which the inner table falls from 300 to 80 HU."""
    blood: float = np.nan
    """Median of a bleed less that of the brain around it; NaN in a head without."""
    border: float = np.nan
    """Mean slope on the border of a bleed within the slice, HU/mm."""


def measure(case: Case, ground: Ground) -> Figures:
    """Measure one head."""
    hu, inside = ground.hu, ground.inside
    away = inside & (ground.depth_mm > 3) & (hu > -20) & (hu < 90)
    smooth = ndimage.gaussian_filter(np.clip(hu, -20, 100), (0, 1.2, 1.2))
    high = (ground.up_mm > 12) & (ground.up_mm < 42) & inside & (ground.csf < 0.15)
    cortex, white = high & (ground.depth_mm > 2) & (ground.depth_mm < 6), high & (ground.depth_mm > 18)
    low, median, top = np.percentile(hu[away], (10, 50, 90))
    skull_mm, edge_mm = skull(ground)
    blood, border = bleed(case, ground, smooth)
    return Figures(
        float(low),
        float(median),
        float(top),
        median_or_nan(smooth[cortex]) - median_or_nan(smooth[white]),
        100 * float((ground.csf[inside] > 0.5).mean()),
        ground.noise_hu,
        ground.noise_px * ground.grid_mm,
        skull_mm,
        edge_mm,
        blood,
        border,
    )


def median_or_nan(values: FloatArray) -> float:
    """The median; NaN of nothing."""
    return float(np.median(values)) if values.size else float("nan")


def skull(ground: Ground) -> tuple[float, float]:
    """Thickness of the vault, and over how many mm its inner edge fades."""
    thick, fading = [], []
    for number in np.flatnonzero((ground.up_mm[:, 0, 0] > 5) & (ground.up_mm[:, 0, 0] < 35)):
        inner = ndimage.binary_fill_holes(ground.inside[number])
        whole = ndimage.binary_fill_holes((ground.hu[number] > 250) | inner)
        outer = ndimage.binary_opening(whole, iterations=4)
        if inner.any():
            radii = [np.sqrt(float(mask.sum()) / np.pi) * ground.grid_mm for mask in (inner, outer)]
            thick.append(radii[1] - radii[0])
            near = outer & (ndimage.distance_transform_edt(~inner) * ground.grid_mm < 5)
            half = near & (ground.hu[number] > 80) & (ground.hu[number] < 300)
            fading.append(float(half.sum()) * ground.grid_mm**2 / (2 * np.pi * radii[0]))
    return (float(np.mean(thick)), float(np.mean(fading))) if thick else (float("nan"), float("nan"))


def bleed(case: Case, ground: Ground, smooth: FloatArray) -> tuple[float, float]:
    """How much a bleed of the brain stands out, and the slope on its border; NaN without one."""
    mask: BoolArray = (case.masks >> np.uint16(1) & 1).astype(np.bool_)
    if mask.sum() < 30:
        return float("nan"), float("nan")
    square = np.ones((1, 3, 3), np.bool_)
    ring = ndimage.binary_dilation(mask, square, iterations=6) & ~ndimage.binary_dilation(
        mask, square, iterations=3
    )
    rim = ndimage.binary_dilation(mask, square) & ~ndimage.binary_erosion(mask, square)
    rim &= ground.inside & (ground.depth_mm > 3)
    ring &= ground.inside & (ground.csf < 0.5)
    slope = np.hypot(
        *np.gradient(ndimage.gaussian_filter(ground.hu, (0, 0.6, 0.6)), ground.grid_mm, axis=(1, 2))
    )
    core = float(np.median(smooth[mask]))
    return core - median_or_nan(smooth[ring]), float(slope[rim].mean()) if rim.any() else float("nan")


def sources(options: argparse.Namespace) -> Iterator[tuple[str, Case]]:
    """Yield heads with the word for where they come from."""
    for study in options.study:
        yield f"real {study.name}", read_negative(study)
    if options.sich is not None:
        patients = read_patients(options.sich)
        for number, patient in enumerate(patients[:: max(1, len(patients) // options.n)][: options.n]):
            whole = read_study(options.sich, patient, side=SHAPE.side, grid_mm=SHAPE.grid_mm)
            yield "real sich", bleeding_case(whole)
            clean = clean_case(whole)
            ground = None if clean is None else survey(clean, grid_mm=SHAPE.grid_mm)
            if clean is not None and ground is not None:
                painted = paint_case(clean, ground, seed=number, grid_mm=SHAPE.grid_mm)
                if painted is not None:
                    yield "painted", painted
    for seed in range(options.n):
        yield "simulated", phantom_case(900_000 + seed, SHAPE)
    if options.template is not None:
        template = load_template(options.template)
        for seed in range(options.n):
            yield "template", template_case(900_000 + seed, SHAPE, template)


def strip(case: Case, ground: Ground) -> np.ndarray:
    """Slices of a head in the brain window (0 to 80 HU), side by side."""
    held = np.flatnonzero(ground.inside.any(axis=(1, 2)))
    shown = [case.hu[held[0] + round(level * (held[-1] - held[0]))] for level in LEVELS]
    planes = [plane[CROP:-CROP, CROP:-CROP].astype(np.float32) for plane in shown]
    return np.hstack([np.clip(plane / 80 * 255, 0, 255).astype(np.uint8) for plane in planes])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.realism", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for realism.json and realism.png")
    parser.add_argument("--sich", type=Path, help="folder of the public slice set")
    parser.add_argument("--study", type=Path, action="append", default=[], help="folder of a real head CT")
    parser.add_argument("--template", type=Path, help="folder of a CT template")
    parser.add_argument("--n", type=int, default=8, help="heads of each source")
    options = parser.parse_args(arguments)
    rows: dict[str, list[Figures]] = {}
    pictures = []
    for source, case in sources(options):
        ground = survey(case, grid_mm=SHAPE.grid_mm)
        if ground is not None:
            rows.setdefault(source, []).append(measure(case, ground))
            pictures.append(strip(case, ground))
            print(f"{source} {case.card.name}", file=sys.stderr, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(pictures)).save(options.out / "realism.png")
    table = {source: summary(figures) for source, figures in rows.items()}
    (options.out / "realism.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    print(options.out / "realism.json")
    return 0


def summary(figures: Sequence[Figures]) -> dict[str, object]:
    """Mean and standard deviation of every figure over the heads that have it."""
    words: dict[str, object] = {"heads": len(figures)}
    for name in Figures.__slots__:
        values = np.array([getattr(each, name) for each in figures])
        values = values[np.isfinite(values)]
        words[name] = [round(float(values.mean()), 2), round(float(values.std()), 2)] if values.size else None
    return words


if __name__ == "__main__":
    sys.exit(main())
