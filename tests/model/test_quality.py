"""What the pixels say of contrast, surgery, metal, motion and noise; a plain head passes without a word."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from model.quality import REVIEW_CODES, QualityReport, check_pixels
from model.stroke import Refusal
from tests.model.heads import INNER_MM, Scan, head_hu
from tests.model.test_transforms import volume_of

Array = NDArray[np.float64]
Tissue = Callable[[Array, Array, Array], Array]


def judge(tissue: Tissue = head_hu, **scan: object) -> QualityReport:
    volume = volume_of(replace(Scan(tissue=tissue), **scan))  # type: ignore[arg-type]
    return check_pixels(volume.hu, volume.spacing_mm, volume.positions_mm)


def sinus(brightness: float) -> Tissue:
    """The sagittal sinus: a cord along the inner table at the back."""

    def tissue(x: Array, y: Array, z: Array) -> Array:
        back = INNER_MM[1] * np.sqrt(np.clip(1 - (z / INNER_MM[2]) ** 2, 0, None)) - 6
        return np.where((np.abs(x) < 4) & (np.abs(y - back) < 4), brightness, head_hu(x, y, z))

    return tissue


def without_bone(width_mm: float, height_mm: float) -> Tissue:
    """A window cut out of the skull on the left side."""

    def tissue(x: Array, y: Array, z: Array) -> Array:
        hu = head_hu(x, y, z)
        cut = (x > 0) & (np.abs(y) < width_mm / 2) & (np.abs(z - 15) < height_mm / 2) & (hu > 300)
        return np.where(cut, 35.0, hu)

    return tissue


def metal(radius_mm: float) -> Tissue:
    def tissue(x: Array, y: Array, z: Array) -> Array:
        return np.where((x - 10) ** 2 + y**2 + (z - 20) ** 2 < radius_mm**2, 3071.0, head_hu(x, y, z))

    return tissue


def moved(x: Array, y: Array, z: Array) -> Array:
    """Half the turn of the gantry here, half of it 12 mm further."""
    return (head_hu(x, y, z) + head_hu(x - 12, y, z)) / 2


class TestCheckPixels:
    @pytest.mark.parametrize("side", [64, 128, 256])
    @pytest.mark.parametrize("spacing_mm", [2.5, 5.0, 7.0])
    def test_a_plain_head_passes_without_a_word(self, side: int, spacing_mm: float) -> None:
        report = judge(side=side, spacing_mm=spacing_mm, slices=int(150 / spacing_mm))
        assert (report.refusals, report.notes) == ([], [])

    @pytest.mark.parametrize("brightness", [130.0, 180.0, 250.0])
    def test_a_bright_sinus_is_contrast(self, brightness: float) -> None:
        report = judge(sinus(brightness), side=256)
        assert [refusal for refusal, _ in report.refusals] == [Refusal.CONTRAST]
        assert "below 85" in report.refusals[0][1]

    @pytest.mark.parametrize("brightness", [50.0, 62.0])
    def test_blood_in_the_sinus_is_not(self, brightness: float) -> None:
        assert judge(sinus(brightness), side=256).refusals == []

    def test_between_the_two_a_person_looks(self) -> None:
        report = judge(sinus(80.0), side=256)
        assert (report.refusals, [note.code for note in report.notes]) == ([], ["bright_sinus"])

    def test_a_bleed_is_neither_contrast_nor_metal(self) -> None:
        def bleed(x: Array, y: Array, z: Array) -> Array:
            return np.where((x + 25) ** 2 + y**2 + (z - 10) ** 2 < 30**2, 75.0, head_hu(x, y, z))

        report = judge(bleed, side=256)
        assert (report.refusals, report.notes) == ([], [])

    def test_a_large_piece_without_bone_is_surgery(self) -> None:
        report = judge(without_bone(60, 50))
        assert [refusal for refusal, _ in report.refusals] == [Refusal.POST_SURGERY]

    def test_a_small_one_is_left_to_a_person(self) -> None:
        report = judge(without_bone(18, 15))
        assert (report.refusals, [note.code for note in report.notes]) == ([], ["skull_defect"])

    def test_much_metal_inside_is_an_artefact(self) -> None:
        assert [refusal for refusal, _ in judge(metal(8)).refusals] == [Refusal.ARTEFACT]

    def test_a_little_metal_is_left_to_a_person(self) -> None:
        report = judge(metal(4), side=256)
        assert (report.refusals, [note.code for note in report.notes]) == ([], ["metal"])

    def test_a_second_outline_is_motion(self) -> None:
        report = judge(moved, side=256)
        assert "motion" in {note.code for note in report.notes}
        assert report.refusals == []

    def test_noise_is_noted(self) -> None:
        assert [note.code for note in judge(side=256, noise=25.0).notes] == ["noise"]

    @pytest.mark.parametrize(("centre_hu", "refused"), [(75.0, True), (-20.0, True)])
    def test_brain_that_cannot_be_brain_is_implausible(self, centre_hu: float, refused: bool) -> None:
        def shifted(x: Array, y: Array, z: Array) -> Array:
            hu = head_hu(x, y, z)
            return np.where((hu > 0) & (hu < 60), centre_hu, hu)

        assert [refusal for refusal, _ in judge(shifted).refusals] == [Refusal.IMPLAUSIBLE_HU] * refused

    def test_no_air_around_is_implausible(self) -> None:
        report = judge(lambda x, y, z: np.maximum(head_hu(x, y, z), 0))
        assert [refusal for refusal, _ in report.refusals] == [Refusal.IMPLAUSIBLE_HU]

    def test_a_water_phantom_is_no_head(self) -> None:
        report = judge(lambda x, y, z: np.where(x**2 + y**2 < 90**2, 0.0, -1000.0))
        assert [refusal for refusal, _ in report.refusals] == [Refusal.NOT_HEAD]

    def test_air_alone_is_no_head(self) -> None:
        report = judge(lambda x, y, z: np.full(x.shape, -1000.0))
        assert [refusal for refusal, _ in report.refusals] == [Refusal.NOT_HEAD]

    def test_a_head_without_its_top_is_noted(self) -> None:
        report = judge(slices=24, lowest_mm=-90.0)
        assert (report.refusals, [note.code for note in report.notes]) == ([], ["top_not_covered"])

    def test_half_a_head_is_missing_slices(self) -> None:
        report = judge(slices=14, lowest_mm=20.0)
        assert [refusal for refusal, _ in report.refusals] == [Refusal.MISSING_SLICES]

    def test_a_small_head_is_noted(self) -> None:
        report = judge(lambda x, y, z: head_hu(x * 1.45, y * 1.45, z * 1.1))
        assert "small_head" in {note.code for note in report.notes}


def test_notes_that_call_for_a_person_are_named() -> None:
    assert {"metal", "motion", "skull_defect"} <= REVIEW_CODES
    assert not {"gantry_tilt", "uneven_spacing", "age_unknown", "duplicate_instances"} & REVIEW_CODES
