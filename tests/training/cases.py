"""Small simulated cases and a small imitation of the SICH set, for tests."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from model.network import NetworkShape
from model.phantom import Lesion, simulate_head
from training.cases import Case
from training.phantoms import phantom_case

SHAPE = NetworkShape(preset="tiny", side=64, grid_mm=3.5, embedding=16)


@cache
def small_case(seed: int) -> Case:
    """A simulated head on a 64 pixel grid."""
    return phantom_case(seed, SHAPE)


def write_sich(folder: Path, patients: int = 1) -> None:
    """Simulated heads with a bleed, saved as the SICH set is: 8 bit, boxes in index.csv."""
    (folder / "image").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        phantom = simulate_head(
            74 + patient,
            lesions=[Lesion("iph", 1.0, "left", "putamen")],
            side=192,
            slices=14,
            spacing_mm=10.0,
            fov_mm=240.0,
        )
        blood = phantom.masks["iph"]  # type: ignore[index]
        for index, image in enumerate(phantom.hu):
            name = f"image/{patient:04d}_{index:02d}.png"
            shown = np.clip((image + 20.0) / 120.0 * 255.0, 0, 255).round().astype(np.uint8)
            Image.fromarray(shown).save(folder / name)
            seen = blood[index].sum() > 20
            box = ""
            if seen:
                ys, xs = np.nonzero(blood[index])
                box = f"{xs.min() - 4} {ys.min() - 4} {xs.max() + 4} {ys.max() + 4}"
            rows.append([f"{patient:04d}", index, name, int(seen), box, "", 0])
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "slice", "image", "annotated", "boxes_xyxy", "oedema", "blank"])
        writer.writerows(rows)
