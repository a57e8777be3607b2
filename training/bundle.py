"""What a package says of itself: the keys of a MONAI bundle's metadata.json, and ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch

from model.calibration import TypeCalibration
from model.network import MASKS, STROKE_TYPES, NetworkShape
from model.stroke import StrokeType
from model.weights import digest
from training.recipe import Recipe
from training.scores import Scores

OUT_OF_FOLD = (
    "The shipped weights saw every patient listed. Figures on those patients, thresholds and temperatures "
    "come from networks of the same recipe that were trained without them (5 folds by patient, shorter runs)."
)
PT2 = "models/model.pt2"
DERIVED = {PT2: "python -m training.package export PACKAGE"}


def describe(
    recipe: Recipe, calibrations: Mapping[StrokeType, TypeCalibration], scores: Scores, rounding: float
) -> dict[str, Any]:
    """The metadata: MONAI bundle's keys, and ours."""
    return {
        **bundle_keys(recipe.name, recipe.network),
        "assessed": [kind for kind in StrokeType if calibrations[kind].assessed],
        "trained_on": sorted(scores.sources.get("train") or recipe.share),
        "cases": {part: dict(sorted(counts.items())) for part, counts in scores.sources.items()},
        "held_out": {part: list(patients) for part, patients in scores.held_out.items()},
        "started_from": None if recipe.start is None else _named(recipe.start),
        "rounding": {"weights": "fp16", "largest_probability_difference": rounding},
        "history": recipe.history,
        "thresholds": scores.words,
        **({"out_of_fold": OUT_OF_FOLD} if scores.out_of_fold else {}),
    }


def bundle_keys(name: str, shape: NetworkShape) -> dict[str, Any]:
    """What every package says of itself."""
    return {
        "name": name,
        "version": name.rpartition("-")[2],
        "task": "triage of non-contrast head CT",
        "description": "Haemorrhage and stroke on non-contrast head CT, by study, by slice and as masks.",
        "use": "research only",
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "stroke_types": list(STROKE_TYPES),
        "masks": list(MASKS),
        "network": {key: getattr(shape, key) for key in ("preset", "side", "grid_mm", "embedding")},
        "network_data_format": {
            "inputs": {
                "hu": {"type": "image", "format": "hounsfield", "shape": ["1", "S", shape.side, shape.side]},
                "z": {
                    "type": "tuple",
                    "format": "mm below top / 100, mm between slices / 10",
                    "shape": ["1", "S", 2],
                },
            },
            "outputs": {
                "study": {"type": "logits", "shape": ["1", len(STROKE_TYPES)]},
                "slice": {"type": "logits", "shape": ["1", "S", len(STROKE_TYPES)]},
                "attention": {"type": "weights", "shape": ["1", "S", len(STROKE_TYPES)]},
                "mask": {"type": "logits", "shape": ["1", "S", len(MASKS), shape.side // 2, shape.side // 2]},
                "embedding": {"type": "vector", "shape": ["1", shape.embedding]},
            },
        },
        "derived": DERIVED,
    }


def _named(start: Path) -> list[str | None]:
    """Name and digest of the package, or name alone of the run, that training went on from."""
    if start.suffix == ".safetensors":
        return [start.parent.name, None]
    return [start.name, digest(start)]
