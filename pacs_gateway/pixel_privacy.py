"""Whether an image's pixels may leave care: what shows text, a profile or a face is refused."""

from enum import StrEnum

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from pacs_gateway.headers import InstanceHeader

THIN_MM = 3.0
"""Slices closer than this give a face that people recognise when rendered."""


class Reason(StrEnum):
    """Why an object does not leave care."""

    UNREADABLE = "unreadable"
    OBJECT_KIND = "object_kind"
    DERIVED = "derived"
    LOCALIZER = "localizer"
    BURNED_IN = "burned_in"
    OVERLAY_IN_PIXELS = "overlay_in_pixels"
    FACE = "face"

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Reason.UNREADABLE: "no DICOM file, or one that ends early",
    Reason.OBJECT_KIND: "no CT image: reports, documents, captures and dose pages hold text",
    Reason.DERIVED: "not ORIGINAL\\PRIMARY: a rendering or a capture may show text or a face",
    Reason.LOCALIZER: "a topogram shows the profile of the face",
    Reason.BURNED_IN: "BurnedInAnnotation is not NO",
    Reason.OVERLAY_IN_PIXELS: "drawings in the unused bits of compressed pixels",
    Reason.FACE: f"slices under {THIN_MM} mm apart whose face cannot be told from the rest",
}


class Refusal(ValueError):
    """An object that does not leave care."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"{reason}: {reason.meaning}")
        self.reason = reason


def check_kind(header: InstanceHeader) -> None:
    """Refuse what is no original CT slice.

    Raises:
        Refusal: with the reason.
    """
    if header.sop_class_uid != CTImageStorage:
        raise Refusal(Reason.OBJECT_KIND)
    if "LOCALIZER" in header.image_type:
        raise Refusal(Reason.LOCALIZER)
    if header.image_type[:2] != ("ORIGINAL", "PRIMARY"):
        raise Refusal(Reason.DERIVED)


def check_pixels(ds: Dataset) -> None:
    """Refuse pixels that hold text or drawings.

    Raises:
        Refusal: with the reason.
    """
    if str(ds.get("BurnedInAnnotation") or "NO").strip().upper() != "NO":
        raise Refusal(Reason.BURNED_IN)
    if has_embedded_overlay(ds) and ds.file_meta.TransferSyntaxUID.is_compressed:
        raise Refusal(Reason.OVERLAY_IN_PIXELS)


def has_embedded_overlay(ds: Dataset) -> bool:
    """Whether the unused bits of the pixels may hold an overlay, PS3.5 8.1.2 of 2004."""
    groups = {tag >> 16 for tag in list(ds.keys()) if tag >> 24 == 0x60 and not tag >> 16 & 1}
    return any((group << 16 | 0x3000) not in ds for group in groups)


def without_unused_bits(pixels: bytes, *, allocated: int, stored: int, signed: bool) -> bytes:
    """Native little endian pixels whose bits above the stored ones say nothing but the sign.

    Args:
        pixels: values of `allocated` bits, the stored ones lowest.
    """
    kind = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    unused = allocated - stored
    values = np.frombuffer(pixels[: len(pixels) // kind.itemsize * kind.itemsize], kind)
    return ((values << unused) >> unused).astype(kind).tobytes()
