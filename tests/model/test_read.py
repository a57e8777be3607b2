"""One head in every form it may come in: the network says the same of it."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model import eightbit
from model.forms import Wanted, as_volume, form_of, load_study
from model.nifti import BadNifti, read_nifti, to_hounsfield
from model.phantom import Lesion, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.read import OpenDetector, main, read, recognise
from model.weights import SHIPPED

MOST = 0.05
"""Largest difference of a probability between two forms of one head."""


@pytest.fixture(scope="module")
def detector() -> OpenDetector:
    return OpenDetector(SHIPPED, threads=1)


@pytest.fixture(scope="module")
def bleeding() -> Phantom:
    """Slices of 10 mm: half as many to read as of the usual 5 mm."""
    return simulate_head(5, lesions=[Lesion("iph", 1.6)], side=256, slices=14, spacing_mm=10.0, fov_mm=230.0)


@pytest.fixture(scope="module")
def usual(detector: OpenDetector, bleeding: Phantom, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Probability of a bleed in the head as DICOM."""
    folder = tmp_path_factory.mktemp("dicom")
    write_series(bleeding, folder, dialect=DIALECTS[0], patient=draw_patient(5, 60.0), side=256)
    row = read(detector, folder)
    assert row["form"] == "dicom"
    return float(row["probabilities"]["any_ich"])


def affine_of(phantom: Phantom) -> NDArray[np.float64]:
    """(column, row, slice) to RAS mm, as NIfTI has it."""
    spacing, row, column = phantom.spacing_mm
    return np.diag([-column, -row, spacing, 1.0])


def save_nifti(path: Path, values: NDArray[np.generic], affine: NDArray[np.float64]) -> Path:
    """Write slices (slice, row, column)."""
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), path)
    return path


def save_pictures(folder: Path, grey: NDArray[np.uint8], *, side: int | None = None) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(grey):
        picture = Image.fromarray(image)
        if side:
            picture = picture.resize((side, side), Image.Resampling.BILINEAR)
        picture.save(folder / f"slice{number}.png")
    return folder


