"""Thin heads without a face: what lies in front of the skull is made air, so that no face can be rendered.

Axial slices, from the front, column by column: everything down to the first bone goes. In the face, where no
bone comes soon (orbits, cheeks), a fixed depth goes: lids, the front of the eyes, nose and lips. In the
vault, where bone is missing, only as much as the scalp is thick: a craniectomy loses no brain. PS3.15 E.3.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1000.0
SKIN_HU = -300.0
BONE_HU = 250.0
FACE_DEPTH_MM = 28.0
"""Removed where no bone comes: a nose stands out by as much, and brain lies deeper behind an orbit."""
NEAR_MM = 16.0
"""Bone nearer to the skin than this is vault."""
USUAL_SCALP_MM = 6.0
VAULT_SHARE = 0.75
"""Of the front columns; more of them with near bone make a slice one of the vault."""
LEAST_VAULT_MM = 20.0
FRONT_SHARE = 0.5
"""Of the head's depth: columns whose skin lies further back show the ears, not the face."""
LEAST_HEAD_MM2 = 2500.0

Mask = NDArray[np.bool_]


class NoFace(ValueError):
    """It cannot be told where the face is."""


@dataclass(frozen=True, slots=True)
class Front:
    """The front of one slice; pixels (rows, columns) that become air."""

    face: Mask
    """If the slice belongs to the face."""
    scalp: Mask
    """If it belongs to the vault."""
    looks_like_vault: bool
    empty: bool = False
    """Nothing in it is as large as a head."""


def front_of(hu: NDArray[np.float64], row_mm: float, column_mm: float) -> Front:
    """What may be removed of one axial slice.

    Args:
        hu: Hounsfield units (rows, columns), row 0 most anterior.
        row_mm: distance of rows.
        column_mm: distance of columns.
    """
    from scipy import ndimage  # not at the top: 15 MB, for thin series alone

    head = _head(hu, row_mm * column_mm)
    if head is None:
        nothing = np.zeros(hu.shape, bool)
        return Front(nothing, nothing, looks_like_vault=False, empty=True)
    rows = np.arange(head.shape[0])[:, None]
    skin = head.argmax(axis=0)
    columns = np.flatnonzero(head.any(axis=0))
    first, last = skin[columns].min(), head.shape[0] - head[::-1].argmax(axis=0)[columns].min()
    front = columns[skin[columns] < first + FRONT_SHARE * (last - first)]
    bone = ndimage.binary_opening(hu > BONE_HU, np.ones((2, 1))) & head
    to_bone = np.where(bone.any(axis=0), (bone.argmax(axis=0) - skin) * row_mm, np.inf)
    near = to_bone[front] <= NEAR_MM
    scalp_mm = float(np.median(to_bone[front][near])) if near.any() else USUAL_SCALP_MM

    def down_to(limit_mm: float) -> Mask:
        removed = np.zeros(head.shape, bool)
        end = skin + np.floor(np.minimum(to_bone, limit_mm) / row_mm).astype(int)
        removed[:, front] = rows < end[front]
        return removed

    vault = bool(near.mean() >= VAULT_SHARE)
    return Front(down_to(FACE_DEPTH_MM), down_to(scalp_mm), looks_like_vault=vault)


def faceless(fronts: Sequence[Front], heights_mm: Sequence[float]) -> list[Mask]:
    """What to remove of each slice of a head.

    Args:
        fronts: of every slice, lowest first.
        heights_mm: of the slices.

    Raises:
        NoFace: no vault is seen, or a slice below it is empty: this is no head from below upwards.
    """
    runs = groupby(range(len(fronts)), lambda number: fronts[number].looks_like_vault)
    longest = max((list(run) for vault, run in runs if vault), key=len, default=[0])
    begin, seen_mm = longest[0], heights_mm[longest[-1]] - heights_mm[longest[0]]
    if seen_mm < LEAST_VAULT_MM:
        raise NoFace(f"{seen_mm:.0f} mm of vault are seen, {LEAST_VAULT_MM:.0f} are needed")
    if any(front.empty for front in fronts[:begin]):
        raise NoFace("a slice below the vault shows no head")
    return [front.scalp if number >= begin else front.face for number, front in enumerate(fronts)]


def _head(hu: NDArray[np.float64], pixel_mm2: float) -> Mask | None:
    """The largest body in a slice, with its hollows filled; table and head rest fall away."""
    from scipy import ndimage  # not at the top: 15 MB, for thin series alone

    labels, count = ndimage.label(ndimage.binary_opening(hu > SKIN_HU, np.ones((3, 3))))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max() * pixel_mm2 < LEAST_HEAD_MM2:
        return None
    head: Mask = ndimage.binary_fill_holes(labels == int(sizes.argmax()) + 1)
    return head
