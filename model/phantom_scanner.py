"""What the scanner adds to a simulated head: holder, hard beam, blur, noise, streaks of metal, motion."""

import numpy as np
from scipy import ndimage

from model.phantom_anatomy import Head
from model.phantom_grid import Array, band_noise, ramp, stream


def add_holder(head: Head, seed: int) -> None:
    """Draw the head holder or table, which real studies show and a network must ignore."""
    rng = stream(seed, "holder")
    if rng.random() < 0.25:
        return
    pixel = head.grid.spacing[2]
    x = head.grid.axes[2] - rng.uniform(-6, 6)
    y = head.grid.axes[1][:, :, None]
    half, back = rng.uniform(88, 118), rng.uniform(96, 122)
    radius = (np.abs(x / half) ** 3 + np.abs((y + back * 0.05) / back) ** 3) ** (1 / 3)
    wall = np.abs((1 - radius) * half)
    ring = ramp(rng.uniform(1.0, 2.5) - wall, pixel) * (y > rng.uniform(-25, 50))
    value = rng.uniform(-150, 130)
    empty = ramp(-head.outline - 1.0, 1.5)
    head.hu += (empty * ring) * (value - head.hu)


def harden_beam(head: Head, seed: int) -> None:
    """Add what a hard beam leaves behind: cupping, bright brain beside the skull, bands at the base."""
    rng = stream(seed, "beam")
    inside = ramp(head.depth, 1.0)
    glow = rng.uniform(3, 9) * np.exp(-np.clip(head.depth, 0, None) / 3.5) - rng.uniform(0, 2)
    grid = head.grid
    band = np.exp(-(((grid.y - 24) / 7) ** 2) - ((grid.z + 40) / 9) ** 2) * (np.abs(grid.x) < 40)
    stripes = grid.stretched_noise(rng, (6.0, 3.0, 40.0))
    low = np.exp(-(((grid.z + 42) / 16) ** 2)) * inside
    head.hu += inside * glow - rng.uniform(2, 14) * band * inside + rng.uniform(1, 4) * low * stripes


def blur(hu: Array, spacing: tuple[float, float, float], kernel: str) -> Array:
    """Apply the point spread of the kernel and the overlap of neighbouring slices."""
    sigma = {"soft": 0.62, "standard": 0.5, "bone": 0.28}[kernel] / spacing[2]
    across = 0.25 if spacing[0] > 2 else 0.45
    out = np.asarray(ndimage.gaussian_filter(hu, (across, sigma, sigma), truncate=3.0))
    if kernel == "bone":
        out += 0.9 * (out - ndimage.gaussian_filter(out, (0, 1.1, 1.1), truncate=2.5))
    return out


NOISE_HU = {"soft": 3.7, "standard": 4.6, "bone": 19.0}
"""Standard deviation in a 5 mm slice at 0.9 mm pixels."""