class TestForms:
    def test_nifti_reads_like_dicom(
        self, detector: OpenDetector, bleeding: Phantom, usual: float, tmp_path: Path
    ) -> None:
        row = read(detector, save_nifti(tmp_path / "a.nii.gz", bleeding.hu, affine_of(bleeding)))
        assert row["form"] == "nifti"
        assert row["probabilities"]["any_ich"] == pytest.approx(usual, abs=MOST)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_nifti_stored_the_other_way_round_reads_alike(
        self, detector: OpenDetector, bleeding: Phantom, usual: float, tmp_path: Path, axis: int
    ) -> None:
        affine = affine_of(bleeding)
        in_file = 2 - axis  # the file's order is column, row, slice
        affine[:3, 3] += affine[:3, in_file] * (bleeding.hu.shape[axis] - 1)
        affine[:3, in_file] *= -1
        path = save_nifti(tmp_path / "a.nii", np.flip(bleeding.hu, axis), affine)
        assert read(detector, path)["probabilities"]["any_ich"] == pytest.approx(usual, abs=MOST)

    def test_nifti_with_axes_in_another_order_reads_alike(
        self, detector: OpenDetector, bleeding: Phantom, usual: float, tmp_path: Path
    ) -> None:
        affine = affine_of(bleeding)[:, [2, 0, 1, 3]]
        path = tmp_path / "a.nii"
        nibabel.save(nibabel.Nifti1Image(bleeding.hu.transpose(0, 2, 1), affine), path)
        assert read(detector, path)["probabilities"]["any_ich"] == pytest.approx(usual, abs=MOST)

    @pytest.mark.parametrize("window", eightbit.WINDOWS[:3])
    @pytest.mark.parametrize("side", [None, 384])
    def test_pictures_of_a_known_window_read_like_dicom(
        self,
        detector: OpenDetector,
        bleeding: Phantom,
        usual: float,
        tmp_path: Path,
        window: eightbit.Window,
        side: int | None,
    ) -> None:
        folder = save_pictures(tmp_path / "p", eightbit.as_bytes(bleeding.hu, window), side=side)
        row = read(detector, folder, Wanted(window=window))
        assert row["form"] == "pictures"
        assert row["probabilities"]["any_ich"] == pytest.approx(usual, abs=MOST)

    def test_eight_bit_nifti_is_taken_for_pictures_with_a_pixel_size(
        self, detector: OpenDetector, bleeding: Phantom, usual: float, tmp_path: Path
    ) -> None:
        grey = eightbit.as_bytes(bleeding.hu, (-20.0, 100.0))
        row = read(detector, save_nifti(tmp_path / "a.nii", grey, affine_of(bleeding)))
        assert row["window"] == (-20.0, 100.0)
        assert row["pixel_mm"] == pytest.approx(bleeding.spacing_mm[1], abs=1e-3)
        assert row["probabilities"]["any_ich"] == pytest.approx(usual, abs=MOST)

    def test_the_top_may_come_first(
        self, detector: OpenDetector, bleeding: Phantom, usual: float, tmp_path: Path
    ) -> None:
        grey = eightbit.as_bytes(bleeding.hu[::-1], (-20.0, 100.0))
        row = read(detector, save_pictures(tmp_path / "p", grey))
        assert "order_reversed" in [note["code"] for note in row["notes"]]
        names = [slice_row["name"] for slice_row in row["slices"]]
        assert int(names[0][5:-4]) > int(names[-1][5:-4])
        assert row["probabilities"]["any_ich"] == pytest.approx(usual, abs=MOST)

    def test_a_forgotten_intercept_and_a_cut_out_background_are_mended(self, bleeding: Phantom) -> None:
        hu, notes = to_hounsfield(bleeding.hu.astype(np.int32) + 1024)
        assert [note.code for note in notes] == ["offset_removed"]
        assert np.array_equal(hu, np.clip(bleeding.hu, -1024, 3071))
        stripped = np.where(bleeding.hu > -300, bleeding.hu, 0)
        hu, notes = to_hounsfield(stripped)
        assert [note.code for note in notes] == ["background_filled"]
        assert hu[0, 0, 0] == -1024


class TestRecognition:
    @pytest.mark.parametrize("seed", [11, 12, 13])
    def test_size_of_pixels_is_within_a_seventh(self, seed: int) -> None:
        phantom = simulate_head(seed, lesions=(), side=256, slices=28, fov_mm=240.0)
        pictures = eightbit.look_at(eightbit.as_bytes(phantom.hu, (-20.0, 100.0)))
        assert eightbit.estimate_pixel_mm(pictures) == pytest.approx(phantom.spacing_mm[1], rel=0.15)

    @pytest.mark.parametrize("window", [(-20.0, 100.0), (0.0, 80.0)])
    def test_window_of_a_set_is_recognised(self, tmp_path: Path, window: eightbit.Window) -> None:
        folders = [
            save_pictures(
                tmp_path / str(seed),
                eightbit.as_bytes(simulate_head(seed, lesions=(), side=256, slices=24).hu, window),
            )
            for seed in (21, 22, 23)
        ]
        assert set(recognise(folders).values()) == {window}

    def test_pictures_are_in_the_order_of_their_numbers(self, bleeding: Phantom, tmp_path: Path) -> None:
        folder = save_pictures(tmp_path / "p", eightbit.as_bytes(bleeding.hu, (-20.0, 100.0)))
        names = load_study(folder).volume.sop_instance_uids
        assert len(names) >= 12  # a blank one at either end is left out
        first = int(names[0][5:-4])
        assert names == tuple(f"slice{first + number}.png" for number in range(len(names)))

    def test_pictures_of_another_size_are_left_out(self, bleeding: Phantom, tmp_path: Path) -> None:
        folder = save_pictures(tmp_path / "p", eightbit.as_bytes(bleeding.hu, (-20.0, 100.0)))
        before = len(load_study(folder).volume.hu)
        Image.new("L", (99, 50)).save(folder / "scout.png")
        study = load_study(folder)
        assert len(study.volume.hu) == before
        assert "other_sizes" in [note.code for note in study.volume.notes]


