"""Make one head look like another scanner's: pose, scale, kernel, noise, calibration. Whole batches at once.

MONAI's transforms work one image at a time; for batches of small slices torch's own grid_sample is many
times faster.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional


def augment(
    hu: Tensor, bits: Tensor | None, generator: Generator, *, together: bool = False
) -> tuple[Tensor, Tensor]:
    """Change slices (N, C, H, W) in HU and their masks' bit fields (N, H, W) at random.

    Args:
        hu: C is the slice with its neighbours, which are always changed alike.
        bits: None where masks are not needed.
        generator: Equal generators give equal changes.
        together: All N slices are one study's and get one pose, kernel and calibration; noise differs.
    """
    count, side = len(hu), hu.shape[-1]
    draws = 1 if together else count
    grid = _pose(draws, side, generator).expand(count, -1, -1, -1)
    hu = functional.grid_sample(hu, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if bits is None:
        bits = torch.zeros(count, side, side)
    else:
        bits = functional.grid_sample(bits[:, None], grid, mode="nearest", align_corners=False)[:, 0]
    hu = _thickness(hu, draws, generator)
    hu = _bone(hu, draws, generator)
    hu = _kernel(hu, generator)
    hu = _calibration(hu, draws, generator)
    return _noise(hu, draws, generator), bits


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _pose(count: int, side: int, generator: Generator) -> Tensor:
    """Rotation 20 deg, scale 14 %, aspect 5 %, shift 8 %, mirrored or not, as a sampling grid."""
    turn = _uniform((count,), -math.radians(20), math.radians(20), generator)
    scale = _uniform((count, 2), 0.95, 1.05, generator) * _uniform((count, 1), 0.88, 1.14, generator)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift = _uniform((count, 2), -0.16, 0.16, generator)
    cos, sin = torch.cos(turn), torch.sin(turn)
    across = torch.stack([cos * scale[:, 0] * flip, -sin * scale[:, 1], shift[:, 0]], dim=1)
    down = torch.stack([sin * scale[:, 0] * flip, cos * scale[:, 1], shift[:, 1]], dim=1)
    theta = torch.stack([across, down], dim=1)
    return functional.affine_grid(theta, [count, 1, side, side], align_corners=False)


def _bone(hu: Tensor, count: int, generator: Generator) -> Tensor:
    """Denser or thinner bone, which decides how far its edge spreads into the brain beside it."""
    factor = _uniform((count, 1, 1, 1), 0.5, 1.6, generator)
    return torch.where(hu > 100, 100 + (hu - 100) * factor, hu)


def _thickness(hu: Tensor, count: int, generator: Generator) -> Tensor:
    """Thicker slices, which share up to a quarter with their neighbours; half are left as they are."""
    share = _uniform((count, 1, 1, 1), -0.12, 0.12, generator).clamp(min=0)
    axis = 1 if hu.shape[1] > 1 else 0
    count = hu.shape[axis]
    first, last = hu.narrow(axis, 0, 1), hu.narrow(axis, count - 1, 1)
    below = torch.cat([first, hu.narrow(axis, 0, count - 1)], dim=axis)
    above = torch.cat([hu.narrow(axis, 1, count - 1), last], dim=axis)
    return hu + share * (below + above - 2 * hu)


def _kernel(hu: Tensor, generator: Generator) -> Tensor:
    """One draw per batch: softer, sharper, or as it is."""
    draw = float(torch.rand(1, generator=generator))
    if draw < 0.4:
        return hu
    soft = _blur(hu, 0.4 + 0.6 * float(torch.rand(1, generator=generator)))
    if draw < 0.7:
        return soft
    return hu + (0.3 + 0.7 * float(torch.rand(1, generator=generator))) * (hu - soft).clamp(-60, 60)


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


def _calibration(hu: Tensor, count: int, generator: Generator) -> Tensor:
    """Water and contrast off by a little, cupping, and a dark or bright band across the skull base."""
    side = hu.shape[-1]
    contrast = _uniform((count, 1, 1, 1), 0.88, 1.12, generator)
    offset = _uniform((count, 1, 1, 1), -5, 5, generator)
    hu = 32 + (hu - 32) * contrast + offset
    axis = torch.linspace(-1, 1, side)
    radius = (axis[:, None] ** 2 + axis[None, :] ** 2)[None, None]
    hu = hu + _uniform((count, 1, 1, 1), -3, 8, generator) * radius
    place = _uniform((count, 1, 1, 1), -0.8, 0.8, generator)
    height = _uniform((count, 1, 1, 1), -10, 8, generator) * (
        torch.rand(count, 1, 1, 1, generator=generator) < 0.3
    )
    width = _uniform((count, 1, 1, 1), 0.03, 0.15, generator)
    return hu + height * torch.exp(-(((axis[None, None, :, None] - place) / width) ** 2))


def _noise(hu: Tensor, count: int, generator: Generator) -> Tensor:
    """Grain of 0 to 7 HU, fine or coarse."""
    grain = torch.randn(hu.shape, generator=generator)
    if float(torch.rand(1, generator=generator)) < 0.7:
        grain = _blur(grain, 0.6) * 2.0
    strength = _uniform((count, 1, 1, 1), 0, 1, generator) ** 1.5 * 7.0
    return hu + grain * strength
