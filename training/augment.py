"""Make one head look like another scanner's, whole batches at once, on the device that holds them.

Pose, size, kernel, thickness, calibration, noise, and the 8-bit window that public slice sets are saved in.
MONAI's transforms work one image at a time; for batches of slices torch's own grid_sample is many times
faster. Nothing here waits for the device: every choice is drawn per head as a number, not as a branch.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

SIGMA = 0.8
"""Of the blur that softer and sharper kernels are made of, in pixels."""


def augment(
    hu: Tensor,
    bits: Tensor | None,
    generator: Generator,
    *,
    together: bool = False,
    groups: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Change slices (N, C, H, W) in HU and their masks' bit fields (N, H, W) at random.

    Args:
        hu: C is the slice with its neighbours, which are always changed alike.
        bits: None where masks are not needed.
        generator: Of the device of `hu`; equal generators give equal changes.
        together: All N slices are one study's and get one pose, kernel and calibration; noise differs.
        groups: (N,) numbers of studies, ascending from 0, for several studies at once, each as by `together`.
    """
    count, side, device = len(hu), hu.shape[-1], hu.device
    if groups is None:
        groups = torch.zeros(count, dtype=torch.int64, device=device)
        if not together:
            groups = torch.arange(count, device=device)
    draw = Draw(count, groups, generator)
    hu = _eight_bit(hu, draw)
    grid = functional.affine_grid(_pose(draw), [count, 1, side, side], align_corners=False)
    hu = functional.grid_sample(hu, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if bits is None:
        bits = torch.zeros(count, side, side, device=device)
    else:
        bits = functional.grid_sample(bits[:, None], grid, mode="nearest", align_corners=False)[:, 0]
    hu = _thickness(hu, draw)
    hu = _bone(hu, draw)
    hu = _kernel(hu, draw)
    hu = _calibration(hu, draw)
    return _noise(hu, draw, generator), bits


class Draw:
    """Random numbers of shape (N, 1, 1, 1), equal within a group."""

    def __init__(self, count: int, groups: Tensor, generator: Generator) -> None:
        self.count, self.groups, self.generator = count, groups, generator

    def uniform(self, low: float, high: float) -> Tensor:
        """Evenly between low and high."""
        # as many numbers as slices, of which each group takes its own: no count has to leave the device
        numbers = torch.rand(self.count, generator=self.generator, device=self.generator.device)
        return (low + (high - low) * numbers)[self.groups][:, None, None, None]

    def happens(self, chance: float) -> Tensor:
        """1 with a chance, else 0."""
        return (self.uniform(0.0, 1.0) < chance).float()


def _eight_bit(hu: Tensor, draw: Draw) -> Tensor:
    """Half of the heads as 8-bit slices show them: cut to a window, in 255 steps; bone is its upper end."""
    narrow = draw.happens(0.2)
    low = narrow * draw.uniform(-5, 3) + (1 - narrow) * draw.uniform(-40, -10)
    high = narrow * draw.uniform(78, 90) + (1 - narrow) * draw.uniform(92, 140)
    step = (high - low) / 255
    cut = low + step * torch.round((torch.maximum(torch.minimum(hu, high), low) - low) / step)
    chosen = draw.happens(0.5)
    return chosen * cut + (1 - chosen) * hu


def _pose(draw: Draw) -> Tensor:
    """Rotation 20 deg, scale 18 %, aspect 5 %, shift 8 %, mirrored or not; one in sixteen upside down."""
    turn = draw.uniform(-math.radians(20), math.radians(20))
    scale = draw.uniform(0.85, 1.18)
    wide, tall = scale * draw.uniform(0.95, 1.05), scale * draw.uniform(0.95, 1.05)
    flip = 1 - 2 * draw.happens(0.5)
    upside = 1 - 2 * draw.happens(1 / 16)
    cos, sin = torch.cos(turn), torch.sin(turn)
    across = torch.cat([cos * wide * flip, -sin * tall, draw.uniform(-0.16, 0.16)], dim=3)
    down = torch.cat([sin * wide * flip, cos * tall, draw.uniform(-0.16, 0.16)], dim=3) * upside
    return torch.cat([across, down], dim=2)[:, 0]


def _bone(hu: Tensor, draw: Draw) -> Tensor:
    """Denser or thinner bone, which decides how far its edge spreads into the brain beside it."""
    return torch.where(hu > 100, 100 + (hu - 100) * draw.uniform(0.5, 1.6), hu)


def _thickness(hu: Tensor, draw: Draw) -> Tensor:
    """Thicker slices, which share up to a quarter with their neighbours; half are left as they are."""
    share = draw.uniform(-0.12, 0.12).clamp(min=0)
    axis = 1 if hu.shape[1] > 1 else 0
    count = hu.shape[axis]
    first, last = hu.narrow(axis, 0, 1), hu.narrow(axis, count - 1, 1)
    below = torch.cat([first, hu.narrow(axis, 0, count - 1)], dim=axis)
    above = torch.cat([hu.narrow(axis, 1, count - 1), last], dim=axis)
    return hu + share * (below + above - 2 * hu)


def _kernel(hu: Tensor, draw: Draw) -> Tensor:
    """Softer, sharper, or (two in five) as it is."""
    soft = _blur(hu, SIGMA)
    # 1 is the blur, beyond it the blur's own blur in first order; below 0 it sharpens
    strength = draw.uniform(-1.2, 1.3) * draw.happens(0.6)
    return hu + strength * (soft - hu).clamp(-60, 60)


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur by shifted sums, which for a few taps beats a one-channel convolution by far."""
    reach = max(1, round(2.0 * sigma))
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    for axis in (2, 3):
        blurred = images * (weights[0] / total)
        size = images.shape[axis]
        for step in range(1, reach + 1):
            share = weights[step] / total
            low, high = images.narrow(axis, 0, size - step), images.narrow(axis, step, size - step)
            blurred.narrow(axis, step, size - step).add_(low, alpha=share)
            blurred.narrow(axis, 0, size - step).add_(high, alpha=share)
            blurred.narrow(axis, 0, step).add_(images.narrow(axis, 0, step), alpha=share)
            blurred.narrow(axis, size - step, step).add_(images.narrow(axis, size - step, step), alpha=share)
        images = blurred
    return images


def _calibration(hu: Tensor, draw: Draw) -> Tensor:
    """Water and contrast off by a little, cupping, and a dark or bright band across the skull base."""
    hu = 32 + (hu - 32) * draw.uniform(0.86, 1.14) + draw.uniform(-6, 6)
    axis = torch.linspace(-1, 1, hu.shape[-1], device=hu.device)
    radius = (axis[:, None] ** 2 + axis[None, :] ** 2)[None, None]
    hu = hu + draw.uniform(-3, 8) * radius
    height = draw.uniform(-10, 8) * draw.happens(0.3)
    away = (axis[None, None, :, None] - draw.uniform(-0.8, 0.8)) / draw.uniform(0.03, 0.15)
    return hu + height * torch.exp(-(away**2))


def _noise(hu: Tensor, draw: Draw, generator: Generator) -> Tensor:
    """Grain of 0 to 7 HU, fine or coarse."""
    grain = torch.randn(hu.shape, generator=generator, device=hu.device)
    coarse = draw.happens(0.7)
    grain = coarse * (_blur(grain, 0.6) * 2.0) + (1 - coarse) * grain
    return hu + grain * draw.uniform(0, 1) ** 1.5 * 7.0
