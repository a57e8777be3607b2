"""What the weights of a package say of patients that they were not trained on, made here or elsewhere."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.stroke import StrokeType
from training.calibrate import Run, calibration_scores, embed_cases, population_of
from training.data import Split
from training.evaluate import score_case
from training.recipe import Recipe
from training.report import ScoredStudy


@dataclass(frozen=True, slots=True)
class Scores:
    """What the shipped weights say of patients that they were not trained on."""

    calibration: list[ScoredStudy]
    test: list[ScoredStudy]
    embeddings: npt.NDArray[np.float64]
    """(n, E) of known studies, from which `usual` is learnt."""
    sources: Mapping[str, Mapping[str, int]]
    """Cases by part (train, calibration, test) and source."""
    held_out: Mapping[str, Sequence[str]]
    """Patients by part: calibration, test."""


def score_split(run: Run, recipe: Recipe, split: Split) -> Scores:
    """Score the prepared cases of a split."""
    parts = {"train": split.train, "calibration": split.calibration, "test": split.test}
    return Scores(
        calibration=calibration_scores(run, split.calibration, recipe.seed),
        test=[score_case(run, case, population_of(case.card.source)) for case in split.test],
        embeddings=embed_cases(run, split.train),
        sources={part: Counter(case.card.source for case in cases) for part, cases in parts.items()},
        held_out={
            part: sorted({case.card.patient for case in parts[part]}) for part in ("calibration", "test")
        },
    )


def read_scores(path: Path) -> Scores:
    """Scores that were made elsewhere: JSONL, a row a study.

    part (train, calibration, test), case, source, patient, labels {type: 0 | 1}, logits [K], embedding [E],
    hits [bool by bleeding slice].
    """
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    scored = {part: [_scored(row) for row in rows if row["part"] == part] for part in ("calibration", "test")}
    known = [row["embedding"] for row in rows if row["part"] == "train"]
    return Scores(
        calibration=scored["calibration"],
        test=scored["test"],
        embeddings=np.array(known or [study.embedding for study in scored["calibration"]]),
        sources={
            part: Counter(row["source"] for row in rows if row["part"] == part)
            for part in ("train", "calibration", "test")
        },
        held_out={part: sorted({row["patient"] for row in rows if row["part"] == part}) for part in scored},
    )


def _scored(row: Mapping[str, Any]) -> ScoredStudy:
    return ScoredStudy(
        name=row["case"],
        population=population_of(row["source"]),
        pair=row["patient"],
        logits=tuple(row["logits"]),
        embedding=tuple(row["embedding"]),
        labels={StrokeType(kind): int(value) for kind, value in row["labels"].items()},
        hits=tuple(row.get("hits", ())),
    )
