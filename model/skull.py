"""Measure the skull and what it holds, slice by slice, for the judgements in quality.py.

Only the vault is measured: slices where bone closes round brain, or would if a piece were not missing.
Below it openings, air cells and metal in the teeth are normal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.head import Head, Mask

Floats = NDArray[np.float64]

CLOSING_MM = 6.0
RING_AREA_CM2 = 30.0
"""Brain inside a closed ring of bone; the foramen magnum and the orbits are smaller."""
CROSS_SECTION_CM2 = (40.0, 400.0)
"""Of a head with a ring in it, skin to skin; a pelvis is wider. Measured 60-282."""
VAULT_MM = (15.0, 80.0)
"""Below the top of the head; lower down lie orbits and ears."""
VAULT_AREA_CM2 = 100.0
"""Smaller cross-sections near the top are all bone and scalp, and rays through them say nothing."""
TOP_AREA_CM2 = 5.0
RAYS = 90
RAY_START_MM = 35.0
RAY_BONE_HU = 200
"""Largest value on a ray that still may be bone: the thin temporal squama averaged over 2 mm."""
SINUS_MM = (20.0, 10.0)
"""The posterior sagittal sinus: within this of the inner table, and this far to either side."""
NEAR_BONE_MM = 2.0
METAL_HU = 2500
METAL_DEPTH_MM = 110.0
"""Below the top; teeth and their fillings lie lower."""
EDGE_HU = (-800, -300)
"""Neither head nor air."""
EDGE_REACH_MM = 14.0


@dataclass(frozen=True, slots=True)
class Skull:
    """What each slice shows; all arrays have one entry a slice."""

    top: int
    """Index of the highest slice with more than a sliver of head; -1 without any."""
    depth_mm: Floats
    """Below the top."""
    height_mm: Floats
    """What each slice stands for along the normal."""
    body_cm2: Floats
    ring: Mask
    """Bone closes round enough brain."""
    inside: Mask
    """Coarse (slices, rows, columns): inside the skull, 2 mm clear of it; empty where there is no ring."""
    vault: Mask
    gap_mm: Floats
    """Widest piece of the vault without bone; 0 outside the vault."""


def measure_skull(head: Head, positions_mm: Floats) -> Skull:
    """Rings, vault and gaps of a head found by `find_head`."""
    areas = head.body.sum(axis=(1, 2)) * head.pixel_cm2
    shown = np.flatnonzero(areas > TOP_AREA_CM2)
    top = int(shown[-1]) if len(shown) else -1
    depth = positions_mm[top] - positions_mm
    height = np.gradient(positions_mm) if len(positions_mm) > 1 else np.zeros(len(positions_mm))
    inside = np.stack([_inside(bone, head) for bone in head.bone])
    ring = inside.any(axis=(1, 2)) & (areas > CROSS_SECTION_CM2[0]) & (areas < CROSS_SECTION_CM2[1])
    vault = (depth >= VAULT_MM[0]) & (depth <= VAULT_MM[1]) & (areas > VAULT_AREA_CM2)
    gap = np.array([_gap_mm(head, index) if vault[index] else 0.0 for index in range(len(areas))])
    return Skull(top, depth, height, areas, ring, inside & ring[:, None, None], vault, gap)


def _inside(bone: Mask, head: Head) -> Mask:
    """The largest area that closed bone encloses, less a rim of one coarse pixel."""
    inside = np.zeros_like(bone)
    (box,) = ndimage.find_objects(bone.astype(np.int8)) or [None]
    if box is None:
        return inside
    reach = max(1, round(CLOSING_MM / max(head.pixel_mm)))
    closed = ndimage.binary_closing(np.pad(bone[box], 2 * reach), iterations=reach)
    closed = closed[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    labels, _ = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    if sizes[largest] * head.pixel_cm2 >= RING_AREA_CM2:
        inside[box] = ndimage.binary_erosion(labels == largest)
    return inside


def _gap_mm(head: Head, index: int) -> float:
    """Widest run of directions from the middle of a slice that meet no bone, as an arc along the skin."""
    rows, columns = np.nonzero(head.body[index])
    down = (rows - rows.mean()) * head.pixel_mm[0]
    across = (columns - columns.mean()) * head.pixel_mm[1]
    radius = np.hypot(down, across)
    ray = ((np.arctan2(down, across) + np.pi) / (2 * np.pi) * RAYS).astype(np.int64) % RAYS
    far = radius > RAY_START_MM
    brightest = np.full(RAYS, -np.inf)
    np.maximum.at(brightest, ray[far], head.hu[index][rows[far], columns[far]])
    reached = np.zeros(RAYS)
    np.maximum.at(reached, ray, radius)
    bare = (brightest < RAY_BONE_HU) & (reached > RAY_START_MM)
    return _longest_run(bare) * 2 * np.pi / RAYS * float(np.median(reached))


def _longest_run(bare: Mask) -> int:
    """Of True values round a circle."""
    if bare.all():
        return len(bare)
    twice = np.concatenate([bare, bare]).astype(np.int64)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], twice, [0]])))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def brain_values(head: Head, skull: Skull) -> NDArray[np.float32]:
    """Coarse HU of everything inside the skull."""
    return head.hu[skull.inside]


def sinus_hu(
    hu: NDArray[np.int16], head: Head, skull: Skull, spacing_mm: tuple[float, float, float]
) -> Floats:
    """Brightness where the superior sagittal sinus runs: the 95th percentile in each slice with a ring."""
    found = (
        _sinus_of(hu[index], head, skull.inside[index], spacing_mm) for index in np.flatnonzero(skull.ring)
    )
    return np.array([value for value in found if value is not None])


def _sinus_of(
    layer: NDArray[np.int16], head: Head, inside: Mask, spacing_mm: tuple[float, float, float]
) -> float | None:
    rows, columns = np.nonzero(inside)
    middle = round(float(columns.mean()))
    line = np.flatnonzero(inside[:, middle])
    if not len(line):
        return None
    tall, wide = (round(size / pixel) for size, pixel in zip(SINUS_MM, head.pixel_mm, strict=True))
    low, high = max(0, int(line[-1]) - tall), int(rows.max()) + 1
    left, right = max(0, middle - wide), middle + wide + 1
    region = np.kron(inside[low:high, left:right], np.ones(head.step, bool))
    fine = layer[low * head.step[0] :, left * head.step[1] :][: region.shape[0], : region.shape[1]]
    smooth = ndimage.uniform_filter(fine.astype(np.float32), 3)
    reach = max(1, round(NEAR_BONE_MM / spacing_mm[1]))
    values = smooth[region & ~ndimage.binary_dilation(smooth > RAY_BONE_HU + 100, iterations=reach)]
    return float(np.percentile(values, 95)) if len(values) >= 20 else None


def metal_ml(
    hu: NDArray[np.int16], head: Head, skull: Skull, spacing_mm: tuple[float, float, float]
) -> tuple[float, float]:
    """Metal in the vault, and of it what lies deeper than the bone, in mL."""
    inside = whole = 0.0
    voxel_ml = spacing_mm[1] * spacing_mm[2] / 1000
    reach = max(1, round(10.0 / max(head.pixel_mm)))
    shown = (skull.vault | skull.ring) & (skull.depth_mm <= METAL_DEPTH_MM)
    for index in np.flatnonzero(shown):
        metal = hu[index] > METAL_HU
        if not metal.any():
            continue
        deep = ndimage.binary_erosion(head.body[index], iterations=reach)
        at = tuple(axis // step for axis, step in zip(np.nonzero(metal), head.step, strict=True))
        kept = (at[0] < deep.shape[0]) & (at[1] < deep.shape[1])
        size = voxel_ml * float(skull.height_mm[index])
        whole += size * float(head.body[index][at[0][kept], at[1][kept]].sum())
        inside += size * float(deep[at[0][kept], at[1][kept]].sum())
    return whole, inside


def edge_mm(head: Head, skull: Skull) -> float:
    """How wide the outline of the head is smeared: the median slice of the vault.

    A head that moved during the slice leaves a second outline, and between the two a mixture of head and air.
    Hair and foam look alike, so this is a hint and no proof.
    """
    widths = [_edge_of(head, int(index)) for index in np.flatnonzero(skull.vault)]
    return float(np.median(widths)) if widths else 0.0


def _edge_of(head: Head, index: int) -> float:
    """Area of the mixture near the outline, over the length of the outline."""
    reach = max(1, round(EDGE_REACH_MM / max(head.pixel_mm)))
    body = np.pad(head.body[index], reach)
    near = ndimage.binary_dilation(body, iterations=reach) & ~ndimage.binary_erosion(body, iterations=reach)
    hu = np.pad(head.hu[index], reach, constant_values=-1024)
    mixed = (hu > EDGE_HU[0]) & (hu < EDGE_HU[1]) & near
    outline = 2 * np.sqrt(np.pi * np.count_nonzero(body) * head.pixel_cm2 * 100)
    return float(np.count_nonzero(mixed) * head.pixel_cm2 * 100 / outline)


def noise_hu(hu: NDArray[np.int16], head: Head, skull: Skull) -> float:
    """Pixel noise inside the skull: spread of the difference between neighbours, over root two."""
    rings = np.flatnonzero(skull.ring)
    if not len(rings):
        return 0.0
    index = int(rings[len(rings) // 2])
    deep = np.kron(ndimage.binary_erosion(skull.inside[index], iterations=5), np.ones(head.step, bool))
    fine = hu[index][: deep.shape[0], : deep.shape[1]].astype(np.float32)
    change = (fine[:, 2:] - fine[:, :-2])[deep[:, 1:-1]]
    return float(1.4826 * np.median(np.abs(change)) / np.sqrt(2)) if len(change) else 0.0
