"""CT templates as anatomy for simulated heads: read once, warped for every seed.

The folder holds `scct_unsmooth_SS_0.01.nii.gz` (the mean brain of older adults in HU, 1 mm, skull-stripped)
and its mask. The skull is simulated round it: that of the mean template is blurred.
"""

from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from model.phantom_grid import Array
from model.phantom_template import Template

LEAST_CONTRAST_HU = 4.0
STRIPPED, MASK = "scct_unsmooth_SS_0.01.nii.gz", "scct_unsmooth_SS_0.01_Mask.nii.gz"


@cache
def load_template(folder: Path) -> Template:
    """Read the template of a folder; takes seconds, so once a process.

    Raises:
        FileNotFoundError: template or mask do not lie there.
        ValueError: its grey and white matter do not differ.
    """
    import nibabel  # only where a template is used

    for name in (STRIPPED, MASK):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: the template is not here")
    image = nibabel.Nifti1Image.from_filename(folder / STRIPPED)
    to_world = np.asarray(image.affine)
    hu = to_head_axes(np.asarray(image.dataobj, np.float32), to_world)
    mask = nibabel.Nifti1Image.from_filename(folder / MASK)
    held = to_head_axes(np.asarray(mask.dataobj, np.float32), to_world) > 0.5
    return make_template(hu, held, first_mm(hu.shape, to_world), float(abs(to_world[0, 0])))


def to_head_axes(values: Array, to_world: Array) -> Array:
    """Turn (right or left, front, up) of a NIfTI file into (up, back, left)."""
    flipped = values if to_world[0, 0] < 0 else values[::-1]
    return np.ascontiguousarray(flipped[:, ::-1].transpose(2, 1, 0))


def first_mm(shape: tuple[int, ...], to_world: Array) -> tuple[float, float, float]:
    """Head mm (left, back, up) of the first voxel after `to_head_axes`."""
    right = max(float(to_world[0, 3]), float(to_world[0, 3] + to_world[0, 0] * (shape[2] - 1)))
    front = float(to_world[1, 3] + to_world[1, 1] * (shape[1] - 1))
    return -right, -front, float(to_world[2, 3])


def make_template(hu: Array, mask: np.ndarray, first: tuple[float, float, float], step_mm: float) -> Template:
    """Build the fields of a template from its brain in HU and the mask of what lies in the skull.

    Raises:
        ValueError: grey and white matter do not differ.
    """
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(mask, iterations=3))
    depth = signed_depth(whole, step_mm)
    downwards = np.logical_or.accumulate(whole[::-1])[::-1]
    sound = mask & (depth > 2.0)
    filled = continued(np.clip(hu, 0, 80), sound)
    plain = sound & (depth > 8) & (filled > 15) & (filled < 55)
    white, grey = (float(np.percentile(filled[plain], q)) for q in (22, 80))
    if grey - white < LEAST_CONTRAST_HU:
        raise ValueError(f"the template has {grey - white:.1f} HU between grey and white matter, too little")
    deep = ndimage.binary_opening((filled < white - 9) & (depth > 22))
    pieces, count = ndimage.label(deep)
    sizes = ndimage.sum_labels(deep, pieces, range(1, count + 1))
    ventricles = np.isin(pieces, 1 + np.flatnonzero(np.asarray(sizes) > 0.15 * np.max(sizes, initial=1)))
    soft = ndimage.gaussian_filter(ndimage.binary_dilation(ventricles, iterations=2).astype(np.float32), 0.7)
    return Template(filled, depth, signed_depth(downwards, step_mm), soft, first, step_mm, white, grey)


def signed_depth(inside: np.ndarray, step_mm: float) -> Array:
    """Millimetres inside a mask, negative outside, smoothed; measured on every second voxel."""
    coarse = inside[::2, ::2, ::2]
    within, beyond = (ndimage.distance_transform_edt(part).astype(np.float32) for part in (coarse, ~coarse))
    depth = ndimage.gaussian_filter(np.where(coarse, within - 0.5, 0.5 - beyond), 0.8)
    fine = ndimage.affine_transform(depth, [0.5] * 3, output_shape=inside.shape, order=1, mode="nearest")
    return np.asarray(2 * step_mm * fine, np.float32)


def continued(values: Array, sound: np.ndarray) -> Array:
    """Carry the values of a mask on beyond its edge."""
    weight = ndimage.gaussian_filter(sound.astype(np.float32), 2.5)
    mean = ndimage.gaussian_filter(np.where(sound, values, 0).astype(np.float32), 2.5)
    near = np.where(weight > 0.01, mean / np.maximum(weight, 0.01), 32.0)
    return np.where(sound, values, near).astype(np.float32)
