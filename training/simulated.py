"""Judge a package on simulated studies over all strata: `python -m training.simulated PACKAGE [--n 500]`

Heads whose seeds no recipe trains on, each written as DICOM and read back as the hub does: every kind of
bleed small, usual and large, infarcts, healthy heads, and heads that hold nothing but what fools networks
(calcified choroid, falx and arteries of the old, old infarcts, motion), in all kinds of technique. The
figures prove that the software works; they are no performance. With --cache the studies are simulated once
for every package of one grid.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.calibration import decide
from model.detect import Detector
from model.engine import FloatArray
from model.phantom import Fault, Lesion, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.quality import REVIEW_CODES
from model.stroke import Decision, StrokeType
from model.transforms import ModelInput, to_model_input
from model.volume import UnreadableStudy, load_head_ct
from model.weights import BadArtefact
from training.evaluate import by_thresholds
from training.intervals import proportion
from training.judgement import ANSWERS, Reading, judge, lagging, plain
from training.report import as_table
from training.simulate import lesion_ml

FIRST_SEED = 820_000_000
"""Of heads that no recipe trains on."""
SIDE = 320
WINDOW_HU = (-28, 107)
"""Beyond every window of the network; a cached study then takes a byte a pixel."""
KINDS = {
    "bleed": ("iph", "iph", "iph+ivh", "ivh", "sah", "sah", "sdh", "sdh", "edh", "sdh+sah"),
    "ischaemia": ("acute_ischaemia", "acute_ischaemia+hyperdense_artery", "hyperdense_artery"),
}
GROUPS = (
    *("bleed", "confounders", "bleed", "healthy", "bleed"),
    *("confounders", "ischaemia", "bleed", "healthy", "confounders"),
)
"""In turn; confounders are heads that hold nothing but what fools networks."""
SIZES = (0.5, 0.75, 1.0, 1.5)


@dataclass(frozen=True, slots=True)
class Plan:
    """One study."""

    name: str
    seed: int
    group: str
    """bleed, ischaemia, healthy, or confounders: nothing but what fools networks."""
    lesions: tuple[Lesion, ...]
    age: float
    faults: tuple[Fault, ...]
    spacing_mm: float
    tilt_deg: float
    fov_mm: float
    kernel: str
    dialect: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study on a package's grid, with its truth."""

    plan: str
    hu: FloatArray
    z: FloatArray
    notes: tuple[str, ...]
    row: dict[str, Any]


def plans(count: int) -> Iterator[Plan]:
    """Studies in turn; equal counts give equal studies."""
    for index in range(count):
        rng = np.random.default_rng((20_270, index))
        group = GROUPS[index % len(GROUPS)]
        word = ""
        if group in KINDS:
            word = KINDS[group][int(rng.integers(len(KINDS[group])))]
        elif group == "confounders" and rng.random() < 0.4:
            word = "old_infarct"
        kinds = tuple(word.split("+")) if word else ()
        old = group == "confounders" or rng.random() < 0.3
        moved = group == "confounders" and rng.random() < 0.1
        size = float(rng.choice(SIZES)) if group == "bleed" else None
        yield Plan(
            name=f"{index:04d}-{'-'.join(kinds) or group}",
            seed=FIRST_SEED + index,
            group=group,
            lesions=tuple(Lesion(kind, size) for kind in kinds),
            age=float(rng.uniform(72, 92) if old else rng.uniform(18, 72)),
            faults=(Fault.MOTION,) if moved else (),
            spacing_mm=float(rng.choice([5.0, 5.0, 4.0, 3.0, 2.5])),
            tilt_deg=float(rng.choice([0.0, rng.uniform(5, 22)])),
            fov_mm=float(rng.uniform(210, 260)),
            kernel=str(rng.choice(["soft", "standard"], p=[0.7, 0.3])),
            dialect=int(rng.integers(len(DIALECTS))),
        )


def simulate(plan: Plan) -> Phantom:
    """The head of a plan."""
    return simulate_head(
        plan.seed,
        lesions=list(plan.lesions),
        side=SIDE,
        slices=round(145 / plan.spacing_mm),
        spacing_mm=plan.spacing_mm,
        tilt_deg=plan.tilt_deg,
        kernel=plan.kernel,
        faults=plan.faults,
        age=plan.age,
        fov_mm=plan.fov_mm,
    )


def prepare(plan: Plan, grids: Sequence[tuple[int, float]]) -> dict[tuple[int, float], Prepared]:
    """Simulate a study, write it, read it as the hub does, and put it on the grids; nothing where refused."""
    phantom = simulate(plan)
    with tempfile.TemporaryDirectory() as folder:
        patient = draw_patient(plan.seed, plan.age)
        paths = write_series(
            phantom, Path(folder), dialect=DIALECTS[plan.dialect], patient=patient, side=SIDE
        )
        try:
            volume = load_head_ct(paths)
        except UnreadableStudy:
            return {}
    row = {
        "case": plan.name,
        "group": plan.group,
        "labels": {str(kind): value for kind, value in phantom.labels.items()},
        "lesion_ml": lesion_ml(phantom),
        "spacing_mm": plan.spacing_mm,
        "tilt_deg": plan.tilt_deg,
        "age": plan.age,
        "kernel": plan.kernel,
        "dialect": DIALECTS[plan.dialect].name,
        "motion": int(bool(plan.faults)),
    }
    notes = tuple(note.code for note in volume.notes)
    shown = {grid: to_model_input(volume, side=grid[0], grid_mm=grid[1]) for grid in grids}
    return {grid: Prepared(plan.name, each.hu, each.z, notes, row) for grid, each in shown.items()}


