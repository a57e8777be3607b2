"""The shipped detector: deterministic, honest about what it does not know, right on three real studies."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.detect import Detector, suspect_box
from model.engine import EngineName
from model.phantom import simulate_head
from model.stroke import Decision, Note, Prediction, StrokeType
from model.transforms import to_model_input
from model.volume import Volume, load_head_ct
from model.weights import SHIPPED, Usual

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("HUB_TEST_DATA", ROOT.parent / "shared" / "data")) / "dicom"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(SHIPPED, threads=1)


def make_volume(seed: int = 5, lesions: Sequence[str] = ()) -> Volume:
    phantom = simulate_head(seed, lesions=lesions, side=192, slices=14, spacing_mm=10.0, fov_mm=230.0)
    spacing, row, column = phantom.spacing_mm
    count = len(phantom.hu)
    affine = np.array(
        [[0, 0, column, -115], [0, row, 0, -115], [spacing, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64
    )
    return Volume(
        hu=phantom.hu,
        spacing_mm=phantom.spacing_mm,
        affine=affine,
        sop_instance_uids=tuple(f"1.2.{index}" for index in range(count)),
        positions_mm=np.arange(count) * spacing,
        tilt_deg=0.0,
        series_instance_uid="1.2",
        study_instance_uid="1",
        age_years=60.0,
        notes=(),
    )


@pytest.fixture(scope="module")
def plain() -> Volume:
    """A head without a lesion."""
    return make_volume()


@pytest.fixture(scope="module")
def prediction(detector: Detector, plain: Volume) -> Prediction:
    return detector.detect(plain)


class TestDetect:
    def test_the_same_volume_gives_the_same_prediction(self, detector: Detector) -> None:
        volume = make_volume(lesions=["iph"])
        first, second = detector.detect(volume), detector.detect(volume)
        assert first.scores == second.scores
        assert first.slices == second.slices

    def test_every_type_is_answered_or_named_as_not_assessed(
        self, detector: Detector, prediction: Prediction
    ) -> None:
        assert [score.stroke_type for score in prediction.scores] == list(StrokeType)
        for score in prediction.scores:
            proven = score.stroke_type in detector.artefact.assessed
            assert (score.probability is not None) == proven
            assert (score.decision is Decision.NOT_ASSESSED) != proven
            assert score.reason

    def test_it_tells_how_far_the_study_lies_from_those_it_knows(
        self, detector: Detector, prediction: Prediction
    ) -> None:
        assert prediction.usual_distance == detector.artefact.usual.limit
        assert prediction.distance is not None
        unusual = any(note.code == "unusual_study" for note in prediction.notes)
        assert unusual == (prediction.distance > prediction.usual_distance)

    def test_it_names_the_model_and_the_engine(self, detector: Detector, prediction: Prediction) -> None:
        assert prediction.model_digest == detector.artefact.digest
        assert prediction.engine == detector.engine
        assert set(prediction.seconds) == {"prepare", "infer"}

    def test_slices_carry_the_uids_of_the_volume(
        self, detector: Detector, plain: Volume, prediction: Prediction
    ) -> None:
        slices = prediction.slices
        assert [score.sop_instance_uid for score in slices] == list(plain.sop_instance_uids)
        assert [score.z_mm for score in slices] == plain.positions_mm.tolist()
        assert set(slices[0].probabilities) == set(detector.artefact.assessed)

    def test_a_doubtful_input_is_never_cleared(self, detector: Detector, plain: Volume) -> None:
        noted = detector.detect(replace(plain, notes=(Note("motion", "The head moved."),)))
        assert Decision.CLEAR not in {score.decision for score in noted.scores}

    def test_an_unusual_study_is_never_cleared_and_keeps_its_flag(
        self, detector: Detector, plain: Volume, prediction: Prediction
    ) -> None:
        artefact = detector.artefact
        usual = artefact.usual
        detector.artefact = replace(artefact, usual=Usual(usual.mean, usual.precision, 0.0))
        try:
            after = detector.detect(plain)
        finally:
            detector.artefact = artefact
        assert "unusual_study" in {note.code for note in after.notes}
        for one, other in zip(prediction.scores, after.scores, strict=True):
            assert other.decision is not Decision.CLEAR
            assert (one.decision is Decision.FLAG) == (other.decision is Decision.FLAG)

    def test_heat_lies_on_the_grid_of_what_was_shown(self, detector: Detector) -> None:
        heat = detector.heat(make_volume(lesions=["iph"]))
        assert heat.probability.shape[0] == heat.shown.hu.shape[0]
        assert heat.probability.shape[1] * 2 == heat.shown.hu.shape[1]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_every_engine_reproduces_the_shipped_golden_studies(engine: EngineName) -> None:
    pytest.importorskip(engine)
    assert Detector(SHIPPED, engine, threads=1).engine.startswith(engine)


def test_a_box_surrounds_the_largest_suspicion(plain: Volume) -> None:
    shown = to_model_input(plain, side=160, grid_mm=1.4)
    probability = np.zeros((80, 80), np.float32)
    probability[30:40, 20:25] = 0.9
    probability[60, 60] = 0.9
    box = suspect_box(probability, shown, 10)
    assert box is not None
    assert box == pytest.approx(shown.box_in_image(10, 39.5, 59.5, 49.5, 79.5))
    assert suspect_box(np.zeros((80, 80), np.float32), shown, 10) is None


def test_openvino_needs_neither_torch_nor_monai() -> None:
    code = (
        "import sys\n"
        "from model.detect import Detector\n"
        "from model.weights import SHIPPED\n"
        "detector = Detector(SHIPPED, 'openvino', threads=1)\n"
        "assert detector.engine.startswith('openvino')\n"
        "assert not {'torch', 'monai'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def read_real(detector: Detector, name: str) -> Prediction:
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder}: set HUB_TEST_DATA")
    return detector.detect(load_head_ct(sorted(folder.iterdir())))


class TestRealStudies:
    """Sanity checks on three public studies; thresholds were not chosen by them."""

    def test_a_large_right_sided_bleed_is_flagged_on_its_side(self, detector: Detector) -> None:
        prediction = read_real(detector, "haemorrhage-ct")
        assert prediction.decision is Decision.FLAG
        assert prediction.scores[0].decision is Decision.FLAG
        boxes = [score.box for score in prediction.slices if score.box is not None]
        assert len(boxes) >= 3
        left, top, right, bottom = max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
        assert (left + right) / 2 < 0.5  # the patient's right is on the left of the image
        assert 0.1 < (top + bottom) / 2 < 0.9

    def test_a_normal_head_is_not_flagged(self, detector: Detector) -> None:
        assert read_real(detector, "normal-ct").decision in (Decision.CLEAR, Decision.REVIEW)

    def test_a_head_without_bleed_is_not_flagged_for_one(self, detector: Detector) -> None:
        prediction = read_real(detector, "infarct-ct")
        assert prediction.scores[0].decision in (Decision.CLEAR, Decision.REVIEW)
