"""Turn the stored pixels of a slice into Hounsfield units, mending the faults that scanners make."""

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, UncompressedTransferSyntaxes

from model.headers import PixelFormat, SliceHeader
from model.part10 import BadPart10, Part10, read_part10

AIR_HU = -1024
HIGHEST_HU = 3071
PADDING_OUTSIDE_HU = (-200, 2900)
"""A padding value between these would blank tissue; such a tag is wrong and is left alone."""
TWELVE_BIT_INTERCEPT = -100
"""Unsigned 12-bit pixels with an intercept above this cannot hold air: the fault of parts of RSNA 2019."""
WRAPPED_FRACTION = 0.02
"""So much of a slice above 3096 is air that wrapped round, not metal."""

UNCOMPRESSED = frozenset({*UncompressedTransferSyntaxes, DeflatedExplicitVRLittleEndian, ""})
THREADS = 4
PLUGIN_ERRORS = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    struct.error,
    Warning,
)
"""What pydicom and the C libraries under it raise for damaged pixel data; each of it means the same."""

Int16 = NDArray[np.int16]


class UndecodablePixels(ValueError):
    """The pixel data of a slice does not decode."""


@dataclass(frozen=True, slots=True)
class DecodedSlice:
    """One slice in HU, or why there is none."""

    hu: Int16 | None
    repairs: tuple[str, ...] = ()
    error: str = ""


def decode_slices(headers: Sequence[SliceHeader]) -> list[DecodedSlice]:
    """Decode slices side by side, each on its own: one that fails does not stop the others."""
    if len({header.path for header in headers}) < len(headers):
        return _decode_frames(headers)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_decode_file, headers))


def _decode_file(header: SliceHeader) -> DecodedSlice:
    try:
        return decode_slice(header, read_part10(header.path, (), pixels=True))
    except (BadPart10, UndecodablePixels, OSError) as error:
        return DecodedSlice(None, error=f"{header.path.name}: {error}")


def _decode_frames(headers: Sequence[SliceHeader]) -> list[DecodedSlice]:
    files: dict[object, Part10] = {}
    decoded: list[DecodedSlice] = []
    for header in headers:
        try:
            part10 = files.get(header.path) or read_part10(header.path, (), pixels=True)
            files[header.path] = part10
            decoded.append(decode_slice(header, part10))
        except (BadPart10, UndecodablePixels, OSError) as error:
            decoded.append(DecodedSlice(None, error=f"{header.path.name}: {error}"))
    return decoded


def decode_slice(header: SliceHeader, part10: Part10) -> DecodedSlice:
    """Decode one slice and rescale it.

    Raises:
        UndecodablePixels: pixel data absent, too short, or in a syntax or state no decoder takes.
    """
    pixels = header.pixels
    if pixels is None or len(part10.pixel_data) == 0:
        raise UndecodablePixels("no pixel data")
    if part10.transfer_syntax_uid in UNCOMPRESSED:
        stored = _native(part10.pixel_data, pixels, header.frame, part10.transfer_syntax_uid)
    else:
        stored = _compressed(part10, pixels, header.frame)
    return hounsfield(stored, pixels)


def _native(value: memoryview, pixels: PixelFormat, frame: int, syntax: str) -> NDArray[np.integer]:
    if pixels.bits_allocated not in (8, 16, 32):
        raise UndecodablePixels(f"BitsAllocated is {pixels.bits_allocated}, not 8, 16 or 32")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dtype = np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")
    count = pixels.rows * pixels.columns
    start = frame * count * dtype.itemsize
    if len(value) < start + count * dtype.itemsize:
        raise UndecodablePixels(
            f"pixel data of {len(value)} bytes, {start + count * dtype.itemsize} are needed"
        )
    stored = np.frombuffer(value, dtype, count, start).reshape(pixels.rows, pixels.columns)
    return _without_overlay_bits(stored.astype(dtype.newbyteorder("="), copy=False), pixels)


def _without_overlay_bits(stored: NDArray[np.integer], pixels: PixelFormat) -> NDArray[np.integer]:
    """Keep BitsStored bits up to HighBit, and carry their sign up."""
    if pixels.bits_stored >= pixels.bits_allocated or not pixels.bits_stored <= pixels.high_bit + 1:
        return stored
    above = pixels.bits_allocated - 1 - pixels.high_bit
    below = pixels.bits_allocated - pixels.bits_stored
    kept: NDArray[np.integer] = np.right_shift(np.left_shift(stored, above), below)
    return kept


def _compressed(part10: Part10, pixels: PixelFormat, frame: int) -> NDArray[np.integer]:
    try:
        decoder = get_decoder(UID(part10.transfer_syntax_uid, validation_mode=IGNORE))
    except NotImplementedError as error:
        raise UndecodablePixels(f"transfer syntax {part10.transfer_syntax_uid!r} is not supported") from error
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples,
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.signed),
        "photometric_interpretation": pixels.photometric,
        "number_of_frames": pixels.frames,
        "pixel_keyword": "PixelData",
        "allow_excess_frames": False,
    }
    try:
        stored, _ = decoder.as_array(
            bytes(part10.pixel_data), index=frame, raw=True, validate=False, **options
        )
    except PLUGIN_ERRORS as error:
        raise UndecodablePixels(f"{decoder.UID.name} does not decode: {_first_line(error)}") from error
    if stored.shape != (pixels.rows, pixels.columns):
        raise UndecodablePixels(f"decoded to {stored.shape}, the header says {(pixels.rows, pixels.columns)}")
    return stored


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def hounsfield(stored: NDArray[np.integer], pixels: PixelFormat) -> DecodedSlice:
    """Rescale stored values to HU in [-1024, 3071]. DICOM PS3.3 C.11.1, C.7.5.1.1.2."""
    repairs: list[str] = []
    values = stored.astype(np.int32)
    outside = _padded(values, pixels)
    intercept = pixels.intercept
    if not pixels.signed and pixels.bits_allocated == 16 and int(values.max()) >= 32768:
        values[values >= 32768] -= 65536
        repairs.append("sign_repaired")
    elif not pixels.signed and pixels.bits_stored == 12 and intercept > TWELVE_BIT_INTERCEPT:
        wrapped = values >= 3096
        if wrapped.mean() > WRAPPED_FRACTION:
            values[wrapped] -= 4096
            repairs.append("twelve_bit_repaired")
    if pixels.slope == 1.0 and intercept.is_integer():
        values += int(intercept)
    else:
        values = np.rint(np.clip(values * pixels.slope + intercept, -1e6, 1e6)).astype(np.int32)
    if outside is not None:
        values[outside] = AIR_HU
    return DecodedSlice(np.clip(values, AIR_HU, HIGHEST_HU).astype(np.int16), tuple(repairs))


def _padded(values: NDArray[np.int32], pixels: PixelFormat) -> NDArray[np.bool_] | None:
    if pixels.padding is None:
        return None
    low, high = (float(end) * pixels.slope + pixels.intercept for end in pixels.padding)
    if max(low, high) >= PADDING_OUTSIDE_HU[0] and min(low, high) < PADDING_OUTSIDE_HU[1]:
        return None
    inside: NDArray[np.bool_] = (values >= pixels.padding[0]) & (values <= pixels.padding[1])
    return inside
