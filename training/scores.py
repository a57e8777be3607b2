"""What the weights of a package say of patients that they were not trained on: `python -m training.scores
...`

    python -m training.scores PACKAGE CASES --out FILE    a row for each prepared case below the folder
    CASES

Half of the patients, by a hash, are for calibration and half for the test. `training.package build` reads
the rows.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.engine import candidates, open_engine
from model.stroke import StrokeType
from model.weights import Usual, load_artefact
from training.calibrate import Run, calibration_scores, embed_cases, population_of, usual_embeddings
from training.cases import Case, load_case
from training.data import Split, fold_of
from training.evaluate import score_case
from training.phantoms import phantom_case
from training.recipe import Recipe
from training.report import ScoredStudy
from training.sich import bleeding_case, clean_case, read_patients, read_study

FIRST_SEED, NUM_SIMULATED = 830_000, 60
"""Of simulated heads that stand among the known ones where only out-of-fold scores are given."""


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
    out_of_fold: bool = False
    """Whether every score comes from a network of the same recipe that had not seen the patient."""

    @property
    def words(self) -> str:
        """How the thresholds were set, for the card."""
        if self.out_of_fold:
            return "Thresholds and temperatures were set on out-of-fold predictions."
        if all(study.population == "phantom" for study in self.calibration):
            return "Thresholds were set on simulated heads that training never saw."
        return (
            "Thresholds were set on held-out patients; the counts include two further looks (another "
            "scanner, another pose) of each real head."
        )

    def usual(self) -> Usual:
        """The usual embeddings: learnt on the known studies, their limit on others of the same network."""
        if not self.out_of_fold:
            return usual_embeddings(self.embeddings, [study.embedding for study in self.calibration])
        return usual_embeddings(self.embeddings[::2], [tuple(row) for row in self.embeddings[1::2]])


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

    part (train, calibration, test) or fold, case, source, patient, labels {type: 0 | 1}, logits [K],
    embedding [E], hits [bool by bleeding slice]. With folds every row is of a network that had not seen it.
    A first row may tell how many cases there were, where only some of those trained on are in the rows:
    cases {source: count}.
    """
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    trained = rows.pop(0)["cases"] if rows and "cases" in rows[0] else None
    if rows and "part" not in rows[0]:
        studies = [_scored(row) for row in rows]
        sources = Counter(row["source"] for row in rows)
        return Scores(
            studies, studies, np.empty((0, 0)), {"train": sources, "calibration": sources}, {}, True
        )
    scored = {part: [_scored(row) for row in rows if row["part"] == part] for part in ("calibration", "test")}
    known = [row["embedding"] for row in rows if row["part"] == "train"]
    return Scores(
        calibration=scored["calibration"],
        test=scored["test"],
        embeddings=np.array(known or [study.embedding for study in scored["calibration"]]),
        sources={
            part: Counter(row["source"] for row in rows if row["part"] == part)
            for part in ("train", "calibration", "test")
        }
        | ({"train": trained} if trained else {}),
        held_out={part: sorted({row["patient"] for row in rows if row["part"] == part}) for part in scored},
    )


def embed_heads(run: Run, recipe: Recipe, sich: Path | None) -> npt.NDArray[np.float64]:
    """Embeddings (n, E) of known heads: the public ones with and without their bleed, else simulated ones."""
    cases: list[Case] = []
    shape = recipe.network
    for patient in read_patients(sich) if sich is not None else ():
        study = (
            read_study(sich, patient, side=shape.side, grid_mm=shape.grid_mm) if sich is not None else None
        )
        if study is not None:
            cases += [case for case in (bleeding_case(study), clean_case(study)) if case is not None]
    cases += [phantom_case(FIRST_SEED + number, shape) for number in range(NUM_SIMULATED)]
    return np.array([score_case(run, case, population_of(case.card.source)).embedding for case in cases])


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


def score_rows(run: Run, cards: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """A row for each prepared case, by the path of its card."""
    for path in cards:
        case = load_case(path)
        study = score_case(run, case, population_of(case.card.source))
        yield {
            "part": "calibration" if fold_of(case.card.patient, 2) == 0 else "test",
            "case": case.card.name,
            "source": case.card.source,
            "patient": case.card.patient,
            "labels": {str(kind): value for kind, value in study.labels.items()},
            "logits": list(study.logits),
            "embedding": list(study.embedding),
            "hits": list(study.hits),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the rows; exit code 0, or 2 where package or cases cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m training.scores", description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    cards = sorted(options.cases.rglob("*.json"))
    try:
        if not cards:
            raise ValueError(f"no prepared cases below {options.cases}")
        artefact = load_artefact(options.package)
        engine = open_engine(candidates(options.engine)[0], artefact.path, artefact.onnx, options.threads)
    except (OSError, ValueError) as error:
        print(f"cannot score: {error}", file=sys.stderr)
        return 2
    with options.out.open("w", encoding="utf-8") as file:
        for row in score_rows(engine.run, cards):
            file.write(json.dumps(row) + "\n")
            file.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
