"""Every encoding that a decoder exists for: taken in, named, and sent out as Explicit VR Little Endian."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagecodecs import htj2k_encode, jpeg8_encode
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from model.phantom_jpeg import encode_lossless
from tests.hub import real_ct
from tests.pacs import make_slice
from tests.service.api.conftest import SignIn
from tests.service.api.test_dicomweb import inbox, parts, take  # noqa: F401

pytestmark = pytest.mark.one_database  # what is sent as images lies in files

SIDE = 64
STORED = "multipart/related; type=application/dicom; transfer-syntax=*"
WEB = "/dicomweb/studies/1.2.840.1/series/1.2.840.1.1/instances/1.2.840.1.1.1"


def as_native(syntax: UID) -> Callable[[FileDataset], FileDataset]:
    def encode(ds: FileDataset) -> FileDataset:
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = ds.pixel_array.byteswap().tobytes()
        return ds

    return encode


def compressed(syntax: UID) -> Callable[[FileDataset], FileDataset]:
    def encode(ds: FileDataset) -> FileDataset:
        ds.compress(syntax, generate_instance_uid=False)
        return ds

    return encode


def jpeg_lossless(syntax: UID) -> Callable[[FileDataset], FileDataset]:
    """By the first selection value, which process 14 has among its seven."""

    def encode(ds: FileDataset) -> FileDataset:
        ds.PixelData = encapsulate([encode_lossless(ds.pixel_array.astype(np.uint16))])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        return ds

    return encode


def jpeg(syntax: UID, bits: int) -> Callable[[FileDataset], FileDataset]:
    """Of the upper bits of what is there: the two lossy processes hold 8 and 12."""

    def encode(ds: FileDataset) -> FileDataset:
        pixels = (ds.pixel_array.astype(np.uint16) >> (13 - bits)).astype(
            np.uint8 if bits == 8 else np.uint16
        )
        ds.PixelData = encapsulate([bytes(jpeg8_encode(pixels, level=95, bitspersample=bits))])
        ds["PixelData"].is_undefined_length = True
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = (8 if bits == 8 else 16), bits, bits - 1
        ds.file_meta.TransferSyntaxUID = syntax
        return ds

    return encode


def nearly(syntax: UID, **how: object) -> Callable[[FileDataset], FileDataset]:
    def encode(ds: FileDataset) -> FileDataset:
        ds.compress(syntax, generate_instance_uid=False, **how)
        return ds

    return encode


def high_throughput(syntax: UID) -> Callable[[FileDataset], FileDataset]:
    """By OpenJPH, whose order is RPCL with lengths of tile parts; the syntax that may lose need not."""

    def encode(ds: FileDataset) -> FileDataset:
        ds.PixelData = encapsulate([bytes(htj2k_encode(ds.pixel_array, reversible=True, tlm=True))])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        return ds

    return encode


ENCODINGS: dict[str, tuple[UID, Callable[[FileDataset], FileDataset]]] = {
    "implicit": (ImplicitVRLittleEndian, as_native(ImplicitVRLittleEndian)),
    "explicit": (ExplicitVRLittleEndian, as_native(ExplicitVRLittleEndian)),
    "deflated": (DeflatedExplicitVRLittleEndian, as_native(DeflatedExplicitVRLittleEndian)),
    "big_endian": (ExplicitVRBigEndian, as_native(ExplicitVRBigEndian)),
    "rle": (RLELossless, compressed(RLELossless)),
    "jpeg_lossless": (JPEGLossless, jpeg_lossless(JPEGLossless)),
    "jpeg_lossless_sv1": (JPEGLosslessSV1, jpeg_lossless(JPEGLosslessSV1)),
    "jpeg_ls": (JPEGLSLossless, compressed(JPEGLSLossless)),
    "jpeg_2000": (JPEG2000Lossless, compressed(JPEG2000Lossless)),
    "htj2k": (HTJ2KLossless, high_throughput(HTJ2KLossless)),
    "htj2k_rpcl": (HTJ2KLosslessRPCL, high_throughput(HTJ2KLosslessRPCL)),
    "htj2k_lossy": (HTJ2K, high_throughput(HTJ2K)),
}
LOSSY: dict[str, tuple[UID, int, Callable[[FileDataset], FileDataset]]] = {
    "jpeg_baseline": (JPEGBaseline8Bit, 5, jpeg(JPEGBaseline8Bit, 8)),
    "jpeg_extended": (JPEGExtended12Bit, 5, jpeg(JPEGExtended12Bit, 8)),
    "jpeg_ls_near": (JPEGLSNearLossless, 0, nearly(JPEGLSNearLossless, jls_error=3)),
    "jpeg_2000": (JPEG2000, 0, nearly(JPEG2000, j2k_cr=[10])),
}
"""By name: the syntax, how many of 13 bits are left out, and the encoder."""


def made_slice() -> FileDataset:
    ds = make_slice(study="1.2.840.1", side=SIDE)
    rng = np.random.default_rng(5)
    ds.PixelRepresentation = 0
    ds.PixelData = rng.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16).tobytes()
    return ds


def real_slice() -> FileDataset:
    """The pixels of a real slice under our own header, as unsigned values that every encoder takes."""
    pixels = dcmread(real_ct("haemorrhage-ct")[10]).pixel_array.astype(np.int32) + 2048
    ds = make_slice(study="1.2.840.1", side=len(pixels))
    ds.PixelRepresentation = 0
    ds.PixelData = np.clip(pixels, 0, 65535).astype(np.uint16).tobytes()
    return ds


def made_plain(client: Any, syntax: UID) -> FileDataset:
    """The instance as it goes out where no encoding is asked for; its own is told."""
    [row] = client.get(f"{WEB}/metadata").json()
    assert row["00083002"]["Value"] == [syntax]
    [content] = parts(client.get(WEB))
    out = dcmread(BytesIO(content))
    assert out.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    return out


@pytest.mark.parametrize("source", [made_slice, real_slice], ids=["made", "real"])
@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoding_comes_in_and_goes_out_with_the_same_pixels(
    signed_in: SignIn,
    take: Any,  # noqa: F811
    tmp_path: Path,
    name: str,
    source: Callable[[], FileDataset],
) -> None:
    syntax, encode = ENCODINGS[name]
    ds = source()
    pixels = ds.pixel_array.copy()
    path = tmp_path / "slice.dcm"
    ds = encode(ds)
    if syntax == ExplicitVRBigEndian:
        dcmwrite(path, ds, implicit_vr=False, little_endian=False, force_encoding=True)
    else:
        ds.save_as(path, enforce_file_format=True)
    take([path])
    client = signed_in()
    out = made_plain(client, syntax)
    assert np.array_equal(out.pixel_array, pixels)
    accept = {"Accept": "multipart/related; type=application/octet-stream"}
    [frame] = parts(client.get(f"{WEB}/frames/1", headers=accept))
    assert np.array_equal(np.frombuffer(frame, "<u2").reshape(pixels.shape), pixels)


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_encoding_goes_out_as_its_decoder_reads_it(
    signed_in: SignIn,
    take: Any,  # noqa: F811
    tmp_path: Path,
    name: str,
) -> None:
    syntax, shift, encode = LOSSY[name]
    ds = real_slice()
    original = ds.pixel_array.astype(np.int32) >> shift
    ds = encode(ds)
    path = tmp_path / "slice.dcm"
    ds.save_as(path, enforce_file_format=True)
    take([path])
    client = signed_in()
    out = made_plain(client, syntax)
    assert np.array_equal(out.pixel_array, ds.pixel_array)
    # of the range of the real slice no more is lost than the encoder was told to lose
    assert np.abs(out.pixel_array.astype(np.int32) - original).mean() < 0.01 * original.max()
    [kept] = parts(client.get(WEB, headers={"Accept": STORED}))
    assert dcmread(BytesIO(kept)).PixelData == ds.PixelData


def test_what_no_decoder_reads_is_told_and_sent_as_it_is_stored(
    signed_in: SignIn,
    take: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    ds = jpeg(JPEGExtended12Bit, 12)(made_slice())  # GDCM and Pillow read its 8 bits alone
    path = tmp_path / "slice.dcm"
    ds.save_as(path, enforce_file_format=True)
    take([path])
    client = signed_in()
    refused = client.get(WEB)
    assert (refused.status_code, "transfer-syntax=*" in refused.json()["detail"]) == (406, True)
    [kept] = parts(client.get(WEB, headers={"Accept": STORED}))
    assert dcmread(BytesIO(kept)).PixelData == ds.PixelData
