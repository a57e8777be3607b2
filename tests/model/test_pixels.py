"""Stored pixels become HU, whatever the scanner or the archive did to them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from model.headers import PixelFormat, read_headers
from model.part10 import read_part10
from model.pixels import UndecodablePixels, decode_slice, decode_slices, hounsfield
from tests.model.heads import Scan, dataset, stored, write
from tests.model.test_headers import enhanced

HU = np.array([[-1024, -1000, 0, 40], [80, 1000, 2000, 3071]], np.float64)


def hu_of(values: NDArray[np.integer], **pixels: object) -> list[int]:
    decoded = hounsfield(values, PixelFormat(rows=values.shape[0], columns=values.shape[1], **pixels))  # type: ignore[arg-type]
    assert decoded.hu is not None
    return [int(value) for value in decoded.hu.ravel()]


class TestHounsfield:
    def test_rescales(self) -> None:
        assert hu_of(stored(HU), intercept=-1024.0) == HU.ravel().tolist()

    def test_a_slope_that_is_not_one(self) -> None:
        assert hu_of(np.array([[0, 10]], np.int16), slope=2.5, intercept=-20.5) == [-20, 4]

    def test_clips(self) -> None:
        assert hu_of(np.array([[-9000, 9000]], np.int16)) == [-1024, 3071]

    def test_padding_becomes_air(self) -> None:
        assert hu_of(np.array([[4000, 5, 40]], np.int16), padding=(4000, 4000)) == [-1024, 5, 40]

    def test_padding_that_would_blank_tissue_is_ignored(self) -> None:
        assert hu_of(np.array([[0, 5, 40]], np.int16), padding=(0, 0)) == [0, 5, 40]

    def test_air_that_wrapped_in_twelve_bits_is_mended(self) -> None:
        true = np.array([[-1000, -500, 30, 60, 1200]], np.int32)
        pixels = PixelFormat(rows=1, columns=5, bits_stored=12, high_bit=11, signed=False)
        decoded = hounsfield((true % 4096).astype(np.uint16), pixels)
        assert decoded.hu is not None
        assert decoded.hu.tolist() == true.tolist()
        assert decoded.repairs == ("twelve_bit_repaired",)

    def test_signed_pixels_declared_unsigned_are_mended(self) -> None:
        values = np.array([[-1000, 40]], np.int16).view(np.uint16)
        decoded = hounsfield(values, PixelFormat(rows=1, columns=2, signed=False))
        assert decoded.hu is not None
        assert decoded.hu.tolist() == [[-1000, 40]]
        assert decoded.repairs == ("sign_repaired",)

    @given(st.integers(-32768, 32767), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
    def test_always_lies_in_range(self, value: int, slope: float, intercept: float) -> None:
        (hu,) = hu_of(np.array([[value]], np.int16), slope=slope, intercept=intercept)
        assert -1024 <= hu <= 3071


class TestDecodeSlices:
    @pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
    def test_each_lossless_syntax_gives_the_same_pixels(self, tmp_path: Path, syntax: UID) -> None:
        scan = Scan(side=32)
        ds = dataset(scan, 15)
        plain = write(ds, tmp_path / "plain.dcm")
        ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(tmp_path / "packed.dcm", enforce_file_format=True)
        one, other = decode_slices([read_headers(path)[0] for path in (plain, tmp_path / "packed.dcm")])
        assert other.error == ""
        assert np.array_equal(one.hu, other.hu)  # type: ignore[arg-type]

    def test_frames_of_an_enhanced_file(self, tmp_path: Path) -> None:
        scan = Scan(slices=3, side=32)
        decoded = decode_slices(read_headers(write(enhanced(scan), tmp_path / "enhanced.dcm")))
        for index, item in enumerate(decoded):
            assert np.array_equal(item.hu, np.rint(scan.hu(index)).clip(-1024))  # type: ignore[arg-type]

    def test_damage_in_one_slice_does_not_stop_the_others(self, tmp_path: Path) -> None:
        paths = [write(dataset(Scan(side=32), index), tmp_path / f"{index}.dcm") for index in range(2)]
        headers = [read_headers(path)[0] for path in paths]
        paths[0].write_bytes(paths[0].read_bytes()[:-100])
        bad, good = decode_slices(headers)
        assert bad.hu is None
        assert "2048 are needed" in bad.error
        assert good.hu is not None

    def test_a_broken_codestream_is_named(self, tmp_path: Path) -> None:
        ds = dataset(Scan(side=32), 15)
        write(ds, tmp_path / "one.dcm")
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        ds.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(200)])
        ds.save_as(tmp_path / "one.dcm", enforce_file_format=True)
        (header,) = read_headers(tmp_path / "one.dcm")
        with pytest.raises(UndecodablePixels, match="JPEG 2000"):
            decode_slice(header, read_part10(header.path, (), pixels=True))

    def test_an_unknown_syntax_is_named(self, tmp_path: Path) -> None:
        path = write(dataset(Scan(side=32), 0), tmp_path / "one.dcm")
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0", 1))
        (bad,) = decode_slices(read_headers(path))
        assert "1.2.840.10008.9.9.9" in bad.error

    def test_overlay_bits_above_the_stored_ones_are_dropped(self, tmp_path: Path) -> None:
        ds = dataset(Scan(side=32), 15)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        clean = np.frombuffer(ds.PixelData, "<u2")
        ds.PixelData = (clean | 0x8000).tobytes()
        (decoded,) = decode_slices(read_headers(write(ds, tmp_path / "one.dcm")))
        assert decoded.hu is not None
        assert np.array_equal(decoded.hu.ravel(), clean.astype(np.int32) - 1024)