def cached(plan: Plan, grids: Sequence[tuple[int, float]], cache: Path) -> dict[tuple[int, float], Prepared]:
    """As `prepare`, from the cache where it is there; None is kept of a refused study, too."""
    places = {grid: cache / f"{grid[0]}-{grid[1]:g}" / f"{plan.name}.npz" for grid in grids}
    if not all(place.exists() for place in places.values()):
        made = prepare(plan, grids)
        for grid, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            study = made.get(grid)
            if study is None:
                np.savez(place, text=np.array(""))
                continue
            text = json.dumps({"notes": study.notes, "row": study.row})
            hu = np.clip(np.round(study.hu), *WINDOW_HU).astype(np.int8)
            np.savez_compressed(place, hu=hu, z=study.z, text=np.array(text))
    found = {}
    for grid, place in places.items():
        with np.load(place, allow_pickle=False) as arrays:
            if not str(arrays["text"]):
                continue
            said = json.loads(str(arrays["text"]))
            hu = arrays["hu"].astype(np.float32)
            found[grid] = Prepared(plan.name, hu, arrays["z"], tuple(said["notes"]), said["row"])
    return found


def read(detector: Detector, study: Prepared) -> Reading:
    """What a package answers to a prepared study."""
    nowhere = np.zeros((len(study.hu), 2, 3))
    outputs = detector.run(
        ModelInput(study.hu, study.z, tuple(range(len(study.hu))), detector.artefact.grid_mm, nowhere)
    )
    calibrations, usual = detector.artefact.calibrations, detector.artefact.usual
    doubts = [code for code in study.notes if code in REVIEW_CODES]
    doubts += ["unusual_study"] if usual.distance(outputs.embedding) > usual.limit else []
    scores = decide([float(logit) for logit in outputs.study], calibrations, doubts=doubts)
    probabilities, answers = {}, {}
    for score, logit in zip(scores, outputs.study, strict=True):
        kind = score.stroke_type
        bare = calibrations[kind].probability(float(logit))
        probabilities[kind] = bare if score.probability is None else score.probability
        answers[kind] = (
            by_thresholds(bare, calibrations[kind]) if score.probability is None else score.decision
        )
    labels = {StrokeType(kind): int(value) for kind, value in study.row["labels"].items()}
    return Reading(study.plan, "phantom", study.plan, labels, probabilities, answers, study.row)


def summarise(detector: Detector, readings: Sequence[Reading], refused: int) -> dict[str, Any]:
    """Figures by type, false flags by group, misses by volume."""
    figures = judge(readings, [], detector.artefact.calibrations, prevalences=(0.05,))
    ich = StrokeType.ANY_ICH
    false = {}
    for group in ("healthy", "confounders", "ischaemia"):
        answers = [r.answers[ich] for r in readings if r.row["group"] == group and r.labels[ich] == 0]
        false[group] = {
            str(word): plain(proportion(sum(answer == word for answer in answers), len(answers)))
            for word in (Decision.FLAG, Decision.CLEAR)
        }
    return {
        "model": detector.artefact.name,
        "digest": detector.artefact.digest,
        "engine": detector.engine,
        "population": "simulated",
        "num_studies": len(readings),
        "num_refused": refused,
        "figures": figures,
        "lagging_strata": lagging(figures),
        "without_a_bleed": false,
    }


def as_text(report: dict[str, Any]) -> str:
    """The tables."""
    lines = [
        f"{report['model']}, {report['num_studies']} simulated studies, {report['num_refused']} refused\n"
    ]
    lines.append(as_table(report["figures"]))
    for group, row in report["without_a_bleed"].items():
        rates = [f"{100 * row[name]['value']:.1f} per 100 {name}" for name in ("flag", "clear") if row[name]]
        if rates:
            lines.append(f"{group} (n={row['flag']['num']}): {', '.join(rates)}")
    any_ich = next((row for row in report["figures"] if row["stroke_type"] == StrokeType.ANY_ICH), None)
    for band in any_ich["missed_by_volume"] if any_ich else ():
        words = ", ".join(f"{band[str(word)]} {word}" for word in ANSWERS)
        lines.append(f"bleeds {band['group']}: {words}, of {band['num']}")
    return "\n".join([*lines, *(f"lags: {name}" for name in report["lagging_strata"])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; exit code 0, or 2 where the package cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m training.simulated", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("package", type=Path)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--cache", type=Path, help="keep prepared studies there")
    parser.add_argument("--grids", nargs="*", default=[], help="SIDE@MM to prepare for, too, e.g. 256@0.9")
    parser.add_argument("--prepare-only", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--engine", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    try:
        detector = Detector(options.package, options.engine, threads=options.threads)
    except (OSError, BadArtefact) as error:
        print(f"cannot judge: {error}", file=sys.stderr)
        return 2
    mine = (detector.artefact.side, detector.artefact.grid_mm)
    words = [word.split("@") for word in options.grids]
    grids = list(dict.fromkeys([mine, *((int(side), float(mm)) for side, mm in words)]))
    readings, refused = [], 0
    for number, plan in enumerate(plans(options.n), start=1):
        found = cached(plan, grids, options.cache) if options.cache else prepare(plan, [mine])
        if number % 25 == 0:
            print(f"{number}/{options.n}", file=sys.stderr, flush=True)
        if options.prepare_only:
            continue
        refused += mine not in found
        if mine in found:
            readings.append(read(detector, found[mine]))
    if options.prepare_only:
        return 0
    report = summarise(detector, readings, refused)
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(report) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
