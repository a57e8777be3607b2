"""What painting into a real head needs to know of it: skull, depth, fluid, ventricles, midline, noise."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.cases import Case, FloatArray

BoolArray = npt.NDArray[np.bool_]
Point = tuple[float, float, float]
"""(up, back, across) in mm round the middle of the brain at the level of the widest section."""

AIR_HU = -60.0
"""Less is air of a sinus or fat of an orbit, even where bone closes round it."""
SECTION_MM2 = 1200.0
"""Slices whose skull holds less brain than this are left unpainted."""
GAPS_MM = (2.0, 5.0)
"""Gaps of the skull that are closed, narrow ones first."""
OPENED_MM = 1.6
TALL_MM = 125.0
"""From the topmost to the lowest section of a brain."""
NECK_MM = 20.0
"""Above the lowest section: there bone closes round brain or nothing is taken for brain."""
PIECE_MM2 = 500.0
"""Smaller pieces beside the gaps of the base are no brain."""
VERTEX_MM = 64.0
"""Height of the topmost such section above the widest, in the head that `Point` is written for."""
HALF_WIDTH_MM, HALF_LENGTH_MM = 67.0, 84.0
"""Of that head's brain."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A head as a painter sees it: all arrays (slices, side, side)."""

    hu: FloatArray
    inside: BoolArray
    """Brain and CSF within a closed skull."""
    depth_mm: FloatArray
    """In-plane distance from the inner table."""
    csf: FloatArray
    """Part of the voxel that is fluid, 0..1."""
    ventricles: BoolArray
    x_mm: FloatArray
    y_mm: FloatArray
    z_mm: FloatArray
    across_mm: FloatArray
    """Distance from the mid-sagittal plane, positive towards higher columns."""
    along_mm: FloatArray
    """Distance behind the middle of the brain."""
    up_mm: FloatArray
    """(slices, 1, 1): height above the widest section, told from the vertex."""
    scale: tuple[float, float]
    """Size of this brain across and along, as a factor on the usual one."""
    noise_hu: float
    """Standard deviation of the grain in plain brain."""
    noise_px: float
    """Sigma of the blur that gives white noise the grain of this head, in pixels."""
    spacing_mm: float
    grid_mm: float

    def place(self, point: Point) -> Point:
        """Return (z, y, x) in mm of a point of the usual head in this one; `across` keeps its sign."""
        up, back, across = point
        level = int(np.argmin(np.abs(self.up_mm[:, 0, 0] - up)))
        goal = (self.across_mm[level] - across * self.scale[0]) ** 2
        goal = goal + (self.along_mm[level] - back * self.scale[1]) ** 2
        row, column = np.unravel_index(int(np.argmin(goal)), goal.shape)
        return (
            float(self.z_mm[level, 0, 0] + up - self.up_mm[level, 0, 0]),
            float(self.y_mm[level, row, column]),
            float(self.x_mm[level, row, column]),
        )

    def grain(self, rng: np.random.Generator) -> FloatArray:
        """Draw noise of the strength and the grain of this head."""
        noise = rng.standard_normal(self.hu.shape, dtype=np.float32)
        if self.noise_px > 0.2:
            noise = ndimage.gaussian_filter(noise, (0, self.noise_px, self.noise_px), truncate=3.0)
        scaled: FloatArray = noise * np.float32(self.noise_hu / (float(noise[len(noise) // 2].std()) + 1e-6))
        return scaled


def survey(case: Case, *, grid_mm: float) -> Ground | None:
    """Find skull, brain, CSF and ventricles of a head; None where no slice has a closed skull."""
    hu = case.hu.astype(np.float32)
    inside = within_skull(hu, grid_mm, case.card.spacing_mm)
    if not inside.any():
        return None
    depth = np.zeros(hu.shape, np.float32)
    for number in np.flatnonzero(inside.any(axis=(1, 2))):
        depth[number] = ndimage.distance_transform_edt(inside[number]) * grid_mm
    spacing = case.card.spacing_mm
    smooth = ndimage.gaussian_filter(np.clip(hu, -20, 100), (0, 0.7, 0.7))
    csf = np.clip((23 - smooth) / 9, 0, 1) * inside
    mm = np.indices(hu.shape, dtype=np.float32)
    mm *= np.array([spacing, grid_mm, grid_mm], np.float32)[:, None, None, None]
    across, along, scale = midline(inside, mm[2], mm[1])
    deep = ndimage.binary_opening((csf > 0.4) & (depth > 22), np.ones((1, 2, 2)))
    top = float(np.flatnonzero(inside.any(axis=(1, 2))).max()) * spacing
    up = mm[0][:, :1, :1] - np.float32(top - VERTEX_MM)
    noise_hu, noise_px = measure_grain(hu, inside & (depth > 8) & (csf < 0.3))
    return Ground(
        hu,
        inside,
        depth,
        csf.astype(np.float32),
        central(deep, across, along, up),
        x_mm=mm[2],
        y_mm=mm[1],
        z_mm=mm[0],
        across_mm=across,
        along_mm=along,
        up_mm=up,
        scale=scale,
        noise_hu=noise_hu,
        noise_px=noise_px,
        spacing_mm=spacing,
        grid_mm=grid_mm,
    )


def within_skull(hu: FloatArray, grid_mm: float, spacing_mm: float) -> BoolArray:
    """Find what the skull holds, slice by slice from the vertex down.

    At the base the skull has gaps. There they are closed more boldly or not asked for at all, and only what
    lies below brain is kept.
    """
    inside = np.zeros(hu.shape, np.bool_)
    above = np.zeros(hu.shape[1:], np.bool_)
    lowest = -1
    for number in range(len(hu) - 1, -1, -1):
        if number < lowest:
            break
        narrow = hole_of(hu[number], GAPS_MM[0], grid_mm)
        if narrow.sum() * grid_mm**2 < SECTION_MM2 and not above.any():
            continue
        if above.any() and narrow.sum() < 0.7 * above.sum():
            bold = hole_of(hu[number], GAPS_MM[1], grid_mm)
            soft = (hu[number] > AIR_HU / 4) & (hu[number] < 110) & above
            soft = ndimage.binary_opening(soft, iterations=max(1, round(GAPS_MM[1] / grid_mm)))
            soft &= number > lowest + NECK_MM / spacing_mm
            ways = [below_brain(way, above, hu[number], grid_mm) for way in (narrow, bold, soft)]
            narrow = max(ways, key=lambda way: int(way.sum()))
        if narrow.sum() * grid_mm**2 > SECTION_MM2:
            lowest = number - round(TALL_MM / spacing_mm) if lowest < 0 and not inside.any() else lowest
            inside[number] = narrow
            above |= ndimage.binary_dilation(narrow, iterations=max(1, round(3 / grid_mm)))
    return inside


def hole_of(image: FloatArray, gap_mm: float, grid_mm: float) -> BoolArray:
    """What bone surrounds in one slice, gaps up to twice a distance closed; thin threads cut off."""
    bone = image > 110
    steps = max(1, round(gap_mm / grid_mm))
    closed = ndimage.binary_closing(np.pad(bone, steps), iterations=steps)[steps:-steps, steps:-steps]
    hole = ndimage.binary_fill_holes(closed) & ~bone & (image > AIR_HU)
    opened: BoolArray = ndimage.binary_opening(hole, iterations=max(1, round(OPENED_MM / grid_mm)))
    return opened


def below_brain(hole: BoolArray, above: BoolArray, image: FloatArray, grid_mm: float) -> BoolArray:
    """Keep the large pieces that lie almost wholly below brain and are as dense as brain."""
    pieces, count = ndimage.label(hole)
    if count == 0:
        return hole
    numbers = range(1, count + 1)
    shared = np.asarray(ndimage.mean(above, pieces, numbers))
    dense = np.asarray(ndimage.median(image, pieces, numbers))
    large = np.asarray(ndimage.sum_labels(hole, pieces, numbers)) * grid_mm**2 > PIECE_MM2
    kept: BoolArray = np.isin(
        pieces, 1 + np.flatnonzero((shared > 0.85) & (dense > 18) & (dense < 48) & large)
    )
    return kept


def midline(
    inside: BoolArray, x_mm: FloatArray, y_mm: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[float, float]]:
    """Return distance from the mid-sagittal plane and along it, in mm, and the brain's size on both."""
    x, y = x_mm[inside], y_mm[inside]
    spread = np.cov(x, y)
    # of the two main directions the one nearer to front-back, since a vertex section may be wider than long
    back = max(np.linalg.eigh(spread)[1].T, key=lambda axis: abs(float(axis[1])))
    back = back * np.sign(back[1])
    away_x, away_y = x_mm - float(x.mean()), y_mm - float(y.mean())
    across: FloatArray = (away_x * back[1] - away_y * back[0]).astype(np.float32)
    along: FloatArray = (away_x * back[0] + away_y * back[1]).astype(np.float32)
    half = [float(np.percentile(np.abs(axis[inside]), 99.5)) for axis in (across, along)]
    return across, along, (half[0] / HALF_WIDTH_MM, half[1] / HALF_LENGTH_MM)


def central(fluid: BoolArray, across: FloatArray, along: FloatArray, up: FloatArray) -> BoolArray:
    """Keep the fluid that reaches the middle of the head: ventricles, not fissures or cisterns."""
    fourth = (np.abs(across) < 12) & (along > 8) & (along < 50) & (up > -58)
    pieces, count = ndimage.label(fluid & ((up > -12) | fourth))
    if count == 0:
        return fluid
    nearest = ndimage.minimum(np.abs(across), pieces, range(1, count + 1))
    kept: BoolArray = np.isin(pieces, 1 + np.flatnonzero(np.asarray(nearest) < 20))
    return kept


def measure_grain(hu: FloatArray, plain: BoolArray) -> tuple[float, float]:
    """Return the standard deviation of noise in HU and the blur in pixels that its grain tells of."""
    if plain.sum() < 200:
        return 3.5, 0.5
    fine = hu - ndimage.gaussian_filter(np.clip(hu, -20, 100), (0, 2.5, 2.5))
    values = fine[plain]
    spread = float(1.4826 * np.median(np.abs(values - np.median(values))))
    pairs = plain[:, :, 1:] & plain[:, :, :-1]
    first, second = fine[:, :, 1:][pairs], fine[:, :, :-1][pairs]
    usual = (np.abs(first) < 4 * spread) & (np.abs(second) < 4 * spread)
    like = (
        float(np.corrcoef(first[usual], second[usual])[0, 1]) if usual.sum() > 100 and spread > 0.1 else 0.0
    )
    # neighbours of white noise blurred with a Gaussian agree by exp(-1 / (4 sigma^2))
    blur = float(np.sqrt(-1 / (4 * np.log(np.clip(like + 0.05, 0.02, 0.85)))))
    return float(np.clip(spread, 0.5, 12.0)), blur


def bounds(mask: BoolArray, *, margin: int) -> tuple[slice, slice, slice] | None:
    """The box round a mask, wider by a margin of pixels and one slice; None of an empty mask."""
    found = ndimage.find_objects(mask.astype(np.int8))
    if not found:
        return None
    z, y, x = (
        slice(max(s.start - m, 0), min(s.stop + m, n))
        for s, m, n in zip(found[0], (1, margin, margin), mask.shape, strict=True)
    )
    return z, y, x
