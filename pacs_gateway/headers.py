"""What a DICOM file says of itself: the header of an instance, and by re-export the identity of its patient."""

import math
import mmap
from dataclasses import dataclass
from pathlib import Path

from pacs_gateway.callers import Sender
from pacs_gateway.elements import Buffer, UnreadableDataSet, Values, scan
from pacs_gateway.identity import Identity, read_identity
from pacs_gateway.part10 import NotPart10, read_meta
from pacs_gateway.thai import decode_thai, repair_date

__all__ = [
    "Identity",
    "InstanceHeader",
    "NotPart10",
    "Sender",
    "UnreadableDataSet",
    "decode_thai",
    "header_of",
    "read_header",
    "read_identity",
    "repair_date",
    "scan_header",
]

IMAGE_TYPE = 0x00080008
SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018
MODALITY = 0x00080060
SLICE_THICKNESS = 0x00180050
STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E
SERIES_NUMBER, ACQUISITION_NUMBER, INSTANCE_NUMBER = 0x00200011, 0x00200012, 0x00200013
IMAGE_POSITION_PATIENT, IMAGE_ORIENTATION_PATIENT = 0x00200032, 0x00200037
NUMBER_OF_FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
HEADER_TAGS = frozenset(
    {
        IMAGE_TYPE,
        SOP_CLASS_UID,
        SOP_INSTANCE_UID,
        MODALITY,
        SLICE_THICKNESS,
        STUDY_INSTANCE_UID,
        SERIES_INSTANCE_UID,
        SERIES_NUMBER,
        ACQUISITION_NUMBER,
        INSTANCE_NUMBER,
        IMAGE_POSITION_PATIENT,
        IMAGE_ORIENTATION_PATIENT,
        NUMBER_OF_FRAMES,
        ROWS,
        COLUMNS,
    }
)
LONGEST_UID = 256
"""PS3.5 9.1 allows 64; sloppy senders exceed it and are received all the same, up to here."""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """One instance, as far as grouping and completeness need it; positions in mm, DICOM patient axes."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    image_type: tuple[str, ...]
    rows: int | None
    columns: int | None
    number_of_frames: int
    series_number: int | None
    acquisition_number: int | None
    instance_number: int | None
    position: tuple[float, float, float] | None
    """ImagePositionPatient."""
    orientation: tuple[float, float, float, float, float, float] | None
    """ImageOrientationPatient: row cosines, column cosines."""
    slice_thickness: float | None


def read_header(path: Path) -> InstanceHeader:
    """Header of one Part 10 file.

    Raises:
        UnreadableDataSet: no Part 10 file, one that ends early, or one without its four UIDs.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise NotPart10(f"{path.name} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = read_meta(data)
            return scan_header(data, meta.transfer_syntax_uid, start=meta.data_set_offset)


def scan_header(data: Buffer, transfer_syntax_uid: str, *, start: int = 0) -> InstanceHeader:
    """Header of an encoded data set, which is walked to its end.

    Raises:
        UnreadableDataSet: it ends early, or lacks one of its four UIDs.
    """
    return header_of(scan(data, transfer_syntax_uid, HEADER_TAGS, start=start), transfer_syntax_uid)


def header_of(values: Values, transfer_syntax_uid: str) -> InstanceHeader:
    """Header from raw values, as `scan` gives them."""
    big = transfer_syntax_uid == "1.2.840.10008.1.2.2"
    x, y, z = _numbers(values, IMAGE_POSITION_PATIENT, 3) or (None,) * 3
    cosines = _numbers(values, IMAGE_ORIENTATION_PATIENT, 6)
    return InstanceHeader(
        sop_class_uid=_uid(values, SOP_CLASS_UID, "SOPClassUID"),
        sop_instance_uid=_uid(values, SOP_INSTANCE_UID, "SOPInstanceUID"),
        study_instance_uid=_uid(values, STUDY_INSTANCE_UID, "StudyInstanceUID"),
        series_instance_uid=_uid(values, SERIES_INSTANCE_UID, "SeriesInstanceUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        modality=_text(values, MODALITY).upper(),
        image_type=tuple(
            part.strip().upper() for part in _text(values, IMAGE_TYPE).split("\\") if part.strip()
        ),
        rows=_unsigned_short(values, ROWS, big),
        columns=_unsigned_short(values, COLUMNS, big),
        number_of_frames=_whole(values, NUMBER_OF_FRAMES) or 1,
        series_number=_whole(values, SERIES_NUMBER),
        acquisition_number=_whole(values, ACQUISITION_NUMBER),
        instance_number=_whole(values, INSTANCE_NUMBER),
        position=None if x is None or y is None or z is None else (x, y, z),
        orientation=None if cosines is None else (*cosines[:3], *cosines[3:]),  # type: ignore[arg-type]
        slice_thickness=(_numbers(values, SLICE_THICKNESS, 1) or (None,))[0],
    )


def _text(values: Values, tag: int) -> str:
    return values.get(tag, b"").decode("latin-1").strip("\x00 ")


def _uid(values: Values, tag: int, keyword: str) -> str:
    uid = _text(values, tag)
    if not uid:
        raise UnreadableDataSet(f"{keyword} is missing")
    if len(uid) > LONGEST_UID:
        raise UnreadableDataSet(f"{keyword} has {len(uid)} characters, the limit is {LONGEST_UID}")
    return uid


def _numbers(values: Values, tag: int, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in _text(values, tag).split("\\"))
    except ValueError:
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _whole(values: Values, tag: int) -> int | None:
    number = (_numbers(values, tag, 1) or (None,))[0]
    return None if number is None or abs(number) > 2**31 else int(number)


def _unsigned_short(values: Values, tag: int, big: bool) -> int | None:
    raw = values.get(tag, b"")[:2]
    return int.from_bytes(raw, "big" if big else "little") if len(raw) == 2 else None
