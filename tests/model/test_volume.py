"""A study on disk becomes a volume, or a refusal that names everything wrong with it."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSNearLossless

from model.quality import REVIEW_CODES
from model.stroke import Note, Refusal
from model.volume import UnreadableStudy, load_head_ct
from tests.model.heads import Scan, dataset, head_hu, uid, write, write_scan
from tests.model.test_headers import enhanced


def codes(notes: tuple[Note, ...]) -> set[str]:
    return {note.code for note in notes}


def refused(paths: list[Path]) -> UnreadableStudy:
    with pytest.raises(UnreadableStudy) as caught:
        load_head_ct(paths)
    assert str(caught.value)
    return caught.value


def chest_hu(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """A wide body with lungs and a spine."""
    hu = np.where((x / 160) ** 2 + (y / 110) ** 2 < 1, 40.0, -1000.0)
    for side in (-1, 1):
        hu = np.where(((x - 75 * side) / 60) ** 2 + (y / 80) ** 2 < 1, -850.0, hu)
    return np.where(x**2 + (y - 75) ** 2 < 20**2, 400.0, hu)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_scan(tmp_path_factory.mktemp("head"))


class TestLoadHeadCt:
    def test_stacks_the_slices_in_hounsfield_units(self, head: list[Path]) -> None:
        volume = load_head_ct(head)
        assert volume.hu.shape == (30, 128, 128)
        assert volume.hu.dtype == np.int16
        assert volume.spacing_mm == pytest.approx((5.0, 1.875, 1.875))
        assert volume.sop_instance_uids == tuple(uid(1, index + 1) for index in range(30))
        assert np.array_equal(volume.hu[12], np.rint(Scan().hu(12)).clip(-1024, 3071))
        assert (volume.tilt_deg, volume.age_years, volume.notes) == (0.0, 64, ())

    def test_the_order_of_the_files_does_not_matter(self, head: list[Path]) -> None:
        shuffled = random.Random(1).sample(head, len(head))
        one, other = load_head_ct(head), load_head_ct(shuffled)
        assert one.sop_instance_uids == other.sop_instance_uids
        assert np.array_equal(one.hu, other.hu)

    def test_junk_among_the_files_is_noted_and_passed_over(self, head: list[Path], tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("patient came late")
        (tmp_path / "empty").write_bytes(b"")
        (tmp_path / "cut.dcm").write_bytes(head[3].read_bytes()[:300])
        report = dataset(Scan(series=7), 0)
        report.Modality = "SR"
        del report.Rows, report.PixelData
        write(report, tmp_path / "sr.dcm")
        write_scan(tmp_path / "mr", Scan(series=8, side=32, slices=12, tags={"Modality": "MR"}))
        junk = [path for path in tmp_path.rglob("*") if path.is_file()] + [tmp_path / "gone.dcm"]
        volume = load_head_ct([*junk, *head])
        assert volume.hu.shape == (30, 128, 128)
        texts = {note.code: note.text for note in volume.notes}
        assert "4 files" in texts["unreadable_files"]
        assert "Modality is MR" in texts["series_chosen"]

    def test_tilt_comes_from_the_positions(self, tmp_path: Path) -> None:
        volume = load_head_ct(write_scan(tmp_path, Scan(tilt_deg=15, tags={"GantryDetectorTilt": "3"})))
        assert volume.tilt_deg == pytest.approx(15, abs=0.01)
        assert volume.spacing_mm[0] == pytest.approx(5.0, abs=0.001)
        assert codes(volume.notes) == {"gantry_tilt", "tilt_differs"}

    def test_identical_files_count_once(self, head: list[Path], tmp_path: Path) -> None:
        copies = [Path(shutil.copy(path, tmp_path)) for path in head[:5]]
        volume = load_head_ct([*head, *copies])
        assert len(volume.hu) == 30
        assert "5 of 35" in next(note.text for note in volume.notes if note.code == "duplicate_instances")

    def test_of_two_slices_at_one_position_the_later_is_kept(self, head: list[Path], tmp_path: Path) -> None:
        again = dataset(Scan(), 10)
        again.SOPInstanceUID, again.AcquisitionTime = uid(1, 999), "101600"
        volume = load_head_ct([write(again, tmp_path / "again.dcm"), *head])
        assert volume.sop_instance_uids[10] == uid(1, 999)
        assert codes(volume.notes) == {"duplicate_slices"}

    def test_one_missing_of_many_is_a_note(self, tmp_path: Path) -> None:
        thin = Scan(slices=60, spacing_mm=2.5)
        volume = load_head_ct(write_scan(tmp_path, thin, keep=lambda index: index != 30))
        assert {"missing_slices", "uneven_spacing"} <= codes(volume.notes)

    def test_an_enhanced_file_is_read_frame_by_frame(self, head: list[Path], tmp_path: Path) -> None:
        volume = load_head_ct([write(enhanced(Scan()), tmp_path / "enhanced.dcm")])
        assert np.array_equal(volume.hu, load_head_ct(head).hu)

    def test_images_stored_mirrored_are_judged_upright(self, tmp_path: Path) -> None:
        turned = Scan(orientation=(-1.0, 0, 0, 0, -1.0, 0))
        assert load_head_ct(write_scan(tmp_path, turned)).notes == ()

    def test_when_pixels_refuse_the_first_series_the_next_is_read(self, tmp_path: Path) -> None:
        paths = write_scan(tmp_path, Scan(series=2, slices=40, fov_mm=400, tissue=chest_hu))
        volume = load_head_ct([*paths, *write_scan(tmp_path, Scan(slices=26))])
        assert volume.series_instance_uid == uid(1)

    def test_of_two_kernels_of_unknown_name_the_quiet_one_is_read(self, tmp_path: Path) -> None:
        sharp = Scan(series=2, noise=30.0, tags={"ConvolutionKernel": "X1", "AcquisitionTime": "110000"})
        soft = Scan(tags={"ConvolutionKernel": "X2"})
        volume = load_head_ct([*write_scan(tmp_path, sharp), *write_scan(tmp_path, soft)])
        assert volume.series_instance_uid == uid(1)
        assert load_head_ct(write_scan(tmp_path / "alone", sharp)).series_instance_uid == uid(2)

    def test_a_bone_series_is_read_for_want_of_better(self, tmp_path: Path) -> None:
        volume = load_head_ct(write_scan(tmp_path, Scan(tags={"ConvolutionKernel": "H70h"})))
        assert "bone_kernel" in codes(volume.notes)

    def test_compression_with_loss_is_left_to_a_person(self, head: list[Path], tmp_path: Path) -> None:
        said = load_head_ct(write_scan(tmp_path / "said", Scan(tags={"LossyImageCompression": "01"})))
        assert "lossy_compression" in codes(said.notes) & REVIEW_CODES  # what is plain now was not once
        near = []
        for path in head:
            ds = dcmread(path)
            ds.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
            ds.LossyImageCompression = "00"  # the encoding knows better
            ds.save_as(tmp_path / path.name)
            near.append(tmp_path / path.name)
        assert "lossy_compression" in codes(load_head_ct(near).notes)
        assert "lossy_compression" not in codes(load_head_ct(head).notes)

    def test_ages_on_either_side_of_18_are_left_to_a_person(self, tmp_path: Path) -> None:
        volume = load_head_ct(write_scan(tmp_path, Scan(tags={"PatientBirthDate": "20200101"})))
        assert "age_conflict" in codes(volume.notes)


class TestRefusals:
    @pytest.mark.parametrize(
        ("tags", "refusal", "words"),
        [
            ({"PatientAge": "012Y"}, Refusal.UNDER_18, "12.0 years"),
            ({"PatientAge": "", "PatientBirthDate": "25600101"}, Refusal.UNDER_18, "9.0 years"),
            ({"Modality": "MR"}, Refusal.NOT_CT, "MR"),
            ({"ContrastBolusAgent": "Iohexol"}, Refusal.CONTRAST, "Iohexol"),
            ({"SeriesDescription": "HEAD + C"}, Refusal.CONTRAST, "+ C"),
            ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Refusal.NO_IMAGES, "screenshot"),
            ({"ImagePositionPatient": ""}, Refusal.NO_GEOMETRY, "ImagePositionPatient"),
        ],
    )
    def test_what_the_header_says(
        self, tmp_path: Path, tags: dict[str, str], refusal: Refusal, words: str
    ) -> None:
        error = refused(write_scan(tmp_path, Scan(tags=tags)))
        assert error.refusals == (refusal,)
        assert words in str(error)

    @pytest.mark.parametrize(
        ("keep", "refusal", "words"),
        [
            (lambda index: index == 12, Refusal.TOO_FEW_SLICES, "1 slices"),
            (lambda index: index % 7 != 3, Refusal.MISSING_SLICES, "4 of 30 slices are missing"),
            (lambda index: index > 14, Refusal.MISSING_SLICES, "cover"),
        ],
    )
    def test_slices_that_are_not_there(
        self, tmp_path: Path, keep: Callable[[int], bool], refusal: Refusal, words: str
    ) -> None:
        error = refused(write_scan(tmp_path, keep=keep))
        assert error.refusals == (refusal,)
        assert words in str(error)

    def test_not_one_readable_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("no image")
        error = refused([tmp_path / "a.txt"])
        assert error.refusals == (Refusal.NO_IMAGES,)
        assert codes(error.notes) == {"unreadable_files"}
        assert refused([]).refusals == (Refusal.NO_IMAGES,)

    def test_a_chest(self, tmp_path: Path) -> None:
        error = refused(write_scan(tmp_path, Scan(fov_mm=400, tissue=chest_hu)))
        assert error.refusals == (Refusal.NOT_HEAD,)

    def test_pixels_that_do_not_decode(self, tmp_path: Path) -> None:
        paths = write_scan(tmp_path)
        for path in paths:
            path.write_bytes(path.read_bytes()[:-5000])
        error = refused(paths)
        assert error.refusals == (Refusal.UNDECODABLE,)
        assert "30 of 30" in str(error)

    def test_some_pixels_that_do_not_decode(self, tmp_path: Path) -> None:
        paths = write_scan(tmp_path)
        for path in paths[10:13]:
            path.write_bytes(path.read_bytes()[:-5000])
        assert Refusal.UNDECODABLE in refused(paths).refusals

    def test_all_that_apply_are_listed(self, tmp_path: Path) -> None:
        scan = Scan(tags={"PatientAge": "009Y", "ContrastBolusAgent": "IV"})
        error = refused(write_scan(tmp_path, scan, keep=lambda index: index % 5 != 2))
        assert error.refusals == (Refusal.UNDER_18, Refusal.CONTRAST, Refusal.MISSING_SLICES)

    def test_hounsfield_units_far_off_are_implausible(self, tmp_path: Path) -> None:
        error = refused(write_scan(tmp_path, Scan(tags={"RescaleIntercept": "-900"})))
        assert error.refusals == (Refusal.IMPLAUSIBLE_HU,)

    def test_slices_of_other_sizes_are_another_stack(self, tmp_path: Path) -> None:
        mixed = [*write_scan(tmp_path), *write_scan(tmp_path / "b", Scan(side=64, slices=5))]
        # The same series and instance numbers would be the same instances; only the series is shared.
        for number, path in enumerate(mixed[30:]):
            path.write_bytes(
                path.read_bytes().replace(uid(1, number + 1).encode(), uid(3, number + 1).encode())
            )
        volume = load_head_ct(mixed)
        assert volume.hu.shape == (30, 128, 128)
        assert any("5 slices" in note.text for note in volume.notes)


def test_edits_reach_the_files(tmp_path: Path) -> None:
    def rename(ds: Dataset, index: int) -> None:
        ds.SeriesDescription = f"S{index}"

    write_scan(tmp_path, Scan(slices=2, side=16, tissue=head_hu), edit=rename)
    assert len(list(tmp_path.iterdir())) == 2
