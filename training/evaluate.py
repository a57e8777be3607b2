"""Measure a model package on labelled studies: `python -m training.evaluate MODEL MANIFEST [--out DIR]`.

Writes report.json, and report.html and report.th.html, which are whole in themselves. What the manifest
holds: `training.manifest`. Also scores prepared cases for the trainer.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from model.calibration import TypeCalibration
from model.detect import Detector
from model.engine import FloatArray, Outputs
from model.forms import load_study as load_any
from model.read import OpenDetector
from model.site import BadSite
from model.stroke import Decision, Prediction, Refusal, StrokeType
from model.volume import UnreadableStudy, Volume
from model.weights import BadArtefact
from training.bootstrap import RESAMPLES, SEED
from training.cases import Case
from training.gallery import Pick, inline_slices, pick_cases
from training.judgement import Reading, Refused, judge, lagging
from training.localise import locate, on_mask_grid, read_mask
from training.localise import summarise as locate_summary
from training.manifest import BadManifest, KnownStudy, read_manifest
from training.page import write_page
from training.report import POPULATIONS, ScoredStudy, as_table
from training.thai import translate

Run = Callable[[FloatArray, FloatArray], Outputs]
HIT_PIXELS = 3
"""How far beside the bleed the most suspect pixel may lie: the haematoma's edge is a guess."""
PREVALENCES = (0.02, 0.05, 0.10, 0.30)
NUM_PICKS = 4
"""Studies shown of each sort."""


RecordingDetector = OpenDetector


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


def load_study(study: KnownStudy) -> Volume:
    """Load one study, in whatever form it is.

    Raises:
        UnreadableStudy: it is refused, or cannot be read at all.
    """
    try:
        return load_any(study.folder).volume
    except UnreadableStudy:
        raise
    except ValueError as error:
        raise UnreadableStudy([Refusal.UNDECODABLE], (), str(error)) from error


def read_study(detector: RecordingDetector, study: KnownStudy) -> Reading:
    """Answer one study as the hub would.

    Raises:
        UnreadableStudy: it is refused.
    """
    probabilities, answers = answer(detector, load_study(study))
    return Reading(
        study.name, study.population, study.patient, study.labels, probabilities, answers, study.row
    )


def answer(
    detector: RecordingDetector, volume: Volume
) -> tuple[dict[StrokeType, float], dict[StrokeType, Decision]]:
    """Probability and answer of every stroke type, of those not assessed by their thresholds alone."""
    prediction = detector.detect(volume)
    calibrations = detector.artefact.calibrations
    probabilities, answers = {}, {}
    for score, logit in zip(prediction.scores, detector.last.study, strict=True):
        kind, calibration = score.stroke_type, calibrations[score.stroke_type]
        if score.probability is None:
            probabilities[kind] = calibration.probability(float(logit))
            answers[kind] = by_thresholds(probabilities[kind], calibration)
        else:
            probabilities[kind], answers[kind] = score.probability, score.decision
    return probabilities, answers


def by_thresholds(probability: float, calibration: TypeCalibration) -> Decision:
    """What the thresholds alone would answer."""
    if probability >= calibration.flag:
        return Decision.FLAG
    return Decision.REVIEW if probability >= calibration.clear else Decision.CLEAR


def read_all(
    detector: RecordingDetector, studies: Sequence[KnownStudy]
) -> tuple[list[Reading], list[Refused]]:
    """Answer every study, or keep why it was refused."""
    readings, refused = [], []
    for number, study in enumerate(studies, start=1):
        try:
            readings.append(read_study(detector, study))
        except UnreadableStudy as error:
            reasons = tuple(str(reason) for reason in error.refusals)
            refused.append(Refused(study.name, study.population, study.labels, reasons, str(error)))
        if number % 25 == 0:
            print(f"{number}/{len(studies)}", file=sys.stderr, flush=True)
    return readings, refused


