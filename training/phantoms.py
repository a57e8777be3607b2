"""Simulated heads as training cases, on the network's grid, by seed."""

import numpy as np

from model.network import MASKS, NetworkShape
from model.phantom import Lesion, simulate_head
from model.phantom_template import Template
from training.cases import Case, CaseCard, pack_masks

FINDINGS: tuple[tuple[str, ...], ...] = (
    ("iph",),
    ("iph", "ivh"),
    ("ivh",),
    ("sah",),
    ("sah",),
    ("sdh",),
    ("sdh",),
    ("edh",),
    ("edh",),
    ("edh",),
    ("sdh", "sah"),
    ("sah", "ivh"),
    ("acute_ischaemia",),
    ("acute_ischaemia", "hyperdense_artery"),
    ("hyperdense_artery",),
    ("old_infarct",),
    ("old_infarct",),
    ("old_infarct", "iph"),
)
HEALTHY = 0.4
"""Part of the heads without any finding."""
SMALL = 0.5
"""Part of the bleeds that are small or thin; half the parenchymal ones of them lie in the posterior fossa."""


def phantom_case(seed: int, shape: NetworkShape, *, template: Template | None = None) -> Case:
    """Simulate the head of a seed: findings, slices and kernel are drawn by the seed, too."""
    source = "phantom" if template is None else "template"
    rng = np.random.default_rng((20_260, seed))
    kinds = () if rng.random() < HEALTHY else FINDINGS[int(rng.integers(len(FINDINGS)))]
    spacing = float(rng.choice([3.0, 4.0, 5.0, 5.0, 5.0, 6.0]))
    phantom = simulate_head(
        seed,
        lesions=[draw_lesion(kind, rng) for kind in kinds],
        side=shape.side,
        fov_mm=shape.side * shape.grid_mm,
        slices=int(rng.integers(115, 165) / spacing),
        spacing_mm=spacing,
        tilt_deg=0.0,  # what the network sees is untilted
        kernel=str(rng.choice(["soft", "soft", "standard"])),
        age=draw_age(rng),
        template=template,
    )
    masks = {str(name): mask for name, mask in phantom.masks.items() if name in MASKS}
    card = CaseCard(
        name=f"{source}-{seed:05d}",
        source=source,
        patient=f"{source}-{seed}",
        spacing_mm=spacing,
        known_masks=tuple(str(name) for name in MASKS),
        labels={str(name): int(value) for name, value in phantom.labels.items()},
    )
    return Case(card, phantom.hu, pack_masks(masks, phantom.hu.shape))


def template_case(seed: int, shape: NetworkShape, template: Template) -> Case:
    """Simulate the head of a seed on a template's anatomy, with the findings that `phantom_case` draws."""
    return phantom_case(seed, shape, template=template)


def draw_age(rng: np.random.Generator) -> float | None:
    """Young heads are tight, old ones carry calcium that looks like blood: both more often than they come."""
    way = rng.random()
    if way < 0.35:
        return float(rng.uniform(60, 92))
    return float(rng.uniform(16, 40)) if way < 0.65 else None


def draw_lesion(kind: str, rng: np.random.Generator) -> Lesion:
    """A lesion of usual size, or one of those that are easily missed."""
    if kind not in ("iph", "sdh", "edh", "sah") or rng.random() >= SMALL:
        return Lesion(kind)
    site = str(rng.choice(["cerebellum", "pons"])) if kind == "iph" and rng.random() < 0.5 else None
    return Lesion(kind, size=float(rng.uniform(0.4, 0.85)), site=site)
