"""Pictures of slices for people: upright, windowed, marked right and left, the suspected bleed outlined."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.stroke import Decision, Prediction, SliceScore
from model.transforms import window
from model.volume import Volume

BRAIN_CENTRE, BRAIN_WIDTH = 40.0, 80.0
MOST_BYTES = 60_000
LONGEST_SIDE = 640
QUALITIES = (85, 75, 60, 45, 30, 15)
APART_MM = 9.0
"""Key slices lie at least this far apart while there is choice."""

DISCLAIMER = "AI, not for diagnosis"
INK = (255, 255, 255)
OUTLINE = (255, 176, 0)

Box = tuple[float, float, float, float]


def key_slices(volume: Volume, prediction: Prediction, count: int = 3) -> list[tuple[int, bytes]]:
    """The slices with most evidence as WebP pictures, inferior to superior.

    Args:
        volume: The study as read.
        prediction: Of that study; slices that it scores are found by their SOP Instance UID.
        count: How many pictures at most.

    Returns:
        (index of the slice, WebP bytes below 60 kB), the suspected bleed outlined where the slice has a box.
    """
    evidence = _evidence(volume, prediction)
    chosen = _spread(evidence, volume.positions_mm, count)
    return [
        (index, _picture(volume, index, BRAIN_CENTRE, BRAIN_WIDTH, evidence[index][1])) for index in chosen
    ]


def slice_picture(
    volume: Volume, index: int, centre: float = BRAIN_CENTRE, width: float = BRAIN_WIDTH
) -> bytes:
    """One slice as WebP in a display window."""
    return _picture(volume, index, centre, width, None)


def _evidence(volume: Volume, prediction: Prediction) -> dict[int, tuple[float, Box | None]]:
    """For each scored slice the highest probability of what was flagged (of anything, if nothing was)."""
    flagged = {score.stroke_type for score in prediction.scores if score.decision == Decision.FLAG}
    evidence: dict[int, tuple[float, Box | None]] = {}
    for score in prediction.slices:
        index = _index_of(volume, score)
        if index is None:
            continue
        worth = [p for kind, p in score.probabilities.items() if not flagged or kind in flagged]
        evidence[index] = max(worth, default=0.0), score.box
    if not evidence:
        middle = len(volume.hu) // 2
        return {middle: (0.0, None)}
    return evidence


def _index_of(volume: Volume, score: SliceScore) -> int | None:
    """Frames of one enhanced file share a UID; then the position decides."""
    same = [index for index, uid in enumerate(volume.sop_instance_uids) if uid == score.sop_instance_uid]
    return min(same, key=lambda index: abs(volume.positions_mm[index] - score.z_mm), default=None)


def _spread(
    evidence: dict[int, tuple[float, Box | None]], positions_mm: NDArray[np.float64], count: int
) -> list[int]:
    ranked = sorted(evidence, key=lambda index: -evidence[index][0])
    chosen: list[int] = []
    for distance in (APART_MM, 0.0):
        for index in ranked:
            apart = all(abs(positions_mm[index] - positions_mm[other]) >= distance for other in chosen)
            if len(chosen) < count and index not in chosen and apart:
                chosen.append(index)
    return sorted(chosen)


def _picture(volume: Volume, index: int, centre: float, width: float, box: Box | None) -> bytes:
    grey = Image.fromarray(np.rint(window(volume.hu[index], centre, width) * 255).astype(np.uint8))
    grey, box = _upright(grey, box, volume.affine)
    picture = grey.resize(_size(grey, volume), Image.Resampling.BILINEAR).convert("RGB")
    draw = ImageDraw.Draw(picture)
    if box is not None:
        _outline(draw, box, picture.size)
    _label(draw, picture.size, f"Slice {index + 1} of {len(volume.hu)}")
    return _webp(picture)


def _upright(
    grey: Image.Image, box: Box | None, affine: NDArray[np.float64]
) -> tuple[Image.Image, Box | None]:
    """Rows to the back, columns to the left of the patient: his right is on the left of the picture."""
    across, down = affine[:3, 2], affine[:3, 1]
    if abs(across[0]) < abs(across[1]):
        grey = grey.transpose(Image.Transpose.TRANSPOSE)
        across, down = down, across
        box = (box[1], box[0], box[3], box[2]) if box else None
    if across[0] < 0:
        grey = grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        box = (1 - box[2], box[1], 1 - box[0], box[3]) if box else None
    if down[1] < 0:
        grey = grey.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        box = (box[0], 1 - box[3], box[2], 1 - box[1]) if box else None
    return grey, box


def _size(grey: Image.Image, volume: Volume) -> tuple[int, int]:
    """Square pixels, and no side longer than LONGEST_SIDE."""
    turned = abs(volume.affine[0, 2]) < abs(volume.affine[1, 2])
    row_mm, column_mm = volume.spacing_mm[:0:-1] if turned else volume.spacing_mm[1:]
    width, height = grey.width * column_mm, grey.height * row_mm
    scale = min(1 / min(row_mm, column_mm), LONGEST_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _outline(draw: ImageDraw.ImageDraw, box: Box, size: Sequence[int]) -> None:
    margin = 0.01
    left, top = (box[0] - margin) * size[0], (box[1] - margin) * size[1]
    right, bottom = (box[2] + margin) * size[0], (box[3] + margin) * size[1]
    if right > left and bottom > top:
        draw.rectangle((left, top, right, bottom), outline=OUTLINE, width=max(2, size[0] // 256))


def _label(draw: ImageDraw.ImageDraw, size: Sequence[int], title: str) -> None:
    width, height = size
    large = ImageFont.load_default(max(10, height // 22))
    small = ImageFont.load_default(max(9, height // 32))
    for at, text, ink, font, anchor in (
        ((4, height / 2), "R", INK, large, "lm"),
        ((width - 4, height / 2), "L", INK, large, "rm"),
        ((4, 4), title, INK, small, "la"),
        ((width / 2, height - 4), DISCLAIMER, OUTLINE, small, "md"),
    ):
        draw.text(at, text, ink, font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _webp(picture: Image.Image) -> bytes:
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=2)
        if buffer.tell() < MOST_BYTES:
            break
    return buffer.getvalue()
