"""What a slice header says of age, padding and frames."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.headers import age_between, age_from_string, read_headers
from tests.model.heads import Scan, dataset, write


class TestAge:
    @pytest.mark.parametrize(
        ("text", "years"),
        [("064Y", 64), ("018M", 1.5), ("052W", 1), ("003D", 0), ("012Y", 12), ("64y", 64)],
    )
    def test_reads_each_unit(self, text: str, years: float) -> None:
        assert age_from_string(text) == pytest.approx(years, abs=0.02)

    @pytest.mark.parametrize("text", ["", "000Y", "64", "Y", "abcY", "-10Y", "๑๒Y", "6 4Y"])
    def test_what_is_no_age_is_unknown(self, text: str) -> None:
        assert age_from_string(text) is None

    @pytest.mark.parametrize(
        ("birth", "study"),
        [
            ("19600115", "20260115"),
            ("25030115", "20260115"),
            ("19600115", "25690115"),
            ("1960.01.15", "20260115"),
        ],
    )
    def test_either_date_may_be_buddhist(self, birth: str, study: str) -> None:
        assert age_between(birth, study) == pytest.approx(66, abs=0.01)

    @pytest.mark.parametrize(
        ("birth", "study"),
        [("", "20260101"), ("20260101", "19600101"), ("00000000", "20260101"), ("18000101", "20260101")],
    )
    def test_impossible_dates_give_no_age(self, birth: str, study: str) -> None:
        assert age_between(birth, study) is None

    @given(st.text(max_size=12), st.text(max_size=12))
    def test_any_text_gives_an_age_or_none(self, one: str, two: str) -> None:
        for age in (age_from_string(one), age_between(one, two)):
            assert age is None or age >= 0


class TestReadHeaders:
    def test_reads_what_choosing_needs(self, tmp_path: Path) -> None:
        (header,) = read_headers(write(dataset(Scan(), 4), tmp_path / "one.dcm"))
        assert (header.modality, header.kernel, header.age_years) == ("CT", "H31s", 64)
        assert header.position is not None
        assert header.pixels is not None
        assert (header.pixels.rows, header.pixels.signed, header.pixels.intercept) == (128, True, -1024)

    def test_a_file_without_pixels_has_no_pixel_format(self, tmp_path: Path) -> None:
        ds = dataset(Scan(), 0)
        ds.Modality = "SR"
        del ds.Rows, ds.Columns, ds.PixelData
        (header,) = read_headers(write(ds, tmp_path / "report.dcm"))
        assert header.pixels is None

    def test_illegal_uids_and_long_values_pass_in_silence(self, tmp_path: Path) -> None:
        path = write(dataset(Scan(tags={"Manufacturer": "X" * 60}), 0), tmp_path / "one.dcm")
        content = path.read_bytes().replace(
            b"1.2.826.0.1.3680043.10.1501.1.1", b"1.2.826.0.1.3680043.010.01501.1"
        )
        path.write_bytes(content.replace(b"X" * 60, b"Y" * 60))
        (header,) = read_headers(path)
        assert header.sop_instance_uid == "1.2.826.0.1.3680043.010.01501.1"

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(["-62.000000", "1.875000", "-1024"]), st.binary(min_size=1, max_size=8))
    def test_numbers_that_make_no_sense_are_absent(self, tmp_path: Path, number: str, value: bytes) -> None:
        path = tmp_path / "one.dcm"
        if not path.exists():
            write(dataset(Scan(side=16, fov_mm=30), 0), path)
        damaged = tmp_path / "damaged.dcm"
        damaged.write_bytes(
            path.read_bytes().replace(number.encode(), value.ljust(len(number))[: len(number)])
        )
        (header,) = read_headers(damaged)
        assert header.position is None or all(abs(part) <= 1e5 for part in header.position)
        assert header.pixel_spacing is None or min(header.pixel_spacing) > 0
        assert header.pixels is not None
        assert np.isfinite(header.pixels.intercept)

    def test_each_frame_of_an_enhanced_file_is_a_slice(self, tmp_path: Path) -> None:
        headers = read_headers(write(enhanced(Scan(slices=3, side=16)), tmp_path / "enhanced.dcm"))
        assert [header.frame for header in headers] == [0, 1, 2]
        assert [header.position[2] for header in headers if header.position] == pytest.approx([-62, -57, -52])
        assert {header.pixels.intercept for header in headers if header.pixels} == {-1024}
        assert {header.kernel for header in headers} == {"H31s"}


def group(**values: object) -> Sequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def enhanced(scan: Scan) -> Dataset:
    """All slices of a scan as one multi-frame file. DICOM PS3.3 A.38."""
    slices = [dataset(scan, index) for index in range(scan.slices)]
    ds, first = dataset(scan, 0), slices[0]
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=first.ImageOrientationPatient)
    shared.PixelMeasuresSequence = group(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    shared.PixelValueTransformationSequence = group(RescaleSlope=1, RescaleIntercept=-1024)
    shared.CTReconstructionSequence = group(ConvolutionKernel="H31s")
    for one in slices:
        frame = Dataset()
        frame.PlanePositionSequence = group(ImagePositionPatient=one.ImagePositionPatient)
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(ds, keyword)
    ds.NumberOfFrames = len(frames)
    ds.PixelData = b"".join(one.PixelData for one in slices)
    return ds
