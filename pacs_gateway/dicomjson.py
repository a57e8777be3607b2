"""A stored file's header in the DICOM JSON model, its text repaired to Unicode. PS3.18 annex F.

The values are read from raw bytes, as everything of the gateway is: hospital headers hold wrong character
sets and illegal values, and a strict reader would refuse them or speak of them. A number that is none is
left out; text is decoded by what the bytes are. Pixels and other long binary values become BulkDataURIs.
"""

import mmap
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from pacs_gateway.elements import ITEM, ITEM_END, PIXELS, SEQUENCE_END, UNDEFINED_LENGTH, Buffer, Walk
from pacs_gateway.part10 import read_meta
from pacs_gateway.thai import decode_thai

Attributes = dict[str, dict[str, Any]]
"""One data set in the JSON model: eight hexadecimal digits to {vr, Value | InlineBinary | BulkDataURI}."""

CHARSET, PIXEL_REPRESENTATION = 0x00080005, 0x00280103
INLINE_LIMIT = 1024
"""Binary values up to this many bytes stand in the header itself."""
MAX_DEPTH = 16
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
TEXT_ONE = frozenset({"LT", "ST", "UT", "UR"})
TEXT = TEXT_ONE | {"LO", "SH", "UC", "PN"}
NUMBERS: dict[str, tuple[str, int]] = {
    "US": ("H", 2),
    "SS": ("h", 2),
    "UL": ("I", 4),
    "SL": ("i", 4),
    "FL": ("f", 4),
    "FD": ("d", 8),
    "UV": ("Q", 8),
    "SV": ("q", 8),
}
PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    vr: str
    value: int
    length: int
    following: int


