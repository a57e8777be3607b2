"""Real studies end to end, and lesions put into real heads: `python -m training.realcheck PACKAGE --dicom
DIR`

DIR holds a folder of DICOM a study. Each is read as the hub reads it. Those named by --normal hold no
bleed: they are read again as thinner and thicker slices, and lesions of every kind are put into them, and
the same paste without blood. A few heads are a check of sanity and no performance: the number of heads is
what an interval would rest on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.detect import Detector
from model.forms import as_volume
from model.stroke import Decision, StrokeType
from model.volume import UnreadableStudy, Volume, load_head_ct
from model.weights import BadArtefact
from training.cases import Case
from training.ground import survey
from training.implant import GRID_MM, read_negative
from training.insert import insert_case, twin_case
from training.intervals import auroc, proportion
from training.judgement import plain

SLABS_MM = (1.0, 3.0, 5.0, 8.0)
KINDS = (StrokeType.IPH, StrokeType.IVH, StrokeType.SAH, StrokeType.SDH, StrokeType.EDH)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a package said of one study."""

    name: str
    probability: float | None
    """Of any haemorrhage; None where it was refused."""
    answer: str
    notes: tuple[str, ...] = ()


def ask(detector: Detector, name: str, volume: Volume) -> Answer:
    """Read a volume."""
    prediction = detector.detect(volume)
    score = next(score for score in prediction.scores if score.stroke_type == StrokeType.ANY_ICH)
    return Answer(
        name, score.probability, str(prediction.decision), tuple(note.code for note in prediction.notes)
    )


def read_studies(detector: Detector, folders: Sequence[Path]) -> tuple[list[Answer], dict[str, Volume]]:
    """Every study as the hub reads it, and the volumes of those that were not refused."""
    answers, volumes = [], {}
    for folder in folders:
        try:
            volume = load_head_ct([path for path in sorted(folder.rglob("*")) if path.is_file()])
        except UnreadableStudy as error:
            reasons = ", ".join(str(reason) for reason in error.refusals)
            answers.append(Answer(folder.name, None, f"refused: {reasons}"))
            continue
        volumes[folder.name] = volume
        answers.append(ask(detector, folder.name, volume))
    return answers, volumes


def resliced(volume: Volume, step_mm: float) -> Volume:
    """The study in slices `step_mm` apart: averages where thicker, between neighbours where thinner."""
    positions = volume.positions_mm
    own = float(np.median(np.diff(positions)))
    places = np.arange(positions[0] + step_mm / 2 - own / 2, positions[-1], step_mm)
    weights = np.clip(
        (step_mm + own) / 2 - np.abs(places[:, None] - positions[None, :]), 0, min(step_mm, own)
    )
    distances = np.abs(places[:, None] - positions[None, :])
    # where the study has a gap wider than its usual step, the nearest slice stands in
    alone = weights.sum(axis=1) == 0
    weights[alone, distances[alone].argmin(axis=1)] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    hu = np.tensordot(weights, volume.hu.astype(np.float64), axes=1)
    affine = volume.affine.copy()
    affine[:3, 0] *= step_mm / own
    nearest = np.abs(places[:, None] - positions[None, :]).argmin(axis=1)
    names = tuple(volume.sop_instance_uids[index] for index in nearest)
    rounded = np.round(hu).astype(np.int16)
    return replace(
        volume,
        hu=rounded,
        affine=affine,
        positions_mm=places,
        spacing_mm=(step_mm, *volume.spacing_mm[1:]),
        sop_instance_uids=names,
    )


