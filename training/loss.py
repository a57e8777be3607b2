"""Losses that leave out what nobody knows: pixels, masks and labels."""

import torch
from torch import Tensor
from torch.nn import functional

POSITIVE_PIXEL = 4.0
"""How much more a lesion's pixel counts than another's."""


def mask_loss(logits: Tensor, target: Tensor, known: Tensor, ignored: Tensor) -> Tensor:
    """Cross-entropy per pixel plus Dice per mask over the batch.

    Args:
        logits: (N, M, h, w).
        target: Likewise, 0..1.
        known: (N, M), 1 where the target is right where it is 0, too.
        ignored: (N, h, w), above 0 for pixels to leave out.
    """
    vouched = known[:, :, None, None] * (ignored == 0)[:, None].float()
    weight = torch.maximum(vouched, (target > 0.5).float())
    pixel = functional.binary_cross_entropy_with_logits(
        logits, target, weight=weight * (1 + (POSITIVE_PIXEL - 1) * target), reduction="sum"
    )
    entropy = pixel / weight.sum().clamp(min=1.0)
    guess = torch.sigmoid(logits) * weight
    overlap = (guess * target).sum(dim=(0, 2, 3))
    size = (guess + target * weight).sum(dim=(0, 2, 3))
    shown = (target * weight).sum(dim=(0, 2, 3)) > 20
    dice = 1 - (2 * overlap + 1) / (size + 1)
    return 10 * entropy + (dice * shown).sum() / shown.sum().clamp(min=1)


def label_loss(logits: Tensor, labels: Tensor, *, smoothing: float, first_weight: float = 2.0) -> Tensor:
    """Cross-entropy over the known labels (NaN is unknown); any_ich, the first, counts first_weight-fold."""
    known = ~torch.isnan(labels)
    target = torch.where(known, labels, torch.zeros_like(labels)) * (1 - smoothing) + smoothing / 2
    weight = known.float()
    weight[..., 0] *= first_weight
    entropy = functional.binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
    return entropy / weight.sum().clamp(min=1.0)
