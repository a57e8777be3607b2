"""Read the elements of a Part 10 file as raw bytes: no conversion, no warning, no global setting.

pydicom checks every value against process-wide settings and speaks through `warnings`, which cannot be
silenced in one thread alone. Hospital headers are wrong often enough (illegal UIDs, over-long text, unknown
character sets) that the reader of pixels takes the few elements it needs without asking whether they are
legal. Layout: DICOM PS3.5 sections 7.1 (elements), 7.5 (sequences), PS3.10 section 7.1 (file meta).
"""

import math
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

PREAMBLE_BYTES = 132
HEADER_BYTES = 1 << 18
"""Read first; the rest only when the header is longer than this."""
DEEPEST = 16
"""Sequences nested deeper than this are taken for damage."""

TRANSFER_SYNTAX_UID = 0x00020010
PIXEL_DATA = 0x7FE00010
PIXEL_DATA_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)


class BadPart10(ValueError):
    """Not a DICOM file, or its header breaks off."""


@dataclass(frozen=True, slots=True)
class Elements:
    """The wanted elements of one data set: bytes as stored, sequences as lists of data sets."""

    values: dict[int, bytes] = field(default_factory=dict)
    sequences: "dict[int, list[Elements]]" = field(default_factory=dict)
    byte_order: str = "<"

    def text(self, tag: int) -> str:
        return self.values.get(tag, b"").decode("latin-1").strip(" \0\r\n\t")

    def texts(self, tag: int) -> tuple[str, ...]:
        whole = self.text(tag)
        return tuple(part.strip(" \0") for part in whole.split("\\")) if whole else ()

    def floats(self, tag: int) -> tuple[float, ...]:
        """Decimal strings (or FD/FL given as text by bad writers); empty when one of them is no number."""
        try:
            numbers = tuple(float(part) for part in self.texts(tag))
        except ValueError:
            return ()
        return numbers if all(map(math.isfinite, numbers)) else ()

    def unsigned(self, tag: int) -> int | None:
        value = self.values.get(tag, b"")
        return int(struct.unpack_from(f"{self.byte_order}H", value)[0]) if len(value) >= 2 else None

    def doubles(self, tag: int) -> tuple[float, ...]:
        value = self.values.get(tag, b"")
        return struct.unpack_from(f"{self.byte_order}{len(value) // 8}d", value)


@dataclass(frozen=True, slots=True)
class Part10:
    """One file: the wanted elements, and where its pixel data lies."""

    transfer_syntax_uid: str
    elements: Elements
    pixel_data: memoryview
    """Value of PixelData as stored (fragments when encapsulated); empty when absent or not read."""


@dataclass(frozen=True, slots=True)
class _Walk:
    buffer: memoryview
    explicit: bool
    byte_order: str
    wanted: Collection[int]

    def element(self, at: int) -> tuple[int, bytes, int, int]:
        """Tag, VR, start of the value, length of the value (maybe UNDEFINED)."""
        group, number = struct.unpack_from(f"{self.byte_order}HH", self.buffer, at)
        tag = group << 16 | number
        if group == 0xFFFE or not self.explicit:
            return tag, b"", at + 8, struct.unpack_from(f"{self.byte_order}L", self.buffer, at + 4)[0]
        vr = bytes(self.buffer[at + 4 : at + 6])
        if vr in LONG_VRS:
            return tag, vr, at + 12, struct.unpack_from(f"{self.byte_order}L", self.buffer, at + 8)[0]
        return tag, vr, at + 8, struct.unpack_from(f"{self.byte_order}H", self.buffer, at + 6)[0]

    def dataset(self, at: int, end: int, depth: int = 0) -> tuple[Elements, int, tuple[int, int]]:
        """Elements up to `end`, an item delimiter or the pixels; where it stopped; pixels (start, length)."""
        if depth > DEEPEST:
            raise BadPart10(f"sequences nested deeper than {DEEPEST}")
        found = Elements(byte_order=self.byte_order)
        while at + 8 <= end:
            tag, vr, start, length = self.element(at)
            if tag == ITEM_END:
                return found, start, (0, 0)
            if tag in PIXEL_DATA_TAGS and depth == 0:
                return found, start, (start, length)
            if length == UNDEFINED or (tag in self.wanted and _is_sequence(tag, vr)):
                items, at = self.sequence(start, end if length == UNDEFINED else start + length, vr, depth)
                if tag in self.wanted:
                    found.sequences[tag] = items
                continue
            if start + length > end:
                raise BadPart10(f"element {tag:08X} of {length} bytes runs past the end")
            if tag in self.wanted:
                found.values[tag] = bytes(self.buffer[start : start + length])
            at = start + length
        return found, at, (0, 0)

    def sequence(self, at: int, end: int, vr: bytes, depth: int) -> "tuple[list[Elements], int]":
        # UN of undefined length holds implicit VR, PS3.5 section 6.2.2.
        inner = self if vr != b"UN" else _Walk(self.buffer, False, "<", self.wanted)
        items: list[Elements] = []
        while at + 8 <= end:
            tag, _, start, length = inner.element(at)
            if tag == SEQUENCE_END:
                return items, start
            if tag != ITEM:
                raise BadPart10(f"{tag:08X} where a sequence item was due")
            stop = end if length == UNDEFINED else start + length
            if stop > end:
                raise BadPart10(f"sequence item of {length} bytes runs past the end")
            found, at, _ = inner.dataset(start, stop, depth + 1)
            items.append(found)
        return items, at


