"""What is to be said of a study, as plain values: the objects for a PACS are built from these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]
Box = tuple[float, float, float, float]

MANUFACTURER = "Imaging Hub R8"
RESEARCH_USE = "For research use: triage and notification only, not for diagnostic use."
RESEARCH_USE_TH = "เพื่อการวิจัย: ใช้คัดกรองและแจ้งเตือนเท่านั้น ห้ามใช้วินิจฉัย"


class NotReportable(ValueError):
    """No object can be made of these values; the text says which of them stands in the way."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose study it is, as repaired; what the hospital left out is empty."""

    study_instance_uid: str
    patient_id: str = ""
    issuer: str = ""
    """The hospital's code: an HN means nothing without it. IssuerOfPatientID."""
    patient_name: str = ""
    birth_date: date | None = None
    sex: str = ""
    accession_number: str = ""
    study_date: date | None = None
    study_time: str = ""
    study_id: str = ""
    study_description: str = ""
    referring_physician_name: str = ""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image that was looked at: a file, or one frame of a file."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    rows: int
    columns: int
    position: Triple
    """ImagePositionPatient, mm."""
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing: tuple[float, float]
    """Between rows, between columns, mm."""
    thickness: float | None = None
    instance_number: int | None = None
    frame: int | None = None
    """Of a multi-frame file, from 1; None for a file of one image."""
    frames: int = 1
    frame_of_reference_uid: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that the result is about, by its UIDs alone."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What looked."""

    name: str
    version: str
    digest: str
    """SHA-256 of the weights."""
    serial_number: str = "HUB"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of one kind of stroke."""

    kind: str
    """As in `concepts.FINDINGS`, e.g. any_ich."""
    decision: str
    """flag, clear, review or not_assessed."""
    probability: float | None
    threshold: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class KeySlice:
    """One telling slice."""

    image: SourceImage
    number: int
    """Counted from the most inferior, from 1."""
    box: Box | None
    """The suspicion in fractions of the image: left, top, right, bottom."""
    picture: NDArray[np.uint8] | None = None
    """Shape (rows, columns, 3), windowed, with the suspicion outlined."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Where blood is suspected."""

    masks: Mapping[int, NDArray[np.bool_]]
    """By the number of the image in `StudyResult.images`, each of its shape; images without are left out."""
    volume_ml: float


@dataclass(frozen=True, slots=True)
class Signature:
    """A radiologist's word on the result, which makes the report final."""

    reviewer: str
    organisation: str
    verdict: str
    """agree or correct."""
    present: Sequence[str]
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StudyResult:
    """Everything that is said of one revision of a study."""

    subject: Subject
    revision: int
    state: str
    """flagged, clear, review or refused."""
    algorithm: Algorithm
    at: datetime
    """When it was said; goes into the objects, so that the same result gives the same bytes."""
    references: Sequence[Reference]
    """Every instance that was there."""
    images: Sequence[SourceImage] = ()
    """The series that was read, inferior to superior; none where the study was refused."""
    statements: Sequence[Statement] = ()
    reasons: Sequence[str] = ()
    """Why it was refused, as machine words."""
    notes: Sequence[str] = ()
    key_slices: Sequence[KeySlice] = ()
    suspicion: Suspicion | None = None
    signature: Signature | None = None

    @property
    def suspects(self) -> bool:
        """Whether anything is flagged or left to a person: only then is there something to point at."""
        return self.state in ("flagged", "review")
