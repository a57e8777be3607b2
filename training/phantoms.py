"""Simulated heads as training cases, on the network's grid, by seed."""

import numpy as np

from model.network import MASKS, NetworkShape
from model.phantom import simulate_head
from training.cases import Case, CaseCard, pack_masks

FINDINGS: tuple[tuple[str, ...], ...] = (
    ("iph",),
    ("iph", "ivh"),
    ("ivh",),
    ("sah",),
    ("sdh",),
    ("edh",),
    ("acute_ischaemia",),
    ("acute_ischaemia", "hyperdense_artery"),
    ("hyperdense_artery",),
    ("old_infarct",),
    ("old_infarct", "iph"),
    ("sah", "ivh"),
)
HEALTHY = 0.3
"""Part of the heads without any finding."""


def phantom_case(seed: int, shape: NetworkShape) -> Case:
    """Simulate the head of a seed: findings, slices, tilt and kernel are drawn by the seed, too."""
    rng = np.random.default_rng((20_260, seed))
    lesions = () if rng.random() < HEALTHY else FINDINGS[int(rng.integers(len(FINDINGS)))]
    spacing = float(rng.choice([4.0, 5.0, 5.0, 5.0, 6.0]))
    phantom = simulate_head(
        seed,
        lesions=lesions,
        side=shape.side,
        fov_mm=shape.side * shape.grid_mm,
        slices=int(rng.integers(120, 160) / spacing),
        spacing_mm=spacing,
        tilt_deg=0.0,  # what the network sees is untilted
        kernel=str(rng.choice(["soft", "soft", "standard"])),
    )
    masks = {str(name): mask for name, mask in phantom.masks.items() if name in MASKS}
    card = CaseCard(
        name=f"phantom-{seed:05d}",
        source="phantom",
        patient=f"phantom-{seed}",
        spacing_mm=spacing,
        known_masks=tuple(str(name) for name in MASKS),
        labels={str(name): int(value) for name, value in phantom.labels.items()},
    )
    return Case(card, phantom.hu, pack_masks(masks, phantom.hu.shape))
