"""Whose study it is: identity of patient and study out of a Part 10 file, repaired, with each repair told."""

import mmap
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pacs_gateway.callers import Sender
from pacs_gateway.elements import UnreadableDataSet, Values, scan
from pacs_gateway.part10 import read_meta
from pacs_gateway.thai import decode_thai, repair_date

SPECIFIC_CHARACTER_SET = 0x00080005
STUDY_DATE, STUDY_TIME = 0x00080020, 0x00080030
ACCESSION_NUMBER = 0x00080050
INSTITUTION_NAME = 0x00080080
REFERRING_PHYSICIAN_NAME = 0x00080090
STUDY_DESCRIPTION = 0x00081030
PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID = 0x00100010, 0x00100020, 0x00100021
PATIENT_BIRTH_DATE, PATIENT_SEX, PATIENT_AGE = 0x00100030, 0x00100040, 0x00101010
IDENTITY_TAGS = frozenset(
    {
        SPECIFIC_CHARACTER_SET,
        STUDY_DATE,
        STUDY_TIME,
        ACCESSION_NUMBER,
        INSTITUTION_NAME,
        REFERRING_PHYSICIAN_NAME,
        STUDY_DESCRIPTION,
        PATIENT_NAME,
        PATIENT_ID,
        ISSUER_OF_PATIENT_ID,
        PATIENT_BIRTH_DATE,
        PATIENT_SEX,
        PATIENT_AGE,
    }
)
_AGE = re.compile(r"([0-9]{1,3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
OLDEST_YEARS = 130


@dataclass(frozen=True, slots=True)
class Identity:
    """Patient and study as the sender named them; the pair (hcode, patient_id) is the patient."""

    hcode: str | None
    patient_id: str
    """The hospital's HN; empty where the sender left it out."""
    issuer: str
    patient_name: str
    """NFC Unicode, component groups joined by = as in PN."""
    raw_patient_name: bytes
    charset_declared: str
    charset_used: str
    """Of the patient's name: ascii, utf-8, cp874 or a codec's name."""
    birth_date: date | None
    sex: str
    age_years: float | None
    accession_number: str
    study_date: date | None
    study_time: str
    study_description: str
    referring_physician_name: str
    institution_name: str
    repairs: tuple[str, ...]
    """What was read otherwise than declared; tags and charsets only, never a value."""


def read_identity(path: Path, sender: Sender) -> Identity:
    """Identity from one Part 10 file of a study.

    Raises:
        UnreadableDataSet: no Part 10 file, or one that ends early.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise UnreadableDataSet(f"{path.name} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = read_meta(data)
            values = scan(data, meta.transfer_syntax_uid, IDENTITY_TAGS, start=meta.data_set_offset)
    return identity_of(values, sender)


def identity_of(values: Values, sender: Sender) -> Identity:
    """Identity from raw element values, as `scan` gives them; missing ones are empty."""
    reading = _Reading(values)
    study_date = reading.day(STUDY_DATE, "StudyDate")
    birth_date = reading.day(PATIENT_BIRTH_DATE, "PatientBirthDate")
    patient_name = reading.text(PATIENT_NAME, "PatientName")
    charset_used = reading.charset
    return Identity(
        hcode=sender.hcode,
        patient_id=reading.text(PATIENT_ID, "PatientID"),
        issuer=reading.text(ISSUER_OF_PATIENT_ID, "IssuerOfPatientID"),
        patient_name=patient_name,
        raw_patient_name=values.get(PATIENT_NAME, b""),
        charset_declared=reading.declared,
        charset_used=charset_used,
        birth_date=birth_date,
        sex=reading.text(PATIENT_SEX, "PatientSex")[:1].upper(),
        age_years=reading.age(birth_date, study_date),
        accession_number=reading.text(ACCESSION_NUMBER, "AccessionNumber"),
        study_date=study_date,
        study_time=reading.text(STUDY_TIME, "StudyTime"),
        study_description=reading.text(STUDY_DESCRIPTION, "StudyDescription"),
        referring_physician_name=reading.text(REFERRING_PHYSICIAN_NAME, "ReferringPhysicianName"),
        institution_name=reading.text(INSTITUTION_NAME, "InstitutionName"),
        repairs=tuple(dict.fromkeys(reading.repairs)),
    )


class _Reading:
    """Reads one file's values and remembers what had to be repaired."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.declared = values.get(SPECIFIC_CHARACTER_SET, b"").decode("latin-1").strip("\x00 ")
        self.charset = "ascii"
        self.repairs: list[str] = []

    def text(self, tag: int, keyword: str) -> str:
        text, self.charset = decode_thai(self.values.get(tag, b""), self.declared)
        if self.charset != "ascii" and not _agrees(self.declared, self.charset):
            self.repairs.append(
                f"charset: {keyword} declared {self.declared or 'nothing'}, read as {self.charset}"
            )
        return text.strip("\x00 ")

    def day(self, tag: int, keyword: str) -> date | None:
        value, buddhist = repair_date(self.values.get(tag, b"").decode("latin-1"))
        if buddhist:
            self.repairs.append(f"buddhist_date: {keyword}")
        return value

    def age(self, birth_date: date | None, study_date: date | None) -> float | None:
        computed = age_between(birth_date, study_date)
        stated = parse_age(self.values.get(PATIENT_AGE, b"").decode("latin-1"))
        if "buddhist_date: PatientBirthDate" in self.repairs and computed is not None:
            return computed  # a scanner that was fed the Buddhist year computed nonsense
        return computed if stated is None else stated


def _agrees(declared: str, used: str) -> bool:
    if used == "cp874":
        return "166" in declared or "620" in declared
    if used == "utf-8":
        return "192" in declared
    return bool(declared)


def parse_age(text: str) -> float | None:
    """Years from an AS value such as 045Y or 006M; None for anything else. PS3.5 6.2."""
    parts = _AGE.fullmatch(text.strip("\x00 ").upper())
    if parts is None:
        return None
    years = int(parts[1]) if parts[2] == "Y" else int(parts[1]) * _DAYS[parts[2]] / 365.25
    return float(years) if years <= OLDEST_YEARS else None


def age_between(birth_date: date | None, study_date: date | None) -> float | None:
    """Age in years on the day of the study; None where it cannot be a person's."""
    if birth_date is None or study_date is None:
        return None
    years = (study_date - birth_date).days / 365.25
    return round(years, 2) if 0 <= years <= OLDEST_YEARS else None
