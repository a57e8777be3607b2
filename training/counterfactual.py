"""Judge a package by matched pairs: `python -m training.counterfactual PACKAGE... --sich DIR`

Slice AUROC inside the public set proves nothing (`training.trap`). Here each annotated slice meets itself
without its bleed, so level, head, scanner and side are equal. Several packages are folds: each is judged on
the patients that it held out, and their rows are pooled.

    paired AUROC       annotated slices against their twins, interval by drawing patients
    paste AUROC        slices that never bled, with the same paste against without: 0.5 is no cue
    level AUROC        twins against other slices: 0.5 is no shortcut through the level
    mask hits          annotated slices in which a component of the mask meets the box
    false components   per slice that holds no bleed and lies beside none
    Dice               mask against the bright blob in the box, per patient over annotated slices
    infarct hits       AISD slices in which the mask's peak lies in the infarct; reported, no bar
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from model.calibration import sigmoid
from model.detect import Detector
from model.engine import FloatArray, Outputs
from model.transforms import ModelInput
from model.weights import BadArtefact
from training.bootstrap import Resamples, ranking, share
from training.data import fold_of
from training.infarcts import infarct_hits
from training.intervals import Figure
from training.judgement import plain
from training.shortcuts import Probe, probe_patient, summarise_probes
from training.sich import read_patients, read_study
from training.twins import Twins, make_twins

Bools = npt.NDArray[np.bool_]

MASK_PROBABILITY = 0.5
LEAST_MM2 = 30.0
"""Of a component of the mask."""
SENSITIVITY = 0.95
"""At which false alarms by level are counted."""
BARS = {"paired_auroc": (0.97, 1), "mask_hits": (0.90, 1), "false_components": (0.05, -1), "dice": (0.75, 1)}


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice in one of its looks."""

    patient: str
    index: int
    look: str
    """annotated, twin (without its bleed), other (never bled), pasted (other, under the same paste)."""
    score: float
    """Logit of any_ich."""
    hit: bool | None = None
    """Annotated: whether the mask meets the box."""
    components: int | None = None
    """Other: of the mask."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one or several packages said of the patients that they had not seen."""

    rows: list[SliceRow]
    dice: dict[str, float]
    probes: list[Probe]


def run(detector: Detector, hu: FloatArray, spacing_mm: float) -> Outputs:
    """A study on the network's grid, slice 0 most inferior."""
    below = (len(hu) - 1 - np.arange(len(hu))) * spacing_mm
    z = np.stack([below / 100, np.full(len(hu), spacing_mm / 10)], axis=1).astype(np.float32)
    nowhere = np.zeros((len(hu), 2, 3))
    return detector.run(
        ModelInput(hu.astype(np.float32), z, tuple(range(len(hu))), detector.artefact.grid_mm, nowhere)
    )


def judge_patient(detector: Detector, twins: Twins) -> tuple[list[SliceRow], float | None]:
    """Rows of one patient, and the Dice over its annotated slices; None without a visible haematoma."""
    study = twins.study
    whole = run(detector, study.hu, study.spacing_mm)
    without = run(detector, twins.without, study.spacing_mm)
    probability = sigmoid(whole.masks[:, 0])
    stride = study.hu.shape[1] // probability.shape[1]
    pixel_mm2 = (stride * study.grid_mm) ** 2
    rows = []
    for number in twins.annotated:
        pieces = components(probability[number], pixel_mm2)
        left, top, right, bottom = (round(edge / stride) for edge in study.boxes[number])
        hit = bool((pieces[max(top, 0) : bottom + 1, max(left, 0) : right + 1] > 0).any())
        rows.append(SliceRow(study.patient, number, "annotated", float(whole.slices[number, 0]), hit=hit))
        rows.append(SliceRow(study.patient, number, "twin", float(without.slices[number, 0])))
    for number in twins.other:
        count = int(components(probability[number], pixel_mm2).max())
        score = float(whole.slices[number, 0])
        rows.append(SliceRow(study.patient, number, "other", score, components=count))
        rows.append(SliceRow(study.patient, number, "pasted", float(without.slices[number, 0])))
    return rows, dice(probability, study.haematoma, twins.annotated, stride)


