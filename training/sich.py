"""The public PHE-SICH-CT-IDS slices as training cases, and the same heads without their bleed.

Saved with 8 bits in the window [-20, 100] HU.

The set gives a box round haematoma and oedema, and no pixel size. So the haematoma is found as the bright
blob in the box, and the scale follows from the size of the skull. Every patient bleeds: the negatives of
the set's own level come from putting the mirrored other side of the head in the place of the box.
Free for non-commercial use only (arXiv 2308.10521).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from model.stroke import StrokeType
from training.cases import IGNORE_BIT, Case, CaseCard, FloatArray, pack_masks

BoolArray = npt.NDArray[np.bool_]

SKULL_AREA_MM2 = 19_500.0
"""Of the largest axial section of an adult skull, outer table; in-plane scale is taken from it."""
LEFT_OVER_ML = 0.3
"""More blood than this beside the mirrored box, and the head is not called clean."""
BONE_HU, AIR_HU = 800.0, -400.0
"""Put for the two ends of the 8-bit scale, so that edges blur on resampling as they do in true HU."""


@dataclass(frozen=True, slots=True)
class SichStudy:
    """One patient's slices on the network's grid, before any choice of what to train on."""

    patient: str
    hu: FloatArray
    haematoma: BoolArray
    boxes: dict[int, tuple[float, float, float, float]]
    """By slice, in grid pixels: left, top, right, bottom."""
    spacing_mm: float
    grid_mm: float
    axis: tuple[float, float, float]
    """Of the mid-sagittal plane: angle in radians and a point (x, y) in grid pixels."""


def read_study(folder: Path, patient: str, *, side: int, grid_mm: float) -> SichStudy:
    """Read one patient of the set onto a grid of side x side pixels of grid_mm."""
    with (folder / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["patient"] == patient and row["blank"] == "0"]
    pixels = np.stack([np.asarray(Image.open(folder / row["image"]).convert("L")) for row in rows])
    head = np.stack([_head(image) for image in pixels])
    widest = int(np.argmax([_skull_area(image, mask) for image, mask in zip(pixels, head, strict=True)]))
    pixel_mm = float(np.sqrt(SKULL_AREA_MM2 / _skull_area(pixels[widest], head[widest])))
    centre = _centre(head[widest])
    step = grid_mm / pixel_mm
    corner = (centre[0] - step * side / 2, centre[1] - step * side / 2)
    values = np.where(head, _to_hu(pixels), AIR_HU)
    hu = np.stack([_resample(image, corner, step, side) for image in values])
    boxes = {}
    haematoma = np.zeros(hu.shape, np.bool_)
    for number, row in enumerate(rows):
        if row["annotated"] == "1":
            left, top, right, bottom = (float(word) for word in row["boxes_xyxy"].split())
            blob = _bright_blob(_to_hu(pixels[number]), (left, top, right, bottom))
            haematoma[number] = _resample(blob.astype(np.float32), corner, step, side) > 0.5
            boxes[number] = (
                (left - corner[0]) / step,
                (top - corner[1]) / step,
                (right - corner[0]) / step,
                (bottom - corner[1]) / step,
            )
    spacing = 5.0 if len(rows) <= 34 else 165.0 / len(rows)
    return SichStudy(patient, hu, haematoma, boxes, spacing, grid_mm, _mirror_axis(hu, boxes))


def on_grid(
    pixels: npt.NDArray[np.uint8], mask: BoolArray, *, side: int, grid_mm: float
) -> tuple[FloatArray, BoolArray]:
    """One 8-bit slice in HU and its mask, each (side, side), scaled as if it were the widest section."""
    head = _head(pixels)
    pixel_mm = float(np.sqrt(SKULL_AREA_MM2 / max(_skull_area(pixels, head), 0.6 * head.sum())))
    step = grid_mm / pixel_mm
    centre = _centre(head)
    corner = (centre[0] - step * side / 2, centre[1] - step * side / 2)
    hu = _resample(np.where(head, _to_hu(pixels), AIR_HU), corner, step, side)
    return hu, _resample(mask.astype(np.float32), corner, step, side) > 0.5


def read_patients(folder: Path) -> list[str]:
    """The set's patient numbers, in order."""
    with (folder / "index.csv").open(encoding="utf-8") as file:
        return sorted({row["patient"] for row in csv.DictReader(file)})


