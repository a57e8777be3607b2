"""A stored file as Explicit VR Little Endian, the syntax that every DICOMweb client reads. PS3.18 8.7.3.5.

Implicit files are re-encoded element by element from their raw bytes, so that odd values and text pass as
they are; compressed, deflated and big-endian ones go through the decoders of pydicom.
"""

import mmap
from io import BytesIO
from pathlib import Path
from struct import pack

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pacs_gateway.dicomjson import PIXEL_REPRESENTATION, known_vr
from pacs_gateway.elements import ITEM, ITEM_END, LONG_VRS, PIXELS, SEQUENCE_END, UNDEFINED_LENGTH, Walk
from pacs_gateway.part10 import build_meta, read_meta

SEQUENCE_CLOSE = pack("<HHI", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)
ITEM_CLOSE = pack("<HHI", ITEM_END >> 16, ITEM_END & 0xFFFF, 0)
ITEM_OPEN = pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, UNDEFINED_LENGTH)
SHORT_LIMIT = 0xFFFF


class CannotTranscode(ValueError):
    """No decoder here reads the pixels of this file; it can still be sent as it is stored."""


def to_explicit(path: Path) -> bytes:
    """The file in Explicit VR Little Endian; as it is where it is so already.

    Raises:
        CannotTranscode: the pixels cannot be decoded.
        UnreadableDataSet: no Part 10 file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        meta = read_meta(data)
        if meta.transfer_syntax_uid == ExplicitVRLittleEndian:
            return bytes(data)
        if meta.transfer_syntax_uid == ImplicitVRLittleEndian:
            head = build_meta(
                sop_class_uid=meta.sop_class_uid,
                sop_instance_uid=meta.sop_instance_uid,
                transfer_syntax_uid=ExplicitVRLittleEndian,
                sending_ae=meta.sending_ae,
                receiving_ae=meta.receiving_ae,
                private_information=b"",
            )
            walk = Walk(data, len(data), explicit=False, big=False, partial=False)
            return head + _Explicit(walk).data_set(meta.data_set_offset, len(data))
    return _decoded(path)


def _decoded(path: Path) -> bytes:
    try:
        ds = dcmread(path)
        if ds.file_meta.TransferSyntaxUID.is_compressed and "PixelData" in ds:
            ds.decompress(generate_instance_uid=False)
        elif ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and ds.get("BitsAllocated", 8) > 8:
            # words are swapped by nobody but us: to the writer pixel data are bytes
            words = np.frombuffer(ds.PixelData, f">u{ds.BitsAllocated // 8}")
            ds.PixelData = words.astype(words.dtype.newbyteorder("<")).tobytes()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made = BytesIO()
        dcmwrite(made, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, OSError, Warning) as error:
        raise CannotTranscode(f"the pixels do not decode: {type(error).__name__}") from error
    return made.getvalue()


class _Explicit:
    """Re-encodes implicit elements as explicit ones."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._signed = False

    def data_set(self, position: int, end: int) -> bytes:
        made: list[bytes] = []
        walk = self._walk
        while position + 8 <= end:
            tag, length, value = walk.element(position)
            if tag in (ITEM_END, SEQUENCE_END):
                break
            following = min(walk.skip(tag, length, value, 0), walk.end)
            if tag & 0xFFFF:  # group lengths would be wrong now; they are retired
                made.append(self._element(tag, length, value, following))
            position = following
            if tag in PIXELS:
                break
        return b"".join(made)

    def _element(self, tag: int, length: int, value: int, following: int) -> bytes:
        vr = "SQ" if length == UNDEFINED_LENGTH else known_vr(tag, signed=self._signed)
        if vr == "SQ":
            return _long(tag, b"SQ", UNDEFINED_LENGTH) + self._items(value, following) + SEQUENCE_CLOSE
        raw = bytes(self._walk.data[value:following])
        if tag == PIXEL_REPRESENTATION and raw:
            self._signed = bool(raw[0])
        code = vr.encode()
        if code in LONG_VRS or len(raw) > SHORT_LIMIT:
            return _long(tag, code if code in LONG_VRS else b"UN", len(raw)) + raw
        return pack("<HH2sH", tag >> 16, tag & 0xFFFF, code, len(raw)) + raw

    def _items(self, position: int, end: int) -> bytes:
        made = []
        while position + 8 <= end:
            tag, length, value = self._walk.element(position)
            if tag != ITEM:
                break
            last = value + length if length != UNDEFINED_LENGTH else self._walk.item(value, 0)
            made.append(ITEM_OPEN + self.data_set(value, last) + ITEM_CLOSE)
            position = last
        return b"".join(made)


def _long(tag: int, vr: bytes, length: int) -> bytes:
    return pack("<HH2sxxI", tag >> 16, tag & 0xFFFF, vr, length)