def components(probability: npt.NDArray[np.float64], pixel_mm2: float) -> npt.NDArray[np.int64]:
    """Numbered components of a slice's mask that are large enough; 0 elsewhere."""
    pieces, count = ndimage.label(probability >= MASK_PROBABILITY, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=count + 1) * pixel_mm2
    areas[0] = 0.0
    numbers = np.cumsum(areas >= LEAST_MM2) * (areas >= LEAST_MM2)
    return np.asarray(numbers[pieces], np.int64)


def dice(
    probability: npt.NDArray[np.float64], haematoma: Bools, annotated: Sequence[int], stride: int
) -> float | None:
    """Dice of mask and haematoma over the annotated slices, on the grid of the mask."""
    slices = list(annotated)
    shape = (len(slices), probability.shape[1], stride, probability.shape[2], stride)
    truth = haematoma[slices].reshape(shape).mean(axis=(2, 4)) > 0.5
    said = probability[slices] >= MASK_PROBABILITY
    if not truth.any():
        return None
    return float(2 * (truth & said).sum() / (truth.sum() + said.sum()))


def summarise(found: Findings) -> dict[str, Any]:
    """Every figure, intervals by drawing patients."""
    by_look = {
        look: [row for row in found.rows if row.look == look]
        for look in ("annotated", "twin", "other", "pasted")
    }
    flag = float(np.quantile([row.score for row in by_look["annotated"]], 1 - SENSITIVITY, method="lower"))
    hits = by_look["annotated"]
    other = by_look["other"]
    per_slice = Resamples([row.patient for row in other])
    counts = np.array([row.components or 0 for row in other], np.float64)
    patients = sorted(found.dice)
    values = np.array([found.dice[patient] for patient in patients])
    return {
        "num_patients": len({row.patient for row in found.rows}),
        "num_annotated": len(hits),
        "num_other": len(other),
        "paired_auroc": plain(contrast(by_look["annotated"], by_look["twin"])),
        "paste_auroc": plain(contrast(by_look["pasted"], other)),
        "level_auroc": plain(contrast(by_look["twin"], other)),
        "mask_hits": plain(
            Resamples([row.patient for row in hits]).figure(
                share([bool(row.hit) for row in hits], [1] * len(hits))
            )
        ),
        "false_components": plain(per_slice.figure(lambda weights: float(weights @ counts / weights.sum()))),
        "dice": plain(Resamples(patients).figure(lambda weights: float(weights @ values / weights.sum()))),
        "median_dice": round(float(np.median(values)), 4),
        "flagged_at_95_sensitivity": {
            look: round(float(np.mean([row.score >= flag for row in rows])), 4)
            for look, rows in by_look.items()
        },
        "shortcuts": summarise_probes(found.probes),
    }


def contrast(positive: Sequence[SliceRow], negative: Sequence[SliceRow]) -> Figure | None:
    """AUROC of two sets of slices, with an interval by drawing patients."""
    rows = [*positive, *negative]
    labels = [1] * len(positive) + [0] * len(negative)
    return Resamples([row.patient for row in rows]).figure(ranking([row.score for row in rows], labels))


def unseen_patients(detector: Detector, folder: Path, *, fold: str | None, everyone: bool) -> list[str]:
    """Patients of the set that the package did not train on.

    Raises:
        ValueError: the package does not say whom it held out.
    """
    patients = read_patients(folder)
    if everyone:
        return patients
    if fold is not None:
        number, folds = (int(word) for word in fold.split("/"))
        return [patient for patient in patients if fold_of(f"sich-{patient}", folds) == number]
    if "sich" not in detector.artefact.metadata.get("trained_on", ()):
        return patients
    parts = detector.artefact.metadata.get("held_out", {})
    known = {name for names in parts.values() for name in names}
    if not known:
        raise ValueError(
            f"{detector.artefact.name} does not say which patients it held out: give --fold or --everyone"
        )
    return [patient for patient in patients if f"sich-{patient}" in known]


