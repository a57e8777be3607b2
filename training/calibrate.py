"""Set a package's temperatures, thresholds and usual embeddings on patients that training did not see."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.calibration import TypeCalibration, choose_thresholds, fit_temperature, sigmoid
from model.engine import FloatArray, Outputs
from model.network import STROKE_TYPES
from model.stroke import StrokeType
from model.weights import Usual
from training.augment import augment
from training.cases import Case
from training.evaluate import score_case
from training.recipe import Recipe
from training.report import ScoredStudy

Run = Callable[[FloatArray, FloatArray], Outputs]

LOOKS = 2
"""How often a real calibration head is scored once more with another scanner's look."""
NUM_EMBEDDED = 250
"""Training cases, about, from which the usual embeddings are learnt."""


def calibration_scores(run: Run, cases: Sequence[Case], seed: int) -> list[ScoredStudy]:
    """Score the calibration cases as they are and with other scanners' looks."""
    scored = []
    for number, case in enumerate(cases):
        population = population_of(case.card.source)
        scored.append(score_case(run, case, population))
        for look in range(LOOKS if case.card.source != "phantom" else 0):
            scored.append(score_case(run, relooked(case, seed + 1000 * number + look), population))
    return scored


def relooked(case: Case, seed: int) -> Case:
    """A case as another scanner might show it; masks do not follow."""
    generator = torch.Generator().manual_seed(seed)
    hu, _ = augment(torch.from_numpy(case.hu.astype(np.float32))[:, None], None, generator, together=True)
    return Case(case.card, np.round(hu[:, 0].numpy()).astype(np.int16), np.zeros_like(case.masks))


def population_of(source: str) -> str:
    """Where a case belongs in a report; clean heads are the pairs of the real and of the painted ones."""
    return {"clean": "sich", "decoy": "painted", "inserted": "painted", "template": "phantom"}.get(
        source, source
    )


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


def embed_cases(run: Run, train: Sequence[Case]) -> npt.NDArray[np.float64]:
    """Embeddings (n, E) of some training cases."""
    some = train[:: max(1, len(train) // NUM_EMBEDDED)]
    return np.array([score_case(run, case, population_of(case.card.source)).embedding for case in some])


def usual_embeddings(known: npt.NDArray[np.float64], held_out: Sequence[tuple[float, ...]]) -> Usual:
    """Mean and precision over known embeddings; what is usual is how far held-out ones lie from them."""
    mean = np.asarray(known.mean(axis=0), np.float64)
    precision = np.asarray(np.linalg.inv(shrunk_covariance(known)), np.float64)
    usual = Usual(mean, precision, 0.0)
    distances = [usual.distance(np.array(embedding)) for embedding in held_out]
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