def read_attributes(path: Path, bulk_data: str) -> Attributes:
    """The header of one Part 10 file.

    Args:
        path: the file.
        bulk_data: what a BulkDataURI begins with; the tag in hexadecimal follows.

    Raises:
        UnreadableDataSet: no Part 10 file, or one that ends early.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        meta = read_meta(data)
        syntax, start = meta.transfer_syntax_uid, meta.data_set_offset
        if syntax == DeflatedExplicitVRLittleEndian:
            body: Buffer = zlib.decompress(bytes(data[start:]), wbits=-15)
            return _Reader(body, len(body), syntax, bulk_data).data_set(0)
        return _Reader(data, len(data), syntax, bulk_data).data_set(start)


class _Reader:
    """Turns the elements of one file into the JSON model."""

    def __init__(self, data: Buffer, end: int, syntax: str, bulk_data: str) -> None:
        big = syntax == ExplicitVRBigEndian
        explicit = syntax != ImplicitVRLittleEndian
        self._walk = Walk(data, end, explicit=explicit, big=big, partial=False)
        self._data, self._end, self._order = data, end, ">" if big else "<"
        self._bulk_data = bulk_data
        self._declared = ""
        self._signed = False

    def data_set(self, start: int) -> Attributes:
        return self._attributes(self._elements(start, self._end), depth=0)

    def _attributes(self, elements: Iterator[_Element], *, depth: int) -> Attributes:
        found: Attributes = {}
        for element in elements:
            if element.tag == CHARSET:
                self._declared = self._ascii(element)
                found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
                continue
            if element.tag == PIXEL_REPRESENTATION and element.length >= 2:
                self._signed = bool(self._numbers(element)[0])
            if (value := self._value(element, depth)) is not None:
                found[f"{element.tag:08X}"] = value
        return found

    def _elements(self, position: int, end: int) -> Iterator[_Element]:
        walk = self._walk
        while position + 8 <= end:
            tag, length, value = walk.element(position)
            if tag in (ITEM_END, SEQUENCE_END):
                return
            vr = self._vr(tag, position)
            if tag in PIXELS:
                yield _Element(tag, vr, value, length, end)
                return  # nothing of the header comes behind the pixels
            following = walk.skip(tag, length, value, 0)
            yield _Element(tag, vr, value, length, following)
            position = following

    def _vr(self, tag: int, position: int) -> str:
        if self._walk.explicit:
            stated = bytes(self._data[position + 4 : position + 6]).decode("latin-1")
            if stated != "UN":
                return stated
        return known_vr(tag, signed=self._signed)

    def _value(self, element: _Element, depth: int) -> dict[str, Any] | None:
        vr, length = element.vr, element.length
        if element.tag & 0xFFFF == 0:
            return None  # group lengths are no attributes
        if element.tag in PIXELS:
            return {
                "vr": "OW" if vr not in BINARY else vr,
                "BulkDataURI": f"{self._bulk_data}{element.tag:08X}",
            }
        if vr == "SQ" or length == UNDEFINED_LENGTH:
            return self._sequence(element, depth)
        if length == 0:
            return {"vr": vr}
        if vr in BINARY:
            return self._binary(element)
        values = self._values(element)
        return {"vr": vr, "Value": values} if values else {"vr": vr}

    def _binary(self, element: _Element) -> dict[str, Any]:
        if element.length > INLINE_LIMIT:
            return {"vr": element.vr, "BulkDataURI": f"{self._bulk_data}{element.tag:08X}"}
        raw = bytes(self._data[element.value : element.following])
        return {"vr": element.vr, "InlineBinary": b64encode(raw).decode()}

    def _values(self, element: _Element) -> list[Any]:
        vr = element.vr
        if vr in NUMBERS:
            return self._numbers(element)
        if vr == "AT":
            pairs = Struct(f"{self._order}HH").iter_unpack(self._whole(element, 4))
            return [f"{group:04X}{number:04X}" for group, number in pairs]
        if vr in TEXT:
            return self._text(element)
        parts = self._ascii(element).split("\\")
        if vr == "IS":
            return [number for part in parts if (number := _integer(part)) is not None]
        if vr == "DS":
            return [decimal for part in parts if (decimal := _decimal(part)) is not None]
        return [part.strip() or None for part in parts] if any(part.strip() for part in parts) else []

    def _numbers(self, element: _Element) -> list[Any]:
        code, size = NUMBERS[element.vr]
        numbers = Struct(f"{self._order}{code}").iter_unpack(self._whole(element, size))
        # JSON has no words for what is not a number
        return [number for (number,) in numbers if number == number and abs(number) != float("inf")]

    def _whole(self, element: _Element, size: int) -> bytes:
        raw = bytes(self._data[element.value : element.following])
        return raw[: len(raw) - len(raw) % size]

    def _text(self, element: _Element) -> list[Any]:
        text, _ = decode_thai(bytes(self._data[element.value : element.following]), self._declared)
        text = text.strip("\x00 ")
        parts = [text] if element.vr in TEXT_ONE else text.split("\\")
        if element.vr == "PN":
            return [person_name(part) for part in parts if part.strip(" ^=")]
        return [part.strip() or None for part in parts] if text else []

    def _ascii(self, element: _Element) -> str:
        raw = bytes(self._data[element.value : element.following])
        return raw.decode("latin-1").strip("\x00 ")

    def _sequence(self, element: _Element, depth: int) -> dict[str, Any]:
        if depth >= MAX_DEPTH or (element.length == UNDEFINED_LENGTH and element.vr in ("OB", "OW")):
            return {"vr": element.vr}
        items = []
        position = element.value
        while position + 8 <= element.following:
            tag, length, value = self._walk.element(position)
            if tag != ITEM:
                break
            end = element.following if length == UNDEFINED_LENGTH else value + length
            items.append(self._attributes(self._elements(value, end), depth=depth + 1))
            position = value + length if length != UNDEFINED_LENGTH else self._walk.item(value, 0)
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def known_vr(tag: int, *, signed: bool) -> str:
    """The VR of a tag that does not state it; where the dictionary leaves a choice, PS3.5 A.1 decides."""
    if tag & 0xFFFF == 0:
        return "UL"
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if vr.startswith("OB"):
        return "OW"
    return ("SS" if signed else "US") if vr.startswith("US") else vr


def person_name(text: str) -> dict[str, str]:
    """A PN value by its component groups. PS3.18 F.2.2."""
    groups = zip(PN_GROUPS, text.split("="), strict=False)
    return {name: group.strip() for name, group in groups if group.strip()}


def _integer(text: str) -> int | None:
    number = _decimal(text)
    return int(number) if number is not None and number == int(number) else None


def _decimal(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
