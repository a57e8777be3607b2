"""Single slices with acute-infarct masks, laid out as images/NAME.png and masks/NAME.png (AISD, 8 bit).

Their patients are unknown: two slices may be of one head, so that all count as one patient and stay together.
There is no pixel size; the scale follows from the size of the head. Non-commercial (AISD).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from model.stroke import StrokeType
from training.cases import HAEMORRHAGES, Case, CaseCard, pack_masks
from training.sich import AIR_HU, on_grid

PATIENT = "infarct-unknown"
SPACING_MM = 5.0


def infarct_cases(folder: Path, *, side: int, grid_mm: float) -> Iterator[Case]:
    """Every slice as a case of its own, without neighbours.

    Raises:
        FileNotFoundError: there is no image, or an image has no mask.
    """
    images = sorted((folder / "images").glob("*.png"))
    if not images:
        raise FileNotFoundError(f"no images/*.png in {folder}")
    for path in images:
        pixels = np.asarray(Image.open(path).convert("L"))
        mask = np.asarray(Image.open(folder / "masks" / path.name).convert("L")) > 0
        hu, shown = on_grid(pixels, mask, side=side, grid_mm=grid_mm)
        masks = pack_masks({StrokeType.ACUTE_ISCHAEMIA: shown[None]}, (1, side, side))
        known = (*HAEMORRHAGES, StrokeType.ACUTE_ISCHAEMIA)
        card = CaseCard(
            name=f"infarct-{path.stem}",
            source="infarct",
            patient=PATIENT,
            spacing_mm=SPACING_MM,
            known_masks=tuple(str(name) for name in known),
            labels={**{str(name): 0 for name in HAEMORRHAGES}, StrokeType.ACUTE_ISCHAEMIA: 1},
        )
        yield Case(card, np.round(np.maximum(hu, AIR_HU))[None].astype(np.int16), masks)
