"""A data set written from the DICOM JSON model, Explicit VR Little Endian, text in UTF-8. PS3.18 annex F."""

import struct
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from pacs_gateway.elements import PIXEL_DATA, UNDEFINED_LENGTH

FETCH = Callable[[str, str], bytes]
"""From a BulkDataURI and the attribute's name to the value."""
CHARSET, PIXELS, FRAMES = "00080005", "7FE00010", "00280008"
ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


class BadAttribute(ValueError):
    """What an instance cannot be written with; the text names the attribute and no value of it."""

    def __init__(self, message: str, *, wrong_type: bool = False) -> None:
        super().__init__(message)
        self.wrong_type = wrong_type
        """Its bytes came in a media type that is not taken."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixel data that came apart from their attributes."""

    syntax: str
    """Transfer Syntax UID of the parts."""
    parts: Sequence[Iterable[bytes]]
    """Of compressed pixels a part is a frame, or a fragment where there is one frame."""
    sizes: Sequence[int]


def first_value(attributes: dict[str, Any], tag: str) -> str:
    """The first value of an attribute as text; empty where it has none."""
    values = attributes.get(tag)
    found = values.get("Value") if isinstance(values, dict) else None
    return str(found[0]) if isinstance(found, list) and found else ""


def inline_pixels(attribute: Any) -> Pixels | None:
    """Pixels that stand in the metadata themselves; None where there are none.

    Raises:
        BadAttribute: they are not in base 64.
    """
    if not isinstance(attribute, dict) or "InlineBinary" not in attribute:
        return None
    try:
        content = b64decode(attribute["InlineBinary"], validate=True)
    except (ValueError, TypeError):
        raise BadAttribute("PixelData is not as the DICOM JSON model has it") from None
    return Pixels(ExplicitVRLittleEndian, [[content]], [len(content)])


def write_data_set(attributes: dict[str, Any], pixels: Pixels | None, fetch: FETCH) -> Iterator[bytes]:
    """The bytes of an instance, in pieces; its file meta group is not among them.

    Args:
        attributes: In the JSON model; those of group 2 are left out.
        pixels: Copied as they are in place of the attribute's own value.
        fetch: Gives other values that came apart; it may raise `BadAttribute`.

    Raises:
        BadAttribute: an attribute does not follow the model, or the parts are not as many as the frames.
    """
    ds = Dataset()
    for tag in sorted(attributes):
        if not tag.startswith("0002") and tag != CHARSET and not (tag == PIXELS and pixels):
            ds.update(_element(tag, attributes[tag], fetch))
    ds.SpecificCharacterSet = "ISO_IR 192"
    yield _encoded(ds[:PIXEL_DATA] if pixels else ds)
    if pixels is None:
        return
    if UID(pixels.syntax).is_compressed:
        yield from _encapsulated(pixels, first_value(attributes, FRAMES) or "1")
    else:
        vr = b"OB" if attributes[PIXELS].get("vr") == "OB" else b"OW"
        total = sum(pixels.sizes)
        yield _head(vr, total + total % 2)
        for part in pixels.parts:
            yield from part
        yield bytes(total % 2)
    yield _encoded(ds[PIXEL_DATA + 1 :])


def _element(tag: str, attribute: Any, fetch: FETCH) -> Dataset:
    name = keyword_for_tag(int(tag, 16)) or tag if _is_tag(tag) else ""
    if not name:
        raise BadAttribute("an attribute's name is not eight hexadecimal digits")

    def bulk(found: str, vr: str, address: str) -> bytes:
        return fetch(address, keyword_for_tag(int(found, 16)) or found)

    try:
        return Dataset.from_json({tag: attribute}, bulk)
    except BadAttribute:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        raise BadAttribute(f"{name} is not as the DICOM JSON model has it") from None


def _is_tag(text: str) -> bool:
    return len(text) == 8 and all(digit in "0123456789ABCDEFabcdef" for digit in text)


def _encoded(ds: Dataset) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    for element in ds:
        one = Dataset()
        one.add(element)
        try:
            write_dataset(file, one, "utf-8")
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error):
            raise BadAttribute(f"{element.keyword or element.tag} cannot be written with its VR") from None
    return file.getvalue()


def _encapsulated(pixels: Pixels, frames: str) -> Iterator[bytes]:
    if frames != "1" and str(len(pixels.parts)) != frames:
        raise BadAttribute(f"{len(pixels.parts)} parts of compressed pixels for {frames} frames")
    yield _head(b"OB", UNDEFINED_LENGTH)
    yield ITEM + struct.pack("<I", 0)
    for part, size in zip(pixels.parts, pixels.sizes, strict=True):
        yield ITEM + struct.pack("<I", size + size % 2)
        yield from part
        yield bytes(size % 2)
    yield SEQUENCE_END + struct.pack("<I", 0)


def _head(vr: bytes, length: int) -> bytes:
    return struct.pack("<HH2sxxI", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF, vr, length)