def _is_sequence(tag: int, vr: bytes) -> bool:
    """Implicit VR leaves it to the dictionary."""
    return vr == b"SQ" if vr else dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"


def read_part10(path: Path, wanted: Collection[int], *, pixels: bool = False) -> Part10:
    """Read the wanted elements, and with `pixels` the value of PixelData.

    Raises:
        BadPart10: no preamble, or the header breaks off or contradicts itself.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(-1 if pixels else HEADER_BYTES)
        try:
            return parse_part10(head, wanted)
        except BadPart10:
            rest = file.read()
            if not rest:
                raise
        return parse_part10(head + rest, wanted)


def parse_part10(content: bytes, wanted: Collection[int]) -> Part10:
    """`read_part10` of bytes in memory; without pixel data the header must end where the bytes end."""
    if content[128:PREAMBLE_BYTES] != b"DICM":
        raise BadPart10("no DICM prefix at byte 128")
    try:
        return _parse(memoryview(content), wanted)
    except struct.error as error:
        raise BadPart10(f"the header breaks off: {error}") from error


def _parse(buffer: memoryview, wanted: Collection[int]) -> Part10:
    meta, start = _file_meta(buffer)
    syntax = meta.text(TRANSFER_SYNTAX_UID)
    if syntax == DeflatedExplicitVRLittleEndian:
        buffer, start = _inflated(buffer[start:]), 0
    walk = _Walk(
        buffer,
        explicit=_is_explicit(buffer, start, syntax),
        byte_order=">" if syntax == ExplicitVRBigEndian else "<",
        wanted=wanted,
    )
    elements, at, (pixel_start, length) = walk.dataset(start, len(buffer))
    if not pixel_start and at != len(buffer):
        raise BadPart10(f"{len(buffer) - at} bytes left over after the last element")
    stop = len(buffer) if length == UNDEFINED else min(pixel_start + length, len(buffer))
    return Part10(syntax, elements, buffer[pixel_start:stop] if pixel_start else buffer[:0])


def _file_meta(buffer: memoryview) -> tuple[Elements, int]:
    """Group 0002, always explicit little endian; its stated length is not trusted."""
    walk = _Walk(buffer, True, "<", (TRANSFER_SYNTAX_UID,))
    found = Elements()
    at = PREAMBLE_BYTES
    while at + 8 <= len(buffer) and bytes(buffer[at : at + 2]) == b"\x02\x00":
        tag, _, start, length = walk.element(at)
        at = start + length
        if at > len(buffer):
            raise BadPart10("the file meta information breaks off")
        if tag == TRANSFER_SYNTAX_UID:
            found.values[tag] = bytes(buffer[start:at])
    return found, at


def _is_explicit(buffer: memoryview, at: int, syntax: str) -> bool:
    """As the first element looks: writers exist that name one syntax and write the other."""
    first = bytes(buffer[at + 4 : at + 6])
    if len(first) == 2:
        return first.isalpha() and first.isupper()
    return syntax != ImplicitVRLittleEndian


def _inflated(deflated: memoryview) -> memoryview:
    try:
        return memoryview(zlib.decompress(deflated, -zlib.MAX_WBITS))
    except zlib.error as error:
        raise BadPart10(f"deflated data set does not inflate: {error}") from error