def bleeding_case(study: SichStudy) -> Case:
    """The head as it is: haematoma known, the kinds of bleed other than iph unknown where it bleeds."""
    masks = pack_masks({StrokeType.IPH: study.haematoma}, study.hu.shape)
    beside = [
        k for s in study.boxes for k in (s - 1, s + 1) if 0 <= k < len(study.hu) and k not in study.boxes
    ]
    unseen = [k for k in study.boxes if study.haematoma[k].sum() < 6]
    for number in beside + unseen:
        masks[number] |= 1 << IGNORE_BIT
    card = CaseCard(
        name=f"sich-{study.patient}",
        source="sich",
        patient=f"sich-{study.patient}",
        spacing_mm=study.spacing_mm,
        known_masks=(StrokeType.ANY_ICH, StrokeType.IPH),
        labels={StrokeType.ANY_ICH: 1, StrokeType.IPH: 1},
        unsure_slices=tuple(sorted({*beside, *unseen})),
    )
    return Case(card, np.round(study.hu).astype(np.int16), masks)


def clean_case(study: SichStudy) -> Case | None:
    """The same head with the bleed's box replaced by the mirrored other side; None where blood remains."""
    hu = study.hu.copy()
    masks = np.zeros(hu.shape, np.uint16)
    for number in range(len(hu)):
        box = study.boxes.get(number) or study.boxes.get(number - 1) or study.boxes.get(number + 1)
        if box is None:
            continue
        weight = _feathered(box, hu.shape[1])
        hu[number] = weight * mirrored(study.hu[number], study.axis) + (1 - weight) * study.hu[number]
        blood = np.zeros_like(study.haematoma[0])
        for near in range(max(number - 1, 0), min(number + 2, len(hu))):
            blood |= study.haematoma[near]
        other = mirrored(blood.astype(np.float32), study.axis) > 0.1
        masks[number][(weight > 0.02) & other] = 1 << IGNORE_BIT
        masks[number][(weight < 0.98) & blood] = 1 << IGNORE_BIT
    left_ml = float(((masks != 0) & (hu > 44)).sum()) * study.grid_mm**2 * study.spacing_mm / 1000
    if not study.haematoma.any() or left_ml > LEFT_OVER_ML:
        return None
    names = _haemorrhages()
    card = CaseCard(
        name=f"clean-{study.patient}",
        source="clean",
        patient=f"sich-{study.patient}",
        spacing_mm=study.spacing_mm,
        known_masks=names,
        labels=dict.fromkeys(names, 0),
    )
    return Case(card, np.round(hu).astype(np.int16), masks)


def mirrored(image: FloatArray, axis: tuple[float, float, float]) -> FloatArray:
    """Reflect an image across the mid-sagittal line."""
    angle, x, y = axis
    cos, sin = np.cos(2 * angle), np.sin(2 * angle)
    turn = np.array([[cos, sin], [sin, -cos]])  # of (row, column): reflection across the line at `angle`
    offset = np.array([y, x]) - turn @ np.array([y, x])
    result: FloatArray = ndimage.affine_transform(image, turn, offset=offset, order=1, mode="nearest")
    return result


def _haemorrhages() -> tuple[str, ...]:
    return (
        StrokeType.ANY_ICH,
        StrokeType.IPH,
        StrokeType.IVH,
        StrokeType.SAH,
        StrokeType.SDH,
        StrokeType.EDH,
    )


def _to_hu(pixels: npt.NDArray[np.uint8]) -> FloatArray:
    hu = -20.0 + pixels.astype(np.float32) * (120.0 / 255.0)
    hu[pixels >= 254] = BONE_HU
    hu[pixels == 0] = AIR_HU
    return hu


def _head(image: npt.NDArray[np.uint8]) -> BoolArray:
    """The head without table and head rest: the largest piece that an opening leaves, grown back."""
    solid = ndimage.binary_opening(image > 20, iterations=5)
    pieces, count = ndimage.label(solid)
    if count == 0:
        return np.zeros(image.shape, np.bool_)
    largest = pieces == 1 + int(np.argmax(ndimage.sum_labels(solid, pieces, range(1, count + 1))))
    grown: BoolArray = ndimage.binary_dilation(ndimage.binary_fill_holes(largest), iterations=4)
    return grown


