"""Images without loss in a quarter of the bytes: JPEG 2000 or HTJ2K, all but the pixels left byte for byte.

The data set is not decoded and written anew: that would mend Thai text and drop odd elements on the way. The
pixel data element alone is exchanged, and only when what was compressed decodes to exactly what was there.
"""

import mmap
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from struct import pack

import numpy as np
from openjpeg.utils import decode_pixel_data, encode_buffer
from pydicom.uid import UID, ExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless

from pacs_gateway.elements import PIXEL_DATA, UNDEFINED_LENGTH, Buffer, UnreadableDataSet, Walk, scan
from pacs_gateway.part10 import build_meta, read_meta

ROWS, COLUMNS, FRAMES = 0x00280010, 0x00280011, 0x00280008
SAMPLES, ALLOCATED, STORED, SIGNED = 0x00280002, 0x00280100, 0x00280101, 0x00280103
TAGS = frozenset({ROWS, COLUMNS, FRAMES, SAMPLES, ALLOCATED, STORED, SIGNED})
GREYSCALE = 2
"""openjpeg's number for images of one sample."""
ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


class Compression(StrEnum):
    """What pixels are made into on their way."""

    J2K = "j2k"
    """Smallest."""
    HTJ2K = "htj2k"
    """A tenth of the time to make, a twentieth larger: for a fast link, or a slow machine."""


SYNTAXES: dict[Compression, UID] = {Compression.J2K: JPEG2000Lossless, Compression.HTJ2K: HTJ2KLossless}


def can_write(compression: Compression) -> bool:
    """Whether its encoder is on this machine; HTJ2K's is in the extra `htj2k`."""
    return compression is Compression.J2K or find_spec("imagecodecs") is not None


class NotCompressed(ValueError):
    """The file goes as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Where the pixels lie and how they are stored."""

    start: int
    """Of the element, in the file."""
    value: int
    end: int
    frames: int
    frame_bytes: int
    rows: int
    columns: int
    bits: int
    signed: bool


def compress(source: Path, target: Path, compression: Compression = Compression.J2K) -> int:
    """Write a file's lossless copy; the SOP Instance UID stays, as the image is the same. PS3.5 A.4.4.

    Args:
        source: Part 10, explicit VR little endian, one sample a pixel.
        target: Written only when every pixel has been found again in it.
        compression: Into what; its encoder must be there (`can_write`). Where fewer bits are stored than
            allocated it is J2K: the encoder of HTJ2K writes no such depth.

    Returns:
        Bytes of the copy.

    Raises:
        NotCompressed: it holds no such pixels, gains nothing, or did not come back the same.
        UnreadableDataSet: no Part 10 file.
    """
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        meta = read_meta(data)
        if meta.transfer_syntax_uid != ExplicitVRLittleEndian:
            raise NotCompressed(f"its transfer syntax is {meta.transfer_syntax_uid}")
        pixels = _find(data, meta.data_set_offset)
        if pixels.bits not in (8, 16):
            compression = Compression.J2K
        frames = [_frame(data, pixels, number, compression) for number in range(pixels.frames)]
        head = build_meta(
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax_uid=SYNTAXES[compression],
            sending_ae=meta.sending_ae,
            receiving_ae=meta.receiving_ae,
            private_information=b"",
        )
        whole = b"".join(
            (
                head,
                data[meta.data_set_offset : pixels.start],
                b"\xe0\x7f\x10\x00OB\x00\x00" + pack("<I", UNDEFINED_LENGTH),
                ITEM + pack("<I", 0),
                *(ITEM + pack("<I", len(frame)) + frame for frame in frames),
                SEQUENCE_END + pack("<I", 0),
                data[pixels.end :],
            )
        )
        if len(whole) >= len(data):
            raise NotCompressed(f"it would grow from {len(data)} to {len(whole)} bytes")
    scratch = target.with_suffix(".draft")
    scratch.write_bytes(whole)
    scratch.replace(target)
    return len(whole)


def _find(data: Buffer, start: int) -> _Pixels:
    values = scan(data, ExplicitVRLittleEndian, TAGS, start=start)
    numbers = {tag: int.from_bytes(values.get(tag, b"")[:2], "little") for tag in TAGS - {FRAMES}}
    if numbers[SAMPLES] != 1 or numbers[ALLOCATED] not in (8, 16):
        raise NotCompressed(f"{numbers[SAMPLES]} samples of {numbers[ALLOCATED]} bits a pixel")
    walk = Walk(data, len(data), explicit=True, big=False, partial=False)
    position = start
    while position + 8 <= len(data):
        tag, length, value = walk.element(position)
        if tag == PIXEL_DATA:
            break
        position = walk.skip(tag, length, value, 0)
    else:
        raise NotCompressed("it has no pixels")
    frames = int(values.get(FRAMES, b"1").decode("latin-1").strip("\x00 ") or 1)
    frame_bytes = numbers[ROWS] * numbers[COLUMNS] * numbers[ALLOCATED] // 8
    if length == UNDEFINED_LENGTH or not 0 <= length - frames * frame_bytes <= 1:
        raise NotCompressed(f"{length} bytes of pixels, {frames * frame_bytes} due")
    stored = numbers[STORED] if 0 < numbers[STORED] <= numbers[ALLOCATED] else numbers[ALLOCATED]
    # openjpeg takes one byte a sample up to 8 bits; fewer bits in two bytes are compressed as 16
    bits = stored if numbers[ALLOCATED] == 8 or stored > 8 else numbers[ALLOCATED]
    return _Pixels(
        start=position,
        value=value,
        end=value + length,
        frames=frames,
        frame_bytes=frame_bytes,
        rows=numbers[ROWS],
        columns=numbers[COLUMNS],
        bits=bits,
        signed=bool(numbers[SIGNED]),
    )


def _frame(data: Buffer, pixels: _Pixels, number: int, compression: Compression) -> bytes:
    """One frame's codestream, decoded again to see that nothing was lost."""
    start = pixels.value + number * pixels.frame_bytes
    raw = bytes(data[start : start + pixels.frame_bytes])
    try:
        code = _htj2k(raw, pixels) if compression is Compression.HTJ2K else _j2k(raw, pixels)
        again = bytes(np.asarray(decode_pixel_data(code), np.uint8).tobytes())
    except (RuntimeError, ValueError) as error:
        raise NotCompressed(f"frame {number + 1}: {error}") from error
    if again != raw:
        raise NotCompressed(
            f"frame {number + 1} does not come back as it was: values beyond {pixels.bits} bits"
        )
    return code + b"\x00" * (len(code) % 2)


def _j2k(raw: bytes, pixels: _Pixels) -> bytes:
    code: bytes = encode_buffer(
        raw,
        pixels.columns,
        pixels.rows,
        1,
        pixels.bits,
        pixels.signed,
        photometric_interpretation=GREYSCALE,
        use_mct=False,
    )
    return code


def _htj2k(raw: bytes, pixels: _Pixels) -> bytes:
    from imagecodecs import htj2k_encode  # an extra; most hubs never write it

    wide = pixels.frame_bytes > pixels.rows * pixels.columns
    kind = np.dtype(f"<{'i' if pixels.signed else 'u'}{2 if wide else 1}")
    image = np.frombuffer(raw, kind).reshape(pixels.rows, pixels.columns)
    return bytes(htj2k_encode(image, reversible=True))


__all__ = ["Compression", "NotCompressed", "UnreadableDataSet", "can_write", "compress"]
