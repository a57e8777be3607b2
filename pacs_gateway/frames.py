"""Frames of a stored file as bytes, found by offset where they lie uncompressed. PS3.5 A.4, PS3.18 8.7.3."""

import mmap
import zlib
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pacs_gateway.elements import ITEM, PIXEL_DATA, UNDEFINED_LENGTH, Buffer, UnreadableDataSet, Values, Walk
from pacs_gateway.part10 import read_meta
from pacs_gateway.transcode import to_explicit

ROWS, COLUMNS, BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
SAMPLES_PER_PIXEL, NUMBER_OF_FRAMES = 0x00280002, 0x00280008
_TAGS = frozenset({ROWS, COLUMNS, BITS_ALLOCATED, SAMPLES_PER_PIXEL, NUMBER_OF_FRAMES})
NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
OCTETS = "application/octet-stream"
MEDIA_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Of a frame as stored. PS3.18 table 8.7.3-5."""


class NoFrame(ValueError):
    """The file has no such frame; the text gives the numbers that it has."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of one frame, and what they are."""

    content: bytes
    transfer_syntax_uid: str
    media_type: str


def read_frames(path: Path, numbers: list[int]) -> list[Frame]:
    """Frames by number (1 is the first), each as it is stored.

    Raises:
        NoFrame: the file has no pixels, or fewer frames.
        UnreadableDataSet: the file cannot be walked.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        meta = read_meta(data)
        syntax, start = meta.transfer_syntax_uid, meta.data_set_offset
        body: Buffer = data
        if syntax == DeflatedExplicitVRLittleEndian:
            body, start = zlib.decompress(bytes(data[start:]), wbits=-15), 0
        return _frames(body, syntax, start, numbers)


def decoded_frames(path: Path, numbers: list[int]) -> list[Frame]:
    """The same, uncompressed and in little endian.

    Raises:
        CannotTranscode: the pixels do not decode.
        NoFrame, UnreadableDataSet: see `read_frames`.
    """
    content = to_explicit(path)
    start = read_meta(content).data_set_offset
    return _frames(content, ExplicitVRLittleEndian, start, numbers)


def read_bulk(path: Path, tag: int) -> bytes:
    """The value of one element of the top level as bytes; of pixels, every frame as stored.

    Raises:
        NoFrame: the file has no such element.
        UnreadableDataSet: the file cannot be walked.
    """
    content = path.read_bytes()
    meta = read_meta(content)
    syntax, position = meta.transfer_syntax_uid, meta.data_set_offset
    if syntax == DeflatedExplicitVRLittleEndian:
        content, position = zlib.decompress(content[position:], wbits=-15), 0
    explicit, big = syntax != ImplicitVRLittleEndian, syntax == ExplicitVRBigEndian
    walk = Walk(content, len(content), explicit=explicit, big=big, partial=False)
    while position + 8 <= walk.end:
        found, length, value = walk.element(position)
        following = walk.skip(found, length, value, 0)
        if found == tag:
            return content[value:following]
        position = following
    raise NoFrame(f"the instance has no element {tag:08X}")


def _frames(data: Buffer, syntax: str, start: int, numbers: list[int]) -> list[Frame]:
    explicit, big = syntax != ImplicitVRLittleEndian, syntax == ExplicitVRBigEndian
    walk = Walk(data, len(data), explicit=explicit, big=big, partial=False)
    values, position, length = _find_pixels(walk, start)
    count = _number(values, NUMBER_OF_FRAMES, 1, big=big, text=True)
    wrong = [number for number in numbers if not 1 <= number <= count]
    if wrong:
        raise NoFrame(f"there is no frame {wrong[0]}; the instance has 1 to {count}")
    if length == UNDEFINED_LENGTH:
        pieces = _encapsulated(data, walk, position, count)
        media_type = MEDIA_TYPES.get(syntax, OCTETS)
        return [Frame(pieces[number - 1], syntax, media_type) for number in numbers]
    size = _frame_bytes(values, big=big)
    if size * count > length:
        raise NoFrame(f"pixel data of {length} bytes hold fewer than {count} frames of {size} bytes")
    native = ExplicitVRBigEndian if big else ExplicitVRLittleEndian
    starts = [position + (number - 1) * size for number in numbers]
    return [Frame(bytes(data[at : at + size]), native, OCTETS) for at in starts]


def _find_pixels(walk: Walk, position: int) -> tuple[Values, int, int]:
    found: Values = {}
    while position + 8 <= walk.end:
        tag, length, value = walk.element(position)
        if tag == PIXEL_DATA:
            return found, value, length
        following = walk.skip(tag, length, value, 0)
        if tag in _TAGS:
            found[tag] = bytes(walk.data[value:following])
        position = following
    raise NoFrame("the instance has no pixel data")


def _number(values: Values, tag: int, default: int, *, big: bool, text: bool = False) -> int:
    raw = values.get(tag, b"")
    if text:
        digits = raw.decode("latin-1").strip("\x00 ")
        return int(digits) if digits.isdigit() else default
    return int(unpack_from(">H" if big else "<H", raw)[0]) if len(raw) >= 2 else default


def _frame_bytes(values: Values, *, big: bool) -> int:
    rows, columns = (_number(values, tag, 0, big=big) for tag in (ROWS, COLUMNS))
    samples = _number(values, SAMPLES_PER_PIXEL, 1, big=big)
    bits = _number(values, BITS_ALLOCATED, 16, big=big)
    size = (rows * columns * samples * bits + 7) // 8
    if not size:
        raise NoFrame("the instance does not say how large its frames are")
    return size


def _encapsulated(data: Buffer, walk: Walk, position: int, count: int) -> list[bytes]:
    """The frames of encapsulated pixel data: the fragments, joined frame by frame."""
    items: list[tuple[int, int]] = []
    first = None
    while position + 8 <= walk.end:
        tag, length, value = walk.element(position)
        if tag != ITEM or length == UNDEFINED_LENGTH or value + length > walk.end:
            break
        if first is None:
            first, table = value + length, bytes(data[value : value + length])
        else:
            items.append((value, length))
        position = value + length
    if first is None or not items:
        raise UnreadableDataSet("encapsulated pixel data without fragments")
    if len(items) == count:
        return [bytes(data[value : value + length]) for value, length in items]
    if count == 1:
        return [b"".join(bytes(data[value : value + length]) for value, length in items)]
    return _by_offsets(data, items, table, first)


def _by_offsets(data: Buffer, items: list[tuple[int, int]], table: bytes, first: int) -> list[bytes]:
    starts = [first + offset for (offset,) in _offsets(table)]
    if not starts:
        raise UnreadableDataSet("frames in several fragments without an offset table")
    frames: list[list[bytes]] = [[] for _ in starts]
    for value, length in items:
        index = max(n for n, at in enumerate(starts) if at <= value - 8)
        frames[index].append(bytes(data[value : value + length]))
    return [b"".join(fragments) for fragments in frames]


def _offsets(table: bytes) -> list[tuple[int]]:
    return [unpack_from("<I", table, at) for at in range(0, len(table) - len(table) % 4, 4)]
