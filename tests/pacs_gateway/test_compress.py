"""Compression that loses nothing: not a pixel, not a byte of the header; and that gives up when it would."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from pacs_gateway.compress import SYNTAXES, Compression, NotCompressed, compress
from pacs_gateway.headers import read_header
from tests.hub import real_ct
from tests.pacs import make_slice


def save(folder: Path, pixels: np.ndarray, **attributes: Any) -> Path:
    rows, columns = pixels.shape[-2:]
    ds = make_slice(**attributes)
    ds.Rows, ds.Columns, ds.PixelData = rows, columns, pixels.tobytes()
    path = folder / "image.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def smooth(side: int = 128) -> np.ndarray:
    ramp = np.arange(side, dtype=np.int16)
    return (ramp[:, None] * 3 + ramp[None, :]).astype(np.int16)


@pytest.mark.parametrize("compression", list(Compression))
def test_everything_but_the_pixels_is_the_same_byte_for_byte(
    tmp_path: Path, compression: Compression
) -> None:
    source = save(tmp_path, smooth(), PatientName="ÊÁªÒÂ", SpecificCharacterSet="ISO_IR 100")
    target = tmp_path / "packed"
    size = compress(source, target, compression)
    assert size == target.stat().st_size < source.stat().st_size / 4
    before, after = dcmread(source), dcmread(target)
    assert after.file_meta.TransferSyntaxUID == SYNTAXES[compression]
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array)
    del before.PixelData, after.PixelData
    assert before == after
    whole, packed = source.read_bytes(), target.read_bytes()
    name = whole.index(b"\x10\x00\x10\x00PN")
    header = whole[whole.index(b"\x08\x00\x05\x00CS") : whole.index(b"\xe0\x7f\x10\x00")]
    assert header in packed, f"the header from its charset to its pixels, name at {name}"
    assert read_header(target).sop_instance_uid == read_header(source).sop_instance_uid


@settings(max_examples=20, deadline=None)
@given(
    bits=st.sampled_from([8, 10, 12, 16]),
    signed=st.booleans(),
    frames=st.integers(1, 3),
    seed=st.integers(0, 2**16),
    compression=st.sampled_from(Compression),
)
def test_whatever_is_written_decodes_to_what_was_there(
    tmp_path_factory: pytest.TempPathFactory,
    bits: int,
    signed: bool,
    frames: int,
    seed: int,
    compression: Compression,
) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    kind = np.int16 if signed else np.uint16
    noise = np.random.default_rng(seed).integers(low, high, (frames, 40, 24))
    pixels = np.where(np.arange(24) < 12, noise, low).astype(kind)
    folder = tmp_path_factory.mktemp("image")
    source = save(
        folder,
        pixels,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(signed),
        NumberOfFrames=frames,
    )
    try:
        compress(source, folder / "packed", compression)
    except NotCompressed:
        return
    np.testing.assert_array_equal(dcmread(folder / "packed").pixel_array.reshape(pixels.shape), pixels)


def test_depths_that_the_encoder_of_htj2k_does_not_write_go_as_jpeg_2000(tmp_path: Path) -> None:
    source = save(tmp_path, smooth(), BitsStored=12, HighBit=11, PixelRepresentation=0)
    compress(source, tmp_path / "packed", Compression.HTJ2K)
    assert dcmread(tmp_path / "packed").file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_values_beyond_the_bits_stored_are_left_alone(tmp_path: Path) -> None:
    source = save(tmp_path, smooth() * 2, BitsStored=9, HighBit=8, PixelRepresentation=0)
    with pytest.raises(NotCompressed, match="does not come back as it was"):
        compress(source, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"syntax": ImplicitVRLittleEndian}, "transfer syntax is 1.2.840.10008.1.2"),
        ({"SamplesPerPixel": 3}, "3 samples of 16 bits"),
        ({"NumberOfFrames": 5}, "due"),
    ],
)
def test_what_it_cannot_do_safely_it_leaves(tmp_path: Path, attributes: dict[str, Any], why: str) -> None:
    with pytest.raises(NotCompressed, match=why):
        compress(save(tmp_path, smooth(), **attributes), tmp_path / "packed")


def test_an_object_without_pixels_is_left(tmp_path: Path) -> None:
    ds = make_slice(syntax=ExplicitVRLittleEndian)
    del ds.PixelData
    ds.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    with pytest.raises(NotCompressed, match="no pixels"):
        compress(tmp_path / "report.dcm", tmp_path / "packed")


def test_a_real_study_takes_a_quarter_of_the_bytes(tmp_path: Path) -> None:
    paths = real_ct("haemorrhage-ct")[::6]
    sizes = [(path.stat().st_size, compress(path, tmp_path / path.name)) for path in paths]
    for path in paths:
        np.testing.assert_array_equal(dcmread(path).pixel_array, dcmread(tmp_path / path.name).pixel_array)
    assert sum(before for before, _ in sizes) > 4 * sum(after for _, after in sizes)