def add_noise(hu: Array, seed: int, spacing: tuple[float, float, float], kernel: str) -> None:
    """Add quantum noise, coarser for soft kernels and stronger for thin slices."""
    rng = stream(seed, "noise")
    sigma = NOISE_HU[kernel] * rng.uniform(0.35, 1.1) * (5.0 / spacing[0]) ** 0.42
    grain = {"soft": 0.62, "standard": 0.5, "bone": 0.0}[kernel] * min(1.5, 0.9 / spacing[2])
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    if grain:
        noise = ndimage.gaussian_filter(noise, (0, grain, grain), truncate=2.5)
    coarse = band_noise(rng, hu.shape, spacing, 4.0)
    scale = np.float32(sigma / (float(noise[: max(1, len(noise) // 4)].std()) + 1e-6))
    hu += scale * noise + np.float32(0.25 * sigma) * coarse


def miscalibrate(hu: Array, seed: int) -> None:
    """Read water and brain some HU too high or too low, as scanners between two calibrations do."""
    hu += np.float32(np.clip(stream(seed, "calibration").normal(0, 0.0016), -0.004, 0.004)) * (hu + 1000)


def add_metal(head: Head, seed: int) -> np.ndarray:
    """Put a clip or coil into the head, with the streaks it throws."""
    rng = stream(seed, "metal")
    side = int(rng.choice((-1, 1)))
    centre = (side * float(rng.uniform(6, 30)), float(rng.uniform(-12, 0)), float(rng.uniform(-9, 3)))
    radius = float(rng.uniform(5.5, 8.0))
    box, depth = head.grid.ellipsoid(centre, (radius, radius, radius * 1.2))
    place = head.grid.head_to_voxel @ np.array([*centre, 1.0])
    pixel = head.grid.spacing[2]
    rows, columns = head.grid.shape[1:]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    far = np.hypot(y - place[1], x - place[2]) * pixel
    angle = np.arctan2(y - place[1], x - place[2])
    rays = sum(rng.uniform(0.5, 1) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 4, 7, 11, 16, 23))
    streak = rays * 900 / (far + 6) * np.exp(-far / 90)
    for index in range(head.grid.shape[0]):
        away = abs(index - place[0]) * head.grid.spacing[0]
        if away < radius + 1.5 * head.grid.spacing[0]:
            head.hu[index] += np.exp(-((away / (radius + 2)) ** 2)) * streak * (head.outline[index] > -25)
    head.put(box, ramp(depth, 1.0), 7000.0)
    mask = np.zeros(head.grid.shape, bool)
    mask[box] = depth > 0
    return mask


def add_motion(hu: Array, seed: int, spacing: tuple[float, float, float]) -> Array:
    """Mix every moved slice with itself in a second pose."""
    rng = stream(seed, "motion")
    out = hu.copy()
    count = len(hu)
    first = int(rng.integers(0, max(1, count // 3)))
    for index in range(first, count - int(rng.integers(0, max(1, count // 4)))):
        turn = np.deg2rad(rng.uniform(3, 7) * rng.choice((-1, 1)))
        way = rng.uniform(0, 2 * np.pi)
        shift = rng.uniform(7, 13) / spacing[2] * np.array([np.cos(way), np.sin(way)])
        matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        middle = (np.array(hu.shape[1:]) - 1) / 2
        other = ndimage.affine_transform(
            hu[index], matrix, middle - matrix @ middle + shift, order=1, mode="nearest"
        )
        weight = np.float32(rng.uniform(0.35, 0.5))
        out[index] = (1 - weight) * hu[index] + weight * other
        lines = band_noise(rng, hu.shape[1:], (spacing[1] * rng.uniform(0.05, 0.3), spacing[2]), 5.0)
        out[index] += rng.uniform(4, 14) * lines * (other > -500)
    return out


def add_contrast(head: Head, seed: int) -> None:
    """Fill arteries, sinuses and cortical vessels with contrast medium."""
    rng = stream(seed, "contrast")
    dense = float(rng.uniform(180, 270))
    for box, part in head.vessels.values():
        head.put(box, np.clip(1.8 * part, 0, 1), dense)
    fine = np.clip(head.grid.noise(rng, 3.2) - 1.5, 0, 0.6) / 0.6
    inside = ramp(head.depth - 0.5, 1.0) * ramp(14 - head.depth, 4.0)
    head.hu += fine * inside * np.clip(0.2 + head.csf, 0, 1) * 0.55 * dense
    head.hu += 3.5 * ramp(head.depth, 1.0)


def open_skull(head: Head, seed: int, *, closed: bool) -> np.ndarray:
    """Cut a bone flap: taken away, or put back with a gap round it (`closed`)."""
    rng = stream(seed, "craniotomy")
    side = int(rng.choice((-1, 1)))
    centre = (side * 66.0, float(rng.uniform(-20, 35)), float(rng.uniform(15, 40)))
    radius = float(rng.uniform(24, 32) if closed else rng.uniform(28, 42))
    box, depth = head.grid.ellipsoid(centre, (radius, radius, radius), margin=3)
    wall = ramp(head.build.skull_mm * 1.25 + head.depth[box], 1.0) * ramp(1.5 - head.depth[box], 1.0)
    cut = ramp(2.0 - np.abs(depth), 1.0) if closed else ramp(depth, 1.5)
    part = cut * wall * (head.outline[box] > 1)
    head.put(box, part, 32.0)
    if closed:
        rivets = ramp(head.grid.noise(rng, 5.0, box) - 1.3, 0.3) * ramp(-head.depth[box] - 1, 1.0)
        head.put(box, rivets * ramp(4.0 - np.abs(depth), 1.0) * (head.outline[box] > 2), 4500.0)
    mask = np.zeros(head.grid.shape, bool)
    mask[box] = part > 0.5
    return mask
