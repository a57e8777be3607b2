"""Simulated studies as files: every dialect readable and true to the voxels, every fault in the bytes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, MRImageStorage, XRayRadiationDoseSRStorage

from model.phantom import Fault, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, Dialect, SimulatedPatient, draw_patient, write_series

GE = DIALECTS[0]
TILT = 15.0


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """Return one small tilted head for every test."""
    return simulate_head(21, lesions=("iph",), side=64, slices=12, tilt_deg=TILT)


@pytest.fixture(scope="session")
def patient(phantom: Phantom) -> SimulatedPatient:
    """Return who lies in the scanner."""
    return draw_patient(21, phantom.age)


def spoiled(fault: Fault) -> Phantom:
    """Return a small head with one fault."""
    return simulate_head(22, side=64, slices=12, faults=(fault,))


def write(phantom: Phantom, folder: Path, dialect: Dialect = GE, **wishes: bool | int) -> list[Path]:
    """Write a study of a made-up patient."""
    patient = draw_patient(phantom.seed, phantom.age)
    return write_series(phantom, folder, dialect=dialect, patient=patient, **wishes)  # type: ignore[arg-type]


def upwards(paths: list[Path]) -> list[FileDataset]:
    """Read axial images, lowest first."""
    return sorted((dcmread(p) for p in paths), key=lambda ds: float(ds.ImagePositionPatient[2]))


def hounsfield(ds: FileDataset) -> np.ndarray:
    """Return the HU of one image."""
    return np.asarray(ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
class TestDialects:
    def test_voxels_come_back(self, phantom: Phantom, tmp_path: Path, dialect: Dialect) -> None:
        images = upwards(write(phantom, tmp_path, dialect))
        assert len(images) == 12
        assert {ds.file_meta.TransferSyntaxUID for ds in images} == {dialect.transfer_syntax}
        axis = np.arange(64) - 31.5
        circle = np.hypot(axis[:, None], axis[None, :]) <= 32
        for ds, plane in zip(images, phantom.hu, strict=True):
            assert np.array_equal(hounsfield(ds)[circle], plane[circle])

    def test_geometry_tells_tilt_and_spacing(
        self, phantom: Phantom, tmp_path: Path, dialect: Dialect
    ) -> None:
        images = upwards(write(phantom, tmp_path, dialect))
        rows, columns = (
            np.array(images[0].ImageOrientationPatient[s], float) for s in (slice(3), slice(3, 6))
        )
        normal = np.cross(rows, columns)
        assert np.degrees(np.arccos(normal[2])) == pytest.approx(TILT, abs=1e-3)
        along = [float(np.dot(np.array(ds.ImagePositionPatient, float), normal)) for ds in images]
        assert np.diff(along) == pytest.approx([5.0] * 11, abs=1e-3)
        steps = np.diff([np.array(ds.ImagePositionPatient, float) for ds in images], axis=0)
        assert np.abs(steps[:, :2]).max() < 1e-6
        assert float(images[0].PixelSpacing[0]) == pytest.approx(phantom.spacing_mm[1], abs=1e-6)

    def test_thai_name_is_read_as_written(
        self, phantom: Phantom, patient: SimulatedPatient, tmp_path: Path, dialect: Dialect
    ) -> None:
        ds = dcmread(write(phantom, tmp_path, dialect)[0])
        assert str(ds.PatientName) == patient.name
        assert ds.PatientID == patient.patient_id

    def test_header_spells_the_maker(self, phantom: Phantom, tmp_path: Path, dialect: Dialect) -> None:
        ds = dcmread(write(phantom, tmp_path, dialect)[0])
        assert ds.Manufacturer == dialect.manufacturer
        assert ds.SeriesDescription == dialect.series_description
        assert tuple(ds.ImageType) == dialect.image_type
        assert ds.PixelRepresentation == int(dialect.signed)


class TestWriteSeries:
    def test_same_study_gives_the_same_bytes(self, phantom: Phantom, tmp_path: Path) -> None:
        one, two = (write(phantom, tmp_path / name, extras=True, bone=True) for name in "ab")
        assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]

    def test_other_dialect_is_another_study(self, phantom: Phantom, tmp_path: Path) -> None:
        uids = {dcmread(write(phantom, tmp_path / d.name, d)[0]).StudyInstanceUID for d in DIALECTS}
        assert len(uids) == len(DIALECTS)
        assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)

    def test_larger_matrix_keeps_the_picture(self, phantom: Phantom, tmp_path: Path) -> None:
        images = upwards(write(phantom, tmp_path, DIALECTS[2], side=128))
        assert images[0].pixel_array.shape == (128, 128)
        pixel = float(images[0].PixelSpacing[0])
        assert pixel * 128 == pytest.approx(phantom.spacing_mm[1] * 64, abs=1e-4)
        small = hounsfield(images[6]).reshape(64, 2, 64, 2).mean(axis=(1, 3))
        assert np.corrcoef(small.ravel(), phantom.hu[6].ravel())[0, 1] > 0.98

    def test_extras_lie_beside_the_series(self, phantom: Phantom, tmp_path: Path) -> None:
        read = [dcmread(p) for p in write(phantom, tmp_path, extras=True, bone=True)]
        assert len({ds.StudyInstanceUID for ds in read}) == 1
        assert len({ds.SOPInstanceUID for ds in read}) == len(read) == 12 + 12 + 3
        assert sum(ds.SOPClassUID == XRayRadiationDoseSRStorage for ds in read) == 1
        assert sum("LOCALIZER" in ds.get("ImageType", []) for ds in read) == 1
        bone = [ds for ds in read if ds.SeriesDescription == GE.bone_description]
        assert len(bone) == 12
        assert bone[0].ConvolutionKernel == "BONEPLUS"

    def test_padding_lies_outside_the_circle(self, phantom: Phantom, tmp_path: Path) -> None:
        ds = dcmread(write(phantom, tmp_path)[0])
        assert ds.PixelPaddingValue == ds.pixel_array[0, 0] == GE.padding


class TestFaults:
    def test_missing_slices_leave_a_gap(self, tmp_path: Path) -> None:
        images = upwards(write(spoiled(Fault.MISSING_SLICES), tmp_path))
        gaps = np.diff([float(ds.ImagePositionPatient[2]) for ds in images])
        assert len(images) < 12
        assert gaps.max() > 1.5 * np.median(gaps)

    def test_duplicates_are_identical_in_bytes(self, tmp_path: Path) -> None:
        paths = write(spoiled(Fault.DUPLICATE_SLICES), tmp_path)
        seen = Counter(p.read_bytes() for p in paths)
        assert len(paths) == 16
        assert sorted(seen.values()) == [1] * 8 + [2] * 4

    def test_contrast_is_tagged_or_not(self, tmp_path: Path) -> None:
        tagged = dcmread(write(spoiled(Fault.CONTRAST), tmp_path / "a")[0])
        untagged = dcmread(write(spoiled(Fault.CONTRAST_UNTAGGED), tmp_path / "b")[0])
        assert tagged.ContrastBolusAgent
        assert "ContrastBolusAgent" not in untagged

    def test_child_is_twelve_by_age_and_birth_date(self, tmp_path: Path) -> None:
        ds = dcmread(write(spoiled(Fault.CHILD), tmp_path)[0])
        assert ds.PatientAge == "012Y"
        assert int(ds.StudyDate[:4]) - int(ds.PatientBirthDate[:4]) in (12, 13)

    def test_mr_is_mr(self, tmp_path: Path) -> None:
        ds = dcmread(write(spoiled(Fault.MR), tmp_path)[0])
        assert (ds.SOPClassUID, ds.Modality) == (MRImageStorage, "MR")
        assert "RescaleIntercept" not in ds

    def test_chest_holds_lungs(self, tmp_path: Path) -> None:
        ds = upwards(write(spoiled(Fault.CHEST), tmp_path))[6]
        lung = (hounsfield(ds) > -950) & (hounsfield(ds) < -700)
        assert ds.BodyPartExamined == "CHEST"
        assert lung.mean() > 0.1

    def test_truncated_pixels_cannot_be_decoded(self, tmp_path: Path) -> None:
        images = upwards(write(spoiled(Fault.TRUNCATED_PIXELS), tmp_path))
        whole = hounsfield(images[0])
        assert whole.shape == (64, 64)
        lengths = [len(ds.PixelData) for ds in images]
        assert max(lengths[6:9]) < 0.3 * np.median(lengths)

    def test_truncated_file_ends_early(self, tmp_path: Path) -> None:
        paths = write(spoiled(Fault.TRUNCATED_FILE), tmp_path)
        sizes = [p.stat().st_size for p in paths]
        assert min(sizes) < 0.6 * max(sizes)
        short = paths[int(np.argmin(sizes))]
        with pytest.raises((ValueError, EOFError, AttributeError, InvalidDicomError)):
            _ = dcmread(short).pixel_array

    @pytest.mark.parametrize(
        ("fault", "codec", "declared"),
        [
            (Fault.NAME_CP874_AS_LATIN1, "cp874", "ISO_IR 100"),
            (Fault.NAME_CP874_UNDECLARED, "cp874", None),
            (Fault.NAME_UTF8_AS_TIS620, "utf-8", "ISO_IR 166"),
        ],
    )
    @pytest.mark.parametrize("dialect", [DIALECTS[0], DIALECTS[2]], ids=lambda d: d.name)
    def test_name_lies_about_its_charset(
        self, tmp_path: Path, fault: Fault, codec: str, declared: str | None, dialect: Dialect
    ) -> None:
        phantom = spoiled(fault)
        path = write(phantom, tmp_path, dialect)[0]
        assert draw_patient(22, phantom.age).name.encode(codec) in path.read_bytes()
        assert dcmread(path, stop_before_pixels=True).get("SpecificCharacterSet") == declared

    def test_dates_are_buddhist(self, tmp_path: Path) -> None:
        ds = dcmread(write(spoiled(Fault.BUDDHIST_DATES), tmp_path)[0])
        assert ds.StudyDate.startswith("2569")
        assert int(ds.PatientBirthDate[:4]) > 2400

    def test_patient_id_is_empty(self, tmp_path: Path) -> None:
        ds = dcmread(write(spoiled(Fault.EMPTY_PATIENT_ID), tmp_path)[0])
        assert ds.PatientID == ""
        assert ds.SOPClassUID == CTImageStorage
