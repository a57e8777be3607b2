"""Pictures show the right slices, upright, outlined, and small enough for a phone."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from model.picture import MOST_BYTES, OUTLINE, key_slices, slice_picture
from model.stroke import Decision, Prediction, Score, SliceScore, StrokeType
from model.volume import Volume
from tests.model.heads import Scan
from tests.model.test_transforms import rod_hu, volume_of

BOX = (0.2, 0.3, 0.4, 0.45)


def prediction(
    volume: Volume, probabilities: Sequence[float], decision: Decision = Decision.FLAG
) -> Prediction:
    slices = tuple(
        SliceScore(
            uid, float(z), {StrokeType.IPH: p, StrokeType.OLD_INFARCT: 1 - p}, BOX if p > 0.5 else None
        )
        for uid, z, p in zip(volume.sop_instance_uids, volume.positions_mm, probabilities, strict=True)
    )
    score = Score(StrokeType.IPH, max(probabilities), 0.5, decision, "")
    return Prediction("m", "0", decision, (score,), slices, (), "1", "torch", {})


@pytest.fixture(scope="module")
def volume() -> Volume:
    return volume_of(Scan(side=256, tissue=rod_hu))


def pixels(webp: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(webp))
    assert image.format == "WEBP"
    return np.asarray(image.convert("RGB")).astype(int)


def outlined(shown: np.ndarray) -> np.ndarray:
    near = np.abs(shown - OUTLINE).sum(axis=2) < 120
    near[shown.shape[0] * 9 // 10 :] = False
    return np.argwhere(near)


class TestKeySlices:
    def test_shows_the_slices_with_most_evidence_in_order(self, volume: Volume) -> None:
        bump = [0.9 - 0.1 * abs(index - 20) if abs(index - 20) < 9 else 0.01 for index in range(30)]
        shown = key_slices(volume, prediction(volume, bump))
        assert [index for index, _ in shown] == [18, 20, 22]
        assert all(len(webp) < MOST_BYTES for _, webp in shown)

    def test_without_a_flag_any_evidence_counts(self, volume: Volume) -> None:
        low = [0.01 if index == 7 else 0.3 for index in range(30)]
        shown = key_slices(volume, prediction(volume, low, Decision.CLEAR), count=1)
        assert [index for index, _ in shown] == [7]

    def test_outlines_the_suspected_bleed(self, volume: Volume) -> None:
        ((_, webp),) = key_slices(volume, prediction(volume, [0.9] * 30), count=1)
        shown = pixels(webp)
        ends = outlined(shown)
        top, left = ends.min(axis=0) / shown.shape[:2]
        bottom, right = ends.max(axis=0) / shown.shape[:2]
        assert (left, top, right, bottom) == pytest.approx(BOX, abs=0.03)

    def test_a_mirrored_image_and_its_box_are_turned_together(self) -> None:
        turned = volume_of(Scan(side=256, tissue=rod_hu, orientation=(-1.0, 0, 0, 0, 1.0, 0)))
        ((_, webp),) = key_slices(turned, prediction(turned, [0.9] * 30), count=1)
        shown = pixels(webp)
        _, left = outlined(shown).min(axis=0) / shown.shape[:2]
        assert left == pytest.approx(1 - BOX[2], abs=0.03)

    def test_fewer_slices_than_asked_are_all_shown_once(self, volume: Volume) -> None:
        few = prediction(volume, [0.9] * 30)
        few = Prediction("m", "0", few.decision, few.scores, few.slices[:2], (), "1", "torch", {})
        assert [index for index, _ in key_slices(volume, few, count=5)] == [0, 1]

    def test_a_prediction_without_slices_shows_the_middle(self, volume: Volume) -> None:
        none = Prediction("m", "0", Decision.REVIEW, (), (), (), "1", "torch", {})
        assert [index for index, _ in key_slices(volume, none)] == [15]


class TestSlicePicture:
    def test_the_left_of_the_patient_is_on_the_right(self, volume: Volume) -> None:
        shown = pixels(slice_picture(volume, 15, 1500, 1000))[:, :, 0]
        rod = np.argwhere(shown[:, 20:-20] > 200)
        rod = rod[(rod[:, 0] > 150) & (rod[:, 0] < 220)]
        assert len(rod)

    def test_pixels_that_are_not_square_are_stretched(self) -> None:
        volume = volume_of(Scan(side=64, slices=12))
        wide = Volume(
            hu=volume.hu[:, :32],
            spacing_mm=(5.0, 7.5, 3.75),
            affine=volume.affine,
            sop_instance_uids=volume.sop_instance_uids,
            positions_mm=volume.positions_mm,
            tilt_deg=0,
            series_instance_uid="1",
            study_instance_uid="1",
            age_years=None,
            notes=(),
        )
        assert pixels(slice_picture(wide, 3)).shape == (64, 64, 3)

    def test_noise_still_fits_the_limit(self) -> None:
        noisy = volume_of(Scan(side=512, slices=12, noise=300.0))
        assert len(slice_picture(noisy, 5)) < MOST_BYTES
