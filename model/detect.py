"""From a volume to a prediction: prepare, run the network, calibrate, decide, and point to where."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from model.calibration import decide, overall, sigmoid, with_flags
from model.engine import Engine, EngineName, FloatArray, Outputs, candidates, open_engine
from model.quality import REVIEW_CODES
from model.site import load_site
from model.stroke import Note, Prediction, SliceScore, StrokeType
from model.transforms import ModelInput, to_model_input
from model.volume import Volume
from model.weights import Artefact, BadArtefact, load_artefact

log = logging.getLogger(__name__)

GOLDEN_TOLERANCE = 1e-2
"""Largest difference of a probability on the golden studies at which an engine is trusted."""
BOX_PROBABILITY = 0.5
MIN_BOX_PIXELS = 4
"""Of the mask grid; smaller suspicions are not outlined."""


@dataclass(frozen=True, slots=True)
class Heat:
    """Where the network suspects blood."""

    probability: FloatArray
    """(slices', h, w), 0..1, on the grid of `shown` at half its resolution."""
    shown: ModelInput
    """What the network saw, with the map back to the images."""


class Detector:
    """A model package ready to read studies; one per process, not shared between threads."""

    def __init__(
        self,
        artefact_path: Path,
        engine: EngineName = "auto",
        *,
        threads: int | None = None,
        site: Path | None = None,
    ) -> None:
        """Load and prove a package.

        Args:
            artefact_path: Folder of the package.
            engine: `auto` takes the first of OpenVINO, ONNX Runtime and torch that passes the golden studies.
            threads: Of the engine; all cores by default.
            site: File of one site's thresholds, over those of the package (`model.site`).

        Raises:
            BadArtefact: files changed, or no engine reproduces the golden studies within 0.01.
            BadSite: the site's file is for another package, or makes no sense.
        """
        self.artefact: Artefact = load_artefact(artefact_path)
        if site is not None:
            thresholds = load_site(site, self.artefact.digest, self.artefact.calibrations)
            self.artefact = replace(self.artefact, calibrations=thresholds)
        self._engine, self.golden_off_by = self._prove(engine, threads or os.cpu_count() or 1)

    @property
    def engine(self) -> str:
        """The engine that passed, e.g. openvino-bf16."""
        return self._engine.name

    def detect(self, volume: Volume) -> Prediction:
        """Read one study. The same volume gives the same prediction."""
        return self.read(volume)[0]

    def read(
        self, volume: Volume, *, flags: Mapping[StrokeType, float] | None = None
    ) -> tuple[Prediction, Heat]:
        """`detect`, and where the network suspects blood, from one run.

        Args:
            volume: The study.
            flags: Flag thresholds over the package's own, as `model.calibration.with_flags` takes them.
        """
        started = time.perf_counter()
        shown = to_model_input(volume, side=self.artefact.side, grid_mm=self.artefact.grid_mm)
        prepared = time.perf_counter()
        outputs = self.run(shown)
        inferred = time.perf_counter()
        distance = self.artefact.usual.distance(outputs.embedding)
        doubts, notes = self._doubts(volume, distance)
        calibrations = with_flags(self.artefact.calibrations, flags or {})
        scores = decide([float(logit) for logit in outputs.study], calibrations, doubts=doubts)
        slices = tuple(self._slice_score(volume, shown, outputs, index) for index in range(len(shown.hu)))
        prediction = Prediction(
            model_name=self.artefact.name,
            model_digest=self.artefact.digest,
            decision=overall(scores),
            scores=scores,
            slices=slices,
            notes=(*volume.notes, *notes),
            series_instance_uid=volume.series_instance_uid,
            engine=self.engine,
            seconds={"prepare": prepared - started, "infer": inferred - prepared},
            distance=distance,
            usual_distance=self.artefact.usual.limit,
        )
        return prediction, Heat(sigmoid(outputs.masks[:, 0]).astype(np.float32), shown)

    def run(self, shown: ModelInput) -> Outputs:
        """The network's bare outputs."""
        return self._engine.run(shown.hu, shown.z)

    def heat(self, volume: Volume) -> Heat:
        """The probability of blood per pixel."""
        shown = to_model_input(volume, side=self.artefact.side, grid_mm=self.artefact.grid_mm)
        masks = self.run(shown).masks
        return Heat(sigmoid(masks[:, 0]).astype(np.float32), shown)

    def _prove(self, wanted: EngineName, threads: int) -> tuple[Engine, float]:
        """Start the first engine that passes the golden studies, which warms it up, too; and by how much."""
        kinds = candidates(wanted)
        if not kinds:
            raise BadArtefact(f"no engine to run {self.artefact.name}: {wanted} is not installed")
        golden = self.artefact.golden()
        failures = []
        for kind in kinds:
            engine = open_engine(kind, self.artefact.path, self.artefact.onnx, threads)
            worst = 0.0
            for study in golden:
                found = engine.run(study.hu, study.z).study
                worst = max(worst, float(np.abs(sigmoid(found) - sigmoid(np.array(study.logits))).max()))
            if worst <= GOLDEN_TOLERANCE:
                return engine, worst
            failures.append(f"{kind} is off by {worst:.4f}")
            log.warning(
                "Engine does not reproduce the golden studies", extra={"engine": kind, "off_by": worst}
            )
        raise BadArtefact(
            f"{self.artefact.name} does not reproduce its golden studies within {GOLDEN_TOLERANCE}: "
            + ", ".join(failures)
        )

    def _doubts(self, volume: Volume, distance: float) -> tuple[list[str], list[Note]]:
        doubts = [f"the input carries the note {n.code}" for n in volume.notes if n.code in REVIEW_CODES]
        limit = self.artefact.usual.limit
        if distance <= limit:
            return doubts, []
        text = f"its distance {distance:.1f} from the studies the model knows is beyond the usual {limit:.1f}"
        return [*doubts, text], [Note("unusual_study", f"The study looks unusual: {text}.")]

    def _slice_score(self, volume: Volume, shown: ModelInput, outputs: Outputs, index: int) -> SliceScore:
        source = shown.source[index]
        probabilities = sigmoid(outputs.slices[index])
        types = tuple(StrokeType)
        return SliceScore(
            sop_instance_uid=volume.sop_instance_uids[source],
            z_mm=float(volume.positions_mm[source]),
            probabilities={kind: float(probabilities[types.index(kind)]) for kind in self.artefact.assessed},
            box=suspect_box(sigmoid(outputs.masks[index, 0]).astype(np.float32), shown, index),
        )


def suspect_box(
    probability: FloatArray, shown: ModelInput, index: int
) -> tuple[float, float, float, float] | None:
    """The box of the largest suspected bleed of one slice in fractions of its image, if there is one."""
    suspect = probability >= BOX_PROBABILITY
    pieces, count = ndimage.label(suspect, structure=np.ones((3, 3)))
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.max() < MIN_BOX_PIXELS:
        return None
    rows, columns = ndimage.find_objects(pieces)[int(np.argmax(sizes))]
    stride = shown.hu.shape[-1] // probability.shape[-1]
    edges = [stride * value - 0.5 for value in (columns.start, rows.start, columns.stop, rows.stop)]
    return shown.box_in_image(index, *edges)