def evaluate(
    detector: Detector,
    studies: Sequence[KnownStudy],
    readings: Sequence[Reading],
    refused: Sequence[Refused],
    *,
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any]:
    """The report: figures by population and type, and what was refused."""
    num = Counter(study.population for study in studies)
    figures = judge(readings, refused, detector.artefact.calibrations, prevalences=prevalences)
    reasons = Counter(reason for each in refused for reason in each.reasons)
    return {
        "model": detector.artefact.name,
        "digest": detector.artefact.digest,
        "engine": detector.engine,
        "num_studies": len(studies),
        "num_by_population": {name: num[name] for name in POPULATIONS if num[name]},
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
        "refusals": dict(reasons.most_common()),
        "refused": [
            {
                "case": each.name,
                "population": each.population,
                "refusals": list(each.reasons),
                "text": each.text,
            }
            for each in refused
        ],
        "figures": figures,
        "lagging_strata": lagging(figures),
        "masks": locate_all(detector, studies, {reading.name for reading in readings}),
        "studies": [
            {
                "case": each.name,
                "population": each.population,
                "patient": each.patient,
                "labels": {str(kind): value for kind, value in each.labels.items()},
                "probabilities": {str(kind): value for kind, value in each.probabilities.items()},
                "answers": {str(kind): str(value) for kind, value in each.answers.items()},
            }
            for each in readings
        ],
    }


def locate_all(detector: Detector, studies: Sequence[KnownStudy], read: set[str]) -> dict[str, Any] | None:
    """FROC, Dice and volume error of the real studies with a mask; None without any."""
    found = []
    for study in studies:
        if study.mask is not None and study.name in read and study.population == "real":
            volume = load_study(study)
            heat = detector.heat(volume)
            truth = on_mask_grid(read_mask(study.mask, volume), heat)
            found.append(locate(study.name, study.patient, truth, heat))
    return locate_summary(found)


def show_cases(
    detector: Detector, studies: Sequence[KnownStudy], readings: Sequence[Reading], *, count: int
) -> list[tuple[Pick, list[str]]]:
    """The studies worth looking at, with their key slices: of every population, by any haemorrhage."""
    by_name = {study.name: study for study in studies}
    shown = []
    for population in POPULATIONS:
        group = [reading for reading in readings if reading.population == population]
        for pick in pick_cases(group, StrokeType.ANY_ICH, count=count):
            volume = load_study(by_name[pick.name])
            prediction: Prediction = detector.detect(volume)
            shown.append((pick, inline_slices(volume, prediction)))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write the reports; exit code 0, or 2 if model or manifest cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the reports; default: beside the manifest")
    parser.add_argument(
        "--prevalence",
        type=share_of_studies,
        action="append",
        help="share of a site's studies with the finding, 0..1; may be given again; "
        f"default {', '.join(map(str, PREVALENCES))}",
    )
    parser.add_argument("--cases", type=int, default=NUM_PICKS, help="studies shown of each sort; 0: none")
    parser.add_argument("--site", type=Path, help="a site's thresholds over those of the package")
    parser.add_argument("--gate", action="store_true", help="exit code 1 if a stratum lags behind the whole")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    try:
        detector = RecordingDetector(options.model, threads=options.threads, site=options.site)
        studies = read_manifest(options.manifest)
    except (OSError, BadArtefact, BadManifest, BadSite) as error:
        print(f"cannot evaluate: {error}", file=sys.stderr)
        return 2
    readings, refused = read_all(detector, studies)
    prevalences = options.prevalence or PREVALENCES
    report = evaluate(detector, studies, readings, refused, prevalences=prevalences)
    page = write_page(report, show_cases(detector, studies, readings, count=options.cases))
    out = options.out or options.manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "report.html").write_text(page, encoding="utf-8")
    (out / "report.th.html").write_text(translate(page), encoding="utf-8")
    print(as_table(report["figures"]))
    print(f"{len(studies)} studies, {len(refused)} refused; reports in {out}")
    for name in report["lagging_strata"]:
        print(f"lags behind the whole: {name}")
    return int(options.gate and bool(report["lagging_strata"]))


def share_of_studies(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
