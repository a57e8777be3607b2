"""Measure a model package on labelled studies: `python -m training.evaluate MODEL MANIFEST`.

The manifest is JSONL, a row per study: `case` (folder beside the manifest), `labels` {stroke type: 0 | 1 |
null}, optionally `real` (true for patients' studies). Also scores prepared cases for the trainer.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from model.detect import Detector
from model.engine import FloatArray, Outputs
from model.stroke import StrokeType
from model.transforms import to_model_input
from model.volume import UnreadableStudy, load_head_ct
from model.weights import BadArtefact
from training.cases import Case
from training.report import ScoredStudy, as_table, summarise

Run = Callable[[FloatArray, FloatArray], Outputs]
HIT_PIXELS = 3
"""How far beside the bleed the most suspect pixel may lie: the haematoma's edge is a guess."""


def score_case(run: Run, case: Case, population: str) -> ScoredStudy:
    """Score one prepared case."""
    outputs = run(case.hu.astype(np.float32), case.z())
    return ScoredStudy(
        name=case.card.name,
        population=population,
        pair=case.card.patient,
        logits=tuple(float(value) for value in outputs.study),
        embedding=tuple(float(value) for value in outputs.embedding),
        labels={kind: case.card.labels[kind] for kind in StrokeType if kind in case.card.labels},
        hits=tuple(hits(case, outputs)),
    )


def hits(case: Case, outputs: Outputs) -> list[bool]:
    """By slice with a visible bleed: whether the mask's peak lies in it."""
    found = []
    blood = (case.masks & 1).astype(bool)
    for index in np.flatnonzero(blood.sum(axis=(1, 2)) >= 10):
        near = ndimage.binary_dilation(blood[index], iterations=HIT_PIXELS)
        mask = outputs.masks[index, 0]
        row, column = np.unravel_index(int(np.argmax(mask)), mask.shape)
        stride = near.shape[0] // mask.shape[0]
        square = near[row * stride : (row + 1) * stride, column * stride : (column + 1) * stride]
        found.append(bool(square.any()))
    return found


def score_study(detector: Detector, folder: Path, row: dict[str, Any]) -> ScoredStudy:
    """Load, prepare and score one DICOM study.

    Raises:
        UnreadableStudy: it is refused.
    """
    volume = load_head_ct([path for path in sorted(folder.rglob("*")) if path.is_file()])
    shown = to_model_input(volume, side=detector.artefact.side, grid_mm=detector.artefact.grid_mm)
    outputs = detector.run(shown)
    labels = {StrokeType(name): int(value) for name, value in row["labels"].items() if value is not None}
    return ScoredStudy(
        name=row["case"],
        population="real" if row.get("real") else "phantom",
        pair=row["case"],
        logits=tuple(float(value) for value in outputs.study),
        embedding=tuple(float(value) for value in outputs.embedding),
        labels=labels,
    )


def evaluate(detector: Detector, manifest: Path) -> dict[str, Any]:
    """Score every study of a manifest: figures by type, and what was refused."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    studies: list[ScoredStudy] = []
    refused = []
    for row in rows:
        try:
            studies.append(score_study(detector, manifest.parent / row["case"], row))
        except UnreadableStudy as error:
            refused.append({"case": row["case"], "refusals": [str(r) for r in error.refusals]})
    return {
        "model": detector.artefact.name,
        "digest": detector.artefact.digest,
        "engine": detector.engine,
        "num_studies": len(rows),
        "refused": refused,
        "figures": summarise(studies, detector.artefact.calibrations),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write the report; exit code 0, or 2 if model or manifest cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, help="JSON report; default: beside the manifest")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    try:
        report = evaluate(Detector(options.model, threads=options.threads), options.manifest)
    except (OSError, KeyError, BadArtefact, json.JSONDecodeError) as error:
        print(f"cannot evaluate: {error}", file=sys.stderr)
        return 2
    out = options.out or options.manifest.with_name("report.json")
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(as_table(report["figures"]))
    print(f"{report['num_studies']} studies, {len(report['refused'])} refused; report in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
