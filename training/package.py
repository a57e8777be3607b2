"""Turn trained weights into a model package: export, calibrate on held-out patients, measure, seal."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model.calibration import TypeCalibration, choose_thresholds, fit_temperature, sigmoid
from model.engine import FloatArray, Outputs, candidates, open_engine
from model.network import MASKS, STROKE_TYPES, StrokeNet
from model.stroke import StrokeType
from model.weights import GoldenStudy, Usual, digest, save_golden, save_network, save_parts, seal
from training.augment import augment
from training.card import write_card
from training.cases import Case
from training.data import Split
from training.evaluate import score_case
from training.phantoms import phantom_case
from training.recipe import Recipe
from training.report import ScoredStudy, mask_hits, paired, summarise

Run = Callable[[FloatArray, FloatArray], Outputs]

GOLDEN_SEEDS = (900_001, 900_004)
"""Of simulated heads that no recipe trains on; small, since every start of a detector reads them."""
GOLDEN_SLICES = 14
LOOKS = 2
"""How often a real calibration head is scored once more with another scanner's look."""
NUM_EMBEDDED = 250
"""Training cases, about, from which the usual embeddings are learnt."""


def write_package(recipe: Recipe, net: StrokeNet, split: Split, path: Path) -> str:
    """Write and seal the package of a trained network; returns its digest."""
    save_network(path, net)
    kind = next(kind for kind in candidates("auto") if "bf16" not in kind)
    engine = open_engine(kind, path, path / "model.onnx", recipe.threads)
    held_out = calibration_scores(engine.run, split.calibration, recipe.seed)
    calibrations = {kind: calibrate(kind, held_out, recipe) for kind in StrokeType}
    usual = usual_embeddings(engine.run, split.train, held_out)
    report = measure(engine.run, split, calibrations)
    metadata = {
        "name": recipe.name,
        "version": recipe.name.rpartition("-")[2],
        "task": "triage of non-contrast head CT",
        "stroke_types": list(STROKE_TYPES),
        "masks": list(MASKS),
        "network": {
            name: getattr(recipe.network, name) for name in ("preset", "side", "grid_mm", "embedding")
        },
        "assessed": [kind for kind in StrokeType if calibrations[kind].assessed],
        "trained_on": sorted({case.card.source for case in split.train}),
        "started_from": None if recipe.start is None else [recipe.start.name, digest(recipe.start)],
        "use": "research only",
        "torch": torch.__version__,
    }
    card = write_card(recipe, split, calibrations, report)
    save_parts(path, metadata=metadata, calibrations=calibrations, usual=usual, report=report, card=card)
    save_golden(path, golden_studies(recipe, net))
    (path / "recipe.json").write_text(json.dumps(recipe.to_json(), indent=1) + "\n", encoding="utf-8")
    return seal(path)


def calibration_scores(run: Run, cases: Sequence[Case], seed: int) -> list[ScoredStudy]:
    """Score the calibration cases as they are and with other scanners' looks."""
    scored = []
    for number, case in enumerate(cases):
        scored.append(score_case(run, case, population_of(case)))
        for look in range(LOOKS if case.card.source != "phantom" else 0):
            scored.append(score_case(run, relooked(case, seed + 1000 * number + look), population_of(case)))
    return scored


def relooked(case: Case, seed: int) -> Case:
    """A case as another scanner might show it; masks do not follow."""
    generator = torch.Generator().manual_seed(seed)
    hu, _ = augment(torch.from_numpy(case.hu.astype(np.float32))[:, None], None, generator, together=True)
    return Case(case.card, np.round(hu[:, 0].numpy()).astype(np.int16), np.zeros_like(case.masks))


def population_of(case: Case) -> str:
    """Where a case belongs in a report; clean heads are the pairs of the real and of the painted ones."""
    return {"clean": "sich", "decoy": "painted"}.get(case.card.source, case.card.source)


