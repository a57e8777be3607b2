"""The images behind a result as clean data sets: only what the objects take over, legal, and in Unicode.

Hospital headers hold wrong character sets, illegal UIDs and Buddhist dates. Objects made from them as they
are would carry these on; so the identity comes repaired, and of the images only the geometry.
"""

import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

from pydicom.dataset import Dataset
from pydicom.uid import UID

from pacs_gateway.elements import Values, scan
from pacs_gateway.headers import HEADER_TAGS, InstanceHeader, header_of
from pacs_gateway.part10 import read_meta
from pacs_gateway.results import Reference, SourceImage, StudyResult, Subject
from pacs_gateway.thai import decode_thai

NAMESPACE = UUID("6d1f6c1e-7f0e-5b52-9f7b-3c2b3a0f8d5e")
"""Of all UIDs derived here; changing it changes every UID of every object."""

CHARSET, STUDY_TIME, REFERRING = 0x00080005, 0x00080030, 0x00080090
STUDY_ID, FRAME_OF_REFERENCE, PIXEL_SPACING = 0x00200010, 0x00200052, 0x00280030
_TAGS = HEADER_TAGS | {CHARSET, STUDY_TIME, REFERRING, STUDY_ID, FRAME_OF_REFERENCE, PIXEL_SPACING}
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]){0,2}(\.[0-9]{1,6})?")
_LEGAL_UID = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
TIMEZONE = "+0700"


@dataclass(frozen=True, slots=True)
class SourceHeader:
    """What one file says that objects about it must repeat."""

    header: InstanceHeader
    frame_of_reference_uid: str
    pixel_spacing: tuple[float, float] | None
    study_time: str
    study_id: str
    referring_physician_name: str


def derived_uid(*parts: object) -> str:
    """A UID under 2.25 that follows from the parts alone. PS3.5 B.2."""
    return f"2.25.{uuid5(NAMESPACE, '|'.join(map(str, parts))).int}"


def read_source(path: Path) -> SourceHeader:
    """Read one stored file.

    Raises:
        UnreadableDataSet: no Part 10 file, or one without its four UIDs.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        meta = read_meta(data)
        values = scan(data, meta.transfer_syntax_uid, _TAGS, start=meta.data_set_offset)
    declared = _plain(values, CHARSET)
    time = _plain(values, STUDY_TIME).replace(":", "")
    frame_of_reference = _plain(values, FRAME_OF_REFERENCE)
    return SourceHeader(
        header=header_of(values, meta.transfer_syntax_uid),
        frame_of_reference_uid=frame_of_reference if _LEGAL_UID.fullmatch(frame_of_reference) else "",
        pixel_spacing=_pair(_plain(values, PIXEL_SPACING)),
        study_time=time if _TIME.fullmatch(time) else "",
        study_id=_text(values, STUDY_ID, declared)[:16],
        referring_physician_name=_text(values, REFERRING, declared)[:64],
    )


def subject_data_set(subject: Subject) -> Dataset:
    """The patient and study modules, every required attribute there, empty where unknown."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.TimezoneOffsetFromUTC = TIMEZONE
    ds.PatientName = person(subject.patient_name)
    ds.PatientID = subject.patient_id[:64]
    if subject.issuer:
        ds.IssuerOfPatientID = subject.issuer
    ds.PatientBirthDate = f"{subject.birth_date:%Y%m%d}" if subject.birth_date else ""
    ds.PatientSex = subject.sex if subject.sex in ("M", "F", "O") else ""
    ds.StudyInstanceUID = UID(subject.study_instance_uid)
    ds.StudyDate = f"{subject.study_date:%Y%m%d}" if subject.study_date else ""
    ds.StudyTime = subject.study_time
    ds.StudyID = subject.study_id
    ds.AccessionNumber = subject.accession_number[:16]
    ds.ReferringPhysicianName = person(subject.referring_physician_name)
    if subject.study_description:
        ds.StudyDescription = subject.study_description[:64]
    return ds


def person(name: str) -> str:
    """A name of a single component, closed by a caret: highdicom quotes others in its warnings."""
    return f"{name}^" if name and "^" not in name else name


def reference_data_set(reference: Reference, subject: Subject) -> Dataset:
    """An instance by its UIDs, with patient and study round it."""
    ds = subject_data_set(subject)
    ds.SOPClassUID = UID(reference.sop_class_uid)
    ds.SOPInstanceUID = UID(reference.sop_instance_uid)
    ds.SeriesInstanceUID = UID(reference.series_instance_uid)
    return ds


def image_data_sets(result: StudyResult) -> list[Dataset]:
    """The files of the series that was read: one each for single images, one for all frames of a file."""
    files: dict[str, list[SourceImage]] = {}
    for image in result.images:
        files.setdefault(image.sop_instance_uid, []).append(image)
    return [_image_data_set(images, result.subject) for images in files.values()]


def _image_data_set(images: Sequence[SourceImage], subject: Subject) -> Dataset:
    first = images[0]
    reference = Reference(first.sop_class_uid, first.sop_instance_uid, first.series_instance_uid)
    ds = reference_data_set(reference, subject)
    ds.Modality = "CT"
    ds.BodyPartExamined = "HEAD"
    ds.InstanceNumber = first.instance_number or 1
    ds.FrameOfReferenceUID = first.frame_of_reference_uid or derived_uid(
        "frame of reference", first.series_instance_uid
    )
    ds.PositionReferenceIndicator = ""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Rows, ds.Columns = first.rows, first.columns
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    if first.frame is None:
        ds.ImagePositionPatient = [_decimal(value) for value in first.position]
        ds.ImageOrientationPatient = [_decimal(value) for value in first.orientation]
        ds.PixelSpacing = [_decimal(value) for value in first.pixel_spacing]
        ds.SliceThickness = _decimal(first.thickness) if first.thickness else None
        return ds
    ds.NumberOfFrames = first.frames
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [_decimal(value) for value in first.pixel_spacing]
    if first.thickness:
        measures.SliceThickness = _decimal(first.thickness)
    orientation.ImageOrientationPatient = [_decimal(value) for value in first.orientation]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    known = {image.frame: image for image in images}
    ds.PerFrameFunctionalGroupsSequence = [
        _frame(known.get(number, first)) for number in range(1, first.frames + 1)
    ]
    return ds


def _frame(image: SourceImage) -> Dataset:
    frame, position = Dataset(), Dataset()
    position.ImagePositionPatient = [_decimal(value) for value in image.position]
    frame.PlanePositionSequence = [position]
    return frame


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters. PS3.5 6.2, DS."""
    for digits in range(15, 5, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.6g}"


def _plain(values: Values, tag: int) -> str:
    return values.get(tag, b"").decode("latin-1").strip("\x00 ")


def _text(values: Values, tag: int, declared: str) -> str:
    return str(decode_thai(values.get(tag, b""), declared)[0]).strip("\x00 ")


def _pair(text: str) -> tuple[float, float] | None:
    try:
        row, column = (float(part) for part in text.split("\\"))
    except ValueError:
        return None
    return (row, column) if row > 0 and column > 0 else None