def as_read(case: Case) -> Volume:
    """A case on its grid as a volume."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = case.card.spacing_mm, GRID_MM, GRID_MM, 1.0
    return as_volume(case.hu, affine, [str(number) for number in range(len(case.hu))])


def implants(case: Case, count: int) -> Iterator[tuple[str, int, Case]]:
    """Kind, label and case of lesions put into a head, each followed by the same paste without blood.

    Raises:
        ValueError: no slice of the head has a closed skull.
    """
    ground = survey(case, grid_mm=GRID_MM)
    if ground is None:
        raise ValueError(f"{case.card.name}: no slice with a closed skull to put a lesion into")
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        made = insert_case(case, ground, seed=700_000 + number, grid_mm=GRID_MM, kinds=[kind])
        if made is not None:
            yield str(kind), 1, made
        yield str(kind), 0, twin_case(case, ground, seed=700_000 + number, grid_mm=GRID_MM)


def implanted(detector: Detector, folders: Sequence[Path], count: int) -> dict[str, Any]:
    """Figures of lesions put into real heads without a bleed."""
    rows: list[tuple[str, str, int, Answer]] = []
    for folder in folders:
        for kind, label, case in implants(read_negative(folder), count):
            rows.append((folder.name, kind, label, ask(detector, case.card.name, as_read(case))))
    said = {
        label: np.array([row[3].probability for row in rows if row[2] == label], float) for label in (0, 1)
    }
    flagged = {label: [row[3].answer == Decision.FLAG for row in rows if row[2] == label] for label in (0, 1)}
    return {
        "heads": [folder.name for folder in folders],
        "num_with": len(said[1]),
        "num_without": len(said[0]),
        "auroc": plain(auroc(said[1], said[0])),
        "flagged_with": plain(proportion(sum(flagged[1]), len(flagged[1]))),
        "flagged_without": plain(proportion(sum(flagged[0]), len(flagged[0]))),
        "by_kind": {
            str(kind): plain(
                proportion(
                    sum(row[3].answer == Decision.FLAG for row in rows if row[1:3] == (kind, 1)),
                    sum(row[1:3] == (kind, 1) for row in rows),
                )
            )
            for kind in KINDS
        },
    }


def check(detector: Detector, folders: Sequence[Path], normal: Sequence[str], count: int) -> dict[str, Any]:
    """Everything of this module, as one report."""
    answers, volumes = read_studies(detector, folders)
    sliced = [
        ask(detector, f"{name}, {step:g} mm", resliced(volumes[name], step))
        for name in normal
        if name in volumes
        for step in SLABS_MM
    ]
    clean = [folder for folder in folders if folder.name in normal and folder.name in volumes]
    return {
        "model": detector.artefact.name,
        "digest": detector.artefact.digest,
        "engine": detector.engine,
        "population": "real",
        "studies": [vars_of(each) for each in answers],
        "resliced": [vars_of(each) for each in sliced],
        "implanted": implanted(detector, clean, count) if clean and count else None,
    }


def vars_of(answer: Answer) -> dict[str, Any]:
    """An answer for JSON."""
    probability = None if answer.probability is None else round(answer.probability, 4)
    return {
        "study": answer.name,
        "probability": probability,
        "answer": answer.answer,
        "notes": list(answer.notes),
    }


def as_text(report: dict[str, Any]) -> str:
    """The tables."""
    lines = [report["model"]]
    for row in [*report["studies"], *report["resliced"]]:
        said = "-" if row["probability"] is None else f"{row['probability']:.3f}"
        lines.append(f"  {row['study']:<26} {said:>6}  {row['answer']}  {' '.join(row['notes'])}")
    found = report["implanted"]
    if found:
        heads = ", ".join(found["heads"])
        lines.append(f"lesions put into {heads}: {found['num_with']}, without: {found['num_without']}")
        lines += [f"  {name}: {found[name]}" for name in ("auroc", "flagged_with", "flagged_without")]
        lines += [f"  {kind}: {figure}" for kind, figure in found["by_kind"].items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; exit code 0, 2 where the package cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m training.realcheck", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("package", type=Path)
    parser.add_argument("--dicom", type=Path, required=True)
    parser.add_argument("--normal", nargs="*", default=["normal-ct"], help="studies without a bleed")
    parser.add_argument("--n", type=int, default=20, help="lesions put into each of them")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--engine", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    try:
        detector = Detector(options.package, options.engine, threads=options.threads)
        folders = sorted(path for path in options.dicom.iterdir() if path.is_dir())
        report = check(detector, folders, options.normal, options.n)
    except (OSError, BadArtefact, ValueError) as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
