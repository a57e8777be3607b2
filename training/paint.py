"""Simulated bleeds of every kind painted into real heads that do not bleed: masks learn on real anatomy."""

from dataclasses import replace

import numpy as np

from training.bleeds import BLEEDS
from training.cases import Case
from training.decoys import add_decoys
from training.ground import Ground, survey
from training.insert import insert_case

__all__ = ["Ground", "paint_case", "survey"]

WITH_DECOYS = 0.4
"""Part of the painted heads that carry decoys, too."""
SMALL = 0.45
"""Part of the painted heads whose bleeds are small or thin, as they are most easily missed."""


def paint_case(case: Case, ground: Ground, *, seed: int, grid_mm: float) -> Case | None:
    """Paint one to three bleeds, drawn by seed, into a clean head; None where nothing came of it."""
    rng = np.random.default_rng((5, seed))
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    kinds = [str(list(BLEEDS)[int(k)]) for k in rng.choice(len(BLEEDS), size=count, replace=False)]
    if rng.random() < WITH_DECOYS:  # what looks like blood must not speak against blood
        ground = replace(ground, hu=add_decoys(ground, rng, int(rng.integers(1, 4))))
    size = float(rng.uniform(0.35, 0.8)) if rng.random() < SMALL else None
    painted = insert_case(case, ground, seed=seed, grid_mm=grid_mm, kinds=kinds, size=size)
    if painted is None:
        return None
    name = f"painted-{case.card.patient.removeprefix('sich-')}-{seed}"
    return replace(painted, card=replace(painted.card, name=name, source="painted"))
