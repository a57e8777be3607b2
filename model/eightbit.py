"""Head CT saved as 8-bit pictures in a display window: back to Hounsfield units, scale and order recognised.

Public slice sets and screen captures come without header: no window, no pixel size, no order. The two ends of
the grey scale are cut off; what was cut is given back as bone inside the head's skull and as air.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Window = tuple[float, float]

WINDOWS: tuple[Window, ...] = ((-20.0, 100.0), (0.0, 80.0), (-40.0, 120.0), (0.0, 100.0))
"""Lowest and highest HU of the windows of saved head CT; the first where nothing speaks against it."""
SKULL_AREA_MM2 = 19_500.0
"""Of the largest axial section of an adult skull, outer table; the pixel size is taken from it."""
HEAD_AREA_MM2 = 25_000.0
"""The same of the whole head with scalp, for pictures in which no section of the skull is closed."""
BONE_HU, SINUS_AIR_HU, AIR_HU = 800.0, -400.0, -1000.0
"""Put for the two ends of the scale, so that edges blur on resampling as they do in true HU."""
SATURATED = 250
"""From this grey on a pixel is at the upper end of its window, whatever made the picture."""
DARK = 20
FEW_SLICES = 34
COVERED_MM = 165.0
"""Of a head, by a whole study; more slices than FEW_SLICES are thinner than 5 mm."""
SKULL_PIECE_MM2 = 200.0
ABOVE_WINDOW_HU = 5.0
ENOUGH_STUDIES = 5
"""From so many on, a faint difference of windows is believed."""
INNER_MM = 8.0
"""Clear of bone, where brain is measured."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Slices of one study as pictures: upright, patient's right on the left side, in order, either way."""

    grey: Bytes
    """Shape (slices, rows, columns)."""
    head: Mask
    """Shape of `grey`: the head without table and head rest, holes filled."""

    @property
    def bone(self) -> Mask:
        """Saturated pixels of the head."""
        return (self.grey >= SATURATED) & self.head


def look_at(grey: Bytes) -> Pictures:
    """Find the head in pictures of shape (slices, rows, columns).

    Raises:
        ValueError: no slice shows one.
    """
    head = np.stack([head_of(image) for image in grey])
    if not head.any():
        raise ValueError(f"none of the {len(grey)} pictures shows a head")
    return Pictures(grey, head)


def head_of(image: Bytes) -> Mask:
    """The head without table and head rest: the largest piece that an opening leaves, grown back."""
    reach = max(1, round(image.shape[0] * 5 / 384))
    solid = ndimage.binary_opening(image > DARK, iterations=reach)
    pieces, count = ndimage.label(solid)
    if count == 0:
        return np.zeros(image.shape, np.bool_)
    largest = pieces == 1 + int(np.argmax(ndimage.sum_labels(solid, pieces, range(1, count + 1))))
    grown = ndimage.binary_dilation(ndimage.binary_fill_holes(largest), iterations=max(1, reach - 1))
    return np.asarray(grown, np.bool_)


def skull_area(image: Bytes, head: Mask) -> float:
    """Pixels within the outer table where bone closes round enough brain, else 1."""
    reach = max(1, round(image.shape[0] * 2 / 384))
    bone = (image >= SATURATED) & head
    ring = ndimage.binary_fill_holes(ndimage.binary_closing(bone, iterations=reach))
    inside = ring & ~bone
    return float(ring.sum()) if inside.sum() > 0.5 * ring.sum() else 1.0


def estimate_pixel_mm(pictures: Pictures) -> float:
    """Pixel size from the size of the head: of its skull where a section of it is closed."""
    areas = [skull_area(*each) for each in zip(pictures.grey, pictures.head, strict=True)]
    head = float(pictures.head.sum(axis=(1, 2)).max())
    widest = max(areas)
    if widest > 0.45 * head:
        return float(np.sqrt(SKULL_AREA_MM2 / widest))
    return float(np.sqrt(HEAD_AREA_MM2 / head))


def estimate_spacing_mm(slices: int) -> float:
    """Distance of slices from their number: 5 mm, or thinner where there are many."""
    return 5.0 if slices <= FEW_SLICES else COVERED_MM / slices


def top_first(pictures: Pictures) -> bool:
    """Whether the first picture is the vertex: sections of the head taper to it and not to the neck."""
    areas = pictures.head.sum(axis=(1, 2)).astype(np.float64)
    shown = areas[areas > 0]
    part = max(1, len(shown) // 6)
    return bool(shown[:part].mean() < shown[-part:].mean())


def brain_of(pictures: Pictures, pixel_mm: float) -> npt.NDArray[np.float64]:
    """Smoothed greys deep inside the skull, from the slices whose skull is closed; may be empty."""
    values: list[npt.NDArray[np.float64]] = []
    reach = max(1, round(INNER_MM / pixel_mm))
    step = max(1, len(pictures.grey) // 16)
    for image, head in zip(pictures.grey[::step], pictures.head[::step], strict=True):
        if skull_area(image, head) <= 1:
            continue
        bone = ndimage.binary_closing((image >= SATURATED) & head, iterations=2)
        inside = ndimage.binary_erosion(ndimage.binary_fill_holes(bone) & ~bone, iterations=reach)
        smooth = ndimage.gaussian_filter(image.astype(np.float64), 1.5 / pixel_mm)
        values.append(smooth[inside])
    return np.concatenate(values) if values else np.empty(0)


def recognise_window(brains: Sequence[npt.NDArray[np.float64]]) -> Window:
    """The window of a set of studies, from the greys of their brains (`brain_of`).

    Brain lies at about 31 HU and its middle half within 6 HU of one another, so that median and spread tell
    lower end and width. The more studies of one source, the surer; a single one with a swollen or shrunken
    brain may look like another window's, so only clear differences leave the first of WINDOWS.
    """
    told = [np.percentile(brain, [25, 50, 75]) for brain in brains if len(brain)]
    if not told:
        return WINDOWS[0]
    low, middle, high = np.median(told, axis=0)
    below = middle - 2 * (high - low)
    if middle < 84 and below < 60:
        return 0.0, 100.0
    if middle < 101 and below < 66:
        return 0.0, 80.0
    if middle > 108 and below > 86 and len(told) >= ENOUGH_STUDIES:
        return -40.0, 120.0
    return WINDOWS[0]


def to_hu(pictures: Pictures, window: Window, pixel_mm: float) -> Floats:
    """Hounsfield units of shape (slices, rows, columns).

    Saturated pixels of the skull become bone; small ones apart from it may be calcium or, in a narrow window,
    blood, and come to lie just above the window.
    """
    low, high = window
    hu = low + pictures.grey.astype(np.float32) * np.float32((high - low) / 255.0)
    for index, image in enumerate(pictures.grey):
        pieces, count = ndimage.label(image >= 254, np.ones((3, 3)))
        large = np.bincount(pieces.ravel(), minlength=count + 1) * pixel_mm**2 >= SKULL_PIECE_MM2
        large[0] = False
        hu[index][(image >= 254) & ~large[pieces]] = high + ABOVE_WINDOW_HU
        hu[index][large[pieces]] = BONE_HU
    hu[pictures.grey == 0] = SINUS_AIR_HU
    hu[~pictures.head] = AIR_HU
    return hu


def as_bytes(hu: npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]], window: Window) -> Bytes:
    """What a viewer would save of Hounsfield units in a window."""
    low, high = window
    return np.asarray(np.round(np.clip((hu - low) / (high - low), 0, 1) * 255), np.uint8)


def majority_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The commonest shape; scouts and captures have another."""
    return max(set(shapes), key=lambda shape: (shapes.count(shape), shape))