def as_text(report: dict[str, Any]) -> str:
    """The table."""
    lines = ["{num_patients} patients, {num_annotated} annotated slices, {num_other} others".format(**report)]
    for name in ("paired_auroc", "paste_auroc", "level_auroc", "mask_hits", "false_components", "dice"):
        figure, (bar, way) = report[name], BARS.get(name, (None, 0))
        words = "-" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
        verdict = (
            ""
            if bar is None or figure is None
            else f"  bar {bar}: {'holds' if way * (figure['value'] - bar) >= 0 else 'MISSED'}"
        )
        lines.append(f"{name:<18} {words}{verdict}")
    lines.append(
        "flagged at 95 % sensitivity: "
        + ", ".join(f"{k} {v:.3f}" for k, v in report["flagged_at_95_sensitivity"].items())
    )
    lines += [f"{name:<18} {value}" for name, value in report["shortcuts"].items()]
    if "infarct" in report:
        lines.append(f"infarct           {report['infarct']}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 0, 1 if a bar is missed, 2 if something cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m training.counterfactual",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("packages", type=Path, nargs="+", metavar="PACKAGE")
    parser.add_argument("--sich", type=Path, required=True)
    parser.add_argument(
        "--infarct", type=Path, help="folder of the AISD slices; default: beside sich, if there"
    )
    parser.add_argument(
        "--fold", action="append", help="K/N, one for each package: judge on that fold's patients"
    )
    parser.add_argument("--everyone", action="store_true", help="patients that it trained on, too")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first patients of those")
    parser.add_argument("--most", type=int, help="no more patients than this")
    parser.add_argument(
        "--no-shortcuts", action="store_true", help="leave out the audit, which takes longest"
    )
    parser.add_argument("--json", type=Path, help="write figures and rows there")
    parser.add_argument("--engine", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    infarct = options.infarct or options.sich.parent / "infarct"
    found = Findings([], {}, [])
    try:
        for number, package in enumerate(options.packages):
            detector = Detector(package, options.engine, threads=options.threads)
            fold = options.fold[number] if options.fold else None
            patients = unseen_patients(detector, options.sich, fold=fold, everyone=options.everyone)
            chosen = patients[options.skip :][: options.most]
            collect(detector, options.sich, chosen, found, audit=not options.no_shortcuts)
        report = summarise(found)
        report["packages"] = [package.name for package in options.packages]
        if (infarct / "masks").is_dir():
            report["infarct"] = infarct_hits(detector, infarct, run)
    except (OSError, BadArtefact, ValueError) as error:
        print(f"cannot judge: {error}", file=sys.stderr)
        return 2
    print(as_text(report))
    if options.json:
        options.json.write_text(
            json.dumps({**report, "rows": [asdict(row) for row in found.rows]}) + "\n", encoding="utf-8"
        )
    return int(
        any(
            report[name] is None or way * (report[name]["value"] - bar) < 0
            for name, (bar, way) in BARS.items()
        )
    )


def collect(
    detector: Detector, folder: Path, patients: Sequence[str], found: Findings, *, audit: bool
) -> None:
    """Judge patients one after the other."""
    for number, patient in enumerate(patients, start=1):
        study = read_study(folder, patient, side=detector.artefact.side, grid_mm=detector.artefact.grid_mm)
        if not study.boxes:
            continue
        twins = make_twins(study)
        rows, overlap = judge_patient(detector, twins)
        found.rows.extend(rows)
        if overlap is not None:
            found.dice[patient] = overlap
        if audit:
            found.probes.extend(probe_patient(detector, twins, run))
        if number % 10 == 0:
            print(f"{number}/{len(patients)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
