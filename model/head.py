"""Find the head in a CT: what is body and not table, where the skull is, what lies inside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

COARSE_MM = 2.0
BODY_HU = -250
BONE_HU = 300
"""Above fresh blood (100), contrast in a vessel (250) and below spongy bone of the vault (400 and more)."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Head:
    """Masks on a coarse copy of the volume: every slice, every `step`-th row and column."""

    step: tuple[int, int]
    pixel_mm: tuple[float, float]
    hu: NDArray[np.float32]
    """The coarse copy, each pixel the mean of a block: (slices, rows, columns)."""
    body: Mask
    bone: Mask

    @property
    def pixel_cm2(self) -> float:
        return self.pixel_mm[0] * self.pixel_mm[1] / 100.0


def find_head(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> Head:
    """Coarse masks of the largest body in the field of view and of its bone."""
    step = (max(1, round(COARSE_MM / spacing_mm[1])), max(1, round(COARSE_MM / spacing_mm[2])))
    coarse = block_mean(hu, step)
    solid = ndimage.binary_opening(coarse > BODY_HU, np.ones((1, 3, 3), bool))
    body = _filled(_largest(solid))
    return Head(
        step=step,
        pixel_mm=(spacing_mm[1] * step[0], spacing_mm[2] * step[1]),
        hu=coarse,
        body=body,
        bone=(coarse > BONE_HU) & body,
    )


def block_mean(hu: NDArray[np.int16], step: tuple[int, int]) -> NDArray[np.float32]:
    """Mean over blocks of `step` rows and columns; a rest that fills no block is left out."""
    rows, columns = hu.shape[1] // step[0], hu.shape[2] // step[1]
    cut = hu[:, : rows * step[0], : columns * step[1]]
    total = np.zeros((len(hu), rows, columns), np.int32)
    for row in range(step[0]):
        for column in range(step[1]):
            total += cut[:, row :: step[0], column :: step[1]]
    return total.astype(np.float32) / np.float32(step[0] * step[1])


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: Mask = labels == int(sizes.argmax())
    return largest


def _filled(mask: Mask) -> Mask:
    """Holes of each slice filled: air sinuses and mastoid cells belong to the head."""
    return np.stack([ndimage.binary_fill_holes(layer) for layer in mask]) if len(mask) else mask