class TestBadInput:
    def test_a_folder_without_a_head_is_refused_with_its_reason(
        self, detector: OpenDetector, tmp_path: Path
    ) -> None:
        row = read(detector, save_pictures(tmp_path / "p", np.zeros((12, 128, 128), np.uint8)))
        assert (row["decision"], row["answer"]) == ("refused", None)
        assert "none of the 12 pictures shows a head" in row["text"]

    def test_what_is_no_picture_is_named(self, detector: OpenDetector, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "1.png").write_bytes(b"no picture")
        assert "1.png" in read(detector, tmp_path / "p")["text"]

    def test_a_cut_off_nifti_is_named(self, bleeding: Phantom, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii.gz", bleeding.hu[:4], affine_of(bleeding))
        whole = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(whole[: len(whole) // 2]))
        with pytest.raises(BadNifti, match=r"a\.nii\.gz is not readable"):
            read_nifti(path)

    def test_coronal_slices_are_not_axial(self, tmp_path: Path) -> None:
        nibabel.save(
            nibabel.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.diag([0.5, 5.0, 0.5, 1])),
            tmp_path / "a.nii",
        )
        with pytest.raises(BadNifti, match="not axial"):
            read_nifti(tmp_path / "a.nii")

    def test_what_the_hub_would_refuse_is_answered_and_said(
        self, detector: OpenDetector, bleeding: Phantom, tmp_path: Path
    ) -> None:
        # slices from the middle: too little of the head for the hub
        spacing, row_mm, column = bleeding.spacing_mm
        path = save_nifti(tmp_path / "a.nii", bleeding.hu[6:9], np.diag([-column, -row_mm, spacing, 1.0]))
        row = read(detector, path)
        assert row["decision"] == "refused"
        assert row["refusals"] != []
        assert row["answer"] in ("flag", "review", "clear")


def test_tilt_of_a_sheared_affine_is_told(bleeding: Phantom) -> None:
    affine = np.zeros((4, 4))
    affine[:3, 0] = (0.0, -5 * np.sin(np.radians(15)), 5 * np.cos(np.radians(15)))
    affine[1, 1], affine[0, 2], affine[3, 3] = 0.9, 0.9, 1.0
    volume = as_volume(bleeding.hu, affine, [str(number) for number in range(len(bleeding.hu))])
    assert abs(volume.tilt_deg) == pytest.approx(15.0, abs=0.01)
    assert volume.spacing_mm[0] == pytest.approx(5 * np.cos(np.radians(15)))


def test_command_prints_a_line_a_study(
    bleeding: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    save_nifti(tmp_path / "in" / "a.nii", bleeding.hu, affine_of(bleeding))
    (tmp_path / "in" / "b.nii").write_bytes(b"nothing")
    assert main([str(SHIPPED), str(tmp_path / "in"), "--each", "--threads", "1"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["study"], row["answer"] is None) for row in rows] == [("a.nii", False), ("b.nii", True)]
    assert set(rows[0]["probabilities"]) >= {"any_ich"}
    assert main([str(SHIPPED), str(tmp_path / "absent")]) == 2


def test_forms_are_told_by_name(tmp_path: Path) -> None:
    assert form_of(tmp_path / "a.NII.GZ") == "nifti"
    assert form_of(save_pictures(tmp_path / "p", np.zeros((2, 8, 8), np.uint8))) == "pictures"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "IM0001").write_bytes(b"")
    assert form_of(tmp_path / "d") == "dicom"