def calibrate(kind: StrokeType, studies: Sequence[ScoredStudy], recipe: Recipe) -> TypeCalibration:
    """Temperature and thresholds of one type; from real heads alone where it is assessed on them."""
    index = STROKE_TYPES.index(kind)
    wanted = [study for study in studies if kind in study.labels]
    real = [study for study in wanted if study.population != "phantom"]
    if kind in recipe.assessed and real:
        wanted = real
    logits = np.array([study.logits[index] for study in wanted])
    labels = np.array([study.labels[kind] for study in wanted])
    num = int((labels == 1).sum()), int((labels == 0).sum())
    if min(num) < 3:
        return TypeCalibration(False, 1.0, 0.5, 0.5, *num)
    temperature = fit_temperature(logits, labels)
    probabilities = sigmoid(logits / temperature)
    clear, flag = choose_thresholds(
        probabilities[labels == 1],
        probabilities[labels == 0],
        sensitivity=recipe.sensitivity,
        specificity=recipe.specificity,
    )
    return TypeCalibration(kind in recipe.assessed, temperature, flag, clear, *num)


def usual_embeddings(run: Run, train: Sequence[Case], held_out: Sequence[ScoredStudy]) -> Usual:
    """Mean and precision over training cases; what is usual is how far held-out studies lie from them."""
    some = train[:: max(1, len(train) // NUM_EMBEDDED)]
    known = np.array([score_case(run, case, population_of(case)).embedding for case in some])
    mean = np.asarray(known.mean(axis=0), np.float64)
    precision = np.asarray(np.linalg.inv(shrunk_covariance(known)), np.float64)
    usual = Usual(mean, precision, 0.0)
    distances = [usual.distance(np.array(study.embedding)) for study in held_out]
    return Usual(mean, precision, float(np.quantile(distances, 0.99)))


def shrunk_covariance(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Covariance (E, E) of samples (n, E), shrunk towards a multiple of the identity.

    Ledoit and Wolf, J Multivariate Anal 2004;88:365.
    """
    num, size = samples.shape
    centred = samples - samples.mean(axis=0)
    plain = centred.T @ centred / num
    scale = float(np.trace(plain)) / size
    spread = float(((plain - scale * np.eye(size)) ** 2).sum())
    squares = float((((centred**2).sum(axis=1)) ** 2).sum()) / num - float((plain**2).sum())
    share = min(squares / num / spread, 1.0) if spread > 0 else 1.0
    return np.asarray((1 - share) * plain + (share * scale + 1e-9) * np.eye(size))


def measure(run: Run, split: Split, calibrations: dict[StrokeType, TypeCalibration]) -> dict[str, Any]:
    """Figures on the test patients, whom neither training nor calibration has seen."""
    studies = [score_case(run, case, population_of(case)) for case in split.test]
    clean = [score_case(run, case, "painted") for case in split.test if case.card.source == "clean"]
    return {
        "figures": summarise([*studies, *clean], calibrations),
        "paired_sich": paired(studies, "sich"),
        "mask_hits": {name: mask_hits(studies, name) for name in ("sich", "painted", "phantom")},
        "num_test_cases": len(split.test),
    }


def golden_studies(recipe: Recipe, net: StrokeNet) -> list[GoldenStudy]:
    """Two simulated studies, cut short, and what torch says of them."""
    studies = []
    for seed in GOLDEN_SEEDS:
        case = phantom_case(seed, recipe.network)
        middle = max(0, (len(case.hu) - GOLDEN_SLICES) // 2)
        part = slice(middle, middle + GOLDEN_SLICES)
        hu, z = np.clip(case.hu[part], -1024, 400).astype(np.float32), case.z()[part]
        with torch.inference_mode():
            logits = net(torch.from_numpy(hu)[None], torch.from_numpy(z)[None])[0][0]
        studies.append(GoldenStudy(f"phantom-{seed}", hu, z, tuple(float(value) for value in logits)))
    return studies
