"""Registered models without their files, for tests of the rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Role, Viewer
from service.models import Model, register_model

ML = Viewer("ml", Role.ML, None)
ADMIN = Viewer("admin", Role.ADMIN, None)
INTENDED = (StrokeType.ANY_ICH, StrokeType.IPH)


def digest_of(name: str) -> str:
    """A digest of its own for each name."""
    return name.encode().hex().ljust(64, "0")[-64:]


def registered_model(
    session: Session, name: str = "stroke-ct-0.5.0", *, assessed: Sequence[StrokeType] = INTENDED
) -> Model:
    """A model whose golden studies reproduced."""
    return register_model(
        session,
        ML,
        name=name,
        digest=digest_of(name),
        folder=f"models/{name}",
        assessed=assessed,
        engine="openvino-fp32",
        golden_off_by=0.0001,
    )


def report(
    name: str,
    *,
    noise: float = 0.05,
    number: int = 80,
    strata: Mapping[str, float] | None = None,
    seed: int = 1,
    flip: int = 0,
) -> dict[str, Any]:
    """An evaluation of simulated answers: labels with so much noise, and strata with these sensitivities."""
    chance = np.random.default_rng(seed)
    studies = []
    for case in range(number):
        label = case % 2
        score = float(np.clip(0.3 + 0.4 * label + chance.normal(0, noise), 0, 1))
        labels = dict.fromkeys(("any_ich", "iph"), label ^ (case < flip))
        studies.append(
            {
                "case": f"case-{case}",
                "population": "real",
                "labels": labels,
                "probabilities": dict.fromkeys(("any_ich", "iph"), score),
            }
        )
    rows = [
        {
            "column": "hospital",
            "group": group,
            "sensitivity": {"value": value, "num": 25},
            "specificity": None,
        }
        for group, value in (strata or {}).items()
    ]
    figures = [{"population": "real", "stroke_type": "any_ich", "strata": rows}]
    return {"model": name, "digest": digest_of(name), "studies": studies, "figures": figures}