def _skull_area(image: npt.NDArray[np.uint8], head: BoolArray) -> float:
    bone = (image >= 250) & head
    ring = ndimage.binary_fill_holes(ndimage.binary_closing(bone, iterations=2))
    inside = ring & ~bone
    return float(ring.sum()) if inside.sum() > 0.5 * ring.sum() else 1.0


def _centre(head: BoolArray) -> tuple[float, float]:
    rows, columns = np.flatnonzero(head.any(1)), np.flatnonzero(head.any(0))
    return (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2


def _resample(image: FloatArray, corner: tuple[float, float], step: float, side: int) -> FloatArray:
    """Area-average a square of the image, padded with its own minimum where it reaches outside."""
    pad = image.shape[0] // 2
    padded = np.pad(image, pad, constant_values=float(image.min()))
    left, top = corner[0] + pad, corner[1] + pad
    box = (left, top, left + step * side, top + step * side)
    picture = Image.fromarray(padded.astype(np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box), dtype=np.float32)


def _bright_blob(hu: FloatArray, box: tuple[float, float, float, float]) -> BoolArray:
    """The haematoma: the larger pieces above the middle between brain and the brightest part of the box."""
    left, top, right, bottom = (round(value) for value in box)
    smooth = ndimage.gaussian_filter(np.clip(hu, -20, 100), 1.0)
    brain = float(np.median(hu[(hu > 10) & (hu < 50)]))
    inside = np.zeros(hu.shape, np.bool_)
    inside[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3] = True
    inside &= ~ndimage.binary_dilation(hu >= BONE_HU, iterations=3)
    if not inside.any():
        return np.zeros(hu.shape, np.bool_)
    brightest = float(np.percentile(smooth[inside], 98))
    if brightest < brain + 14:
        return np.zeros(hu.shape, np.bool_)
    bright: BoolArray = inside & (smooth > (brain + brightest) / 2)
    pieces, count = ndimage.label(bright)
    if count == 0:
        return bright
    sizes = ndimage.sum_labels(bright, pieces, range(1, count + 1))
    kept: BoolArray = np.isin(pieces, 1 + np.flatnonzero(sizes >= 0.2 * sizes.max()))
    return kept


def _feathered(box: tuple[float, float, float, float], side: int) -> FloatArray:
    left, top, right, bottom = box
    rows, columns = np.mgrid[:side, :side]
    outside = np.maximum.reduce([left - columns, columns - right, top - rows, rows - bottom])
    ramp: FloatArray = np.clip(1.0 - (outside - 2.0) / 4.0, 0, 1).astype(np.float32)
    return ramp


def _mirror_axis(
    hu: FloatArray, boxes: dict[int, tuple[float, float, float, float]]
) -> tuple[float, float, float]:
    """Find the reflection that best matches bone and brain of the slices at the level of the bleed."""
    numbers = sorted(boxes)[len(boxes) // 2 :][:1] or [len(hu) // 2]
    image = np.clip(hu[numbers[0]], -20, 100)
    ring = ndimage.binary_fill_holes(image > 90)
    rows, columns = np.nonzero(ring if ring.sum() > 500 else image > 10)
    y0, x0 = float(rows.mean()), float(columns.mean())
    small = ndimage.zoom(ndimage.gaussian_filter(image, 2.0), 0.5, order=1)
    best = (np.inf, (0.0, x0 / 2, y0 / 2))
    for angles, shifts in (
        (np.arange(-48, 49, 4), np.arange(-6, 7, 2)),
        (np.arange(-3, 4), np.arange(-2, 3)),
    ):
        start, x, y = best[1]
        for turn in start + np.deg2rad(angles):
            for shift in shifts:
                axis = (float(turn), x + shift * np.cos(turn), y - shift * np.sin(turn))
                score = float(np.abs(mirrored(small, axis) - small).mean())
                best = min(best, (score, axis))
    angle, x, y = best[1]
    return angle, 2 * x + 0.5, 2 * y + 0.5
