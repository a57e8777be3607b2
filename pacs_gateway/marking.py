"""What every object of ours carries: whose it is, that a machine made it, that nobody may diagnose by it."""

from datetime import timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset

from pacs_gateway.evidence import TIMEZONE, derived_uid
from pacs_gateway.results import RESEARCH_USE, StudyResult

BANGKOK = timezone(timedelta(hours=7))
NOT_FOR_DIAGNOSIS = "NOT FOR DIAGNOSTIC USE"

SERIES_NUMBERS = {"sr": 9000, "seg": 9001, "sc": 9002, "gsps": 9003, "pdf": 9004}
"""Behind everything a scanner makes."""


def object_uid(result: StudyResult, kind: str, *parts: object) -> str:
    """The UID of an object: the same revision read by the same weights has the same objects.

    A final report is another document than the preliminary one, so what a radiologist said counts too.
    """
    signed = result.signature.at.isoformat() if result.signature else ""
    return derived_uid(
        result.subject.study_instance_uid, result.revision, result.algorithm.digest, signed, kind, *parts
    )


def series_uid(result: StudyResult, kind: str) -> str:
    """The UID of the series of one kind; preliminary and final report are in one series."""
    return derived_uid(
        result.subject.study_instance_uid, result.revision, result.algorithm.digest, "series", kind
    )


def mark(ds: Dataset, result: StudyResult) -> None:
    """Put on what highdicom leaves out, and the moment of the result in place of the moment of writing."""
    at = result.at.astimezone(BANGKOK)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.TimezoneOffsetFromUTC = TIMEZONE
    ds.PatientName = result.subject.patient_name  # as it was, without the caret that `person` adds
    ds.ReferringPhysicianName = result.subject.referring_physician_name
    if result.subject.issuer:
        ds.IssuerOfPatientID = result.subject.issuer
    if result.subject.study_description:
        ds.StudyDescription = result.subject.study_description[:64]
    ds.InstanceCreationDate, ds.InstanceCreationTime = f"{at:%Y%m%d}", f"{at:%H%M%S}"
    ds.SeriesDate, ds.SeriesTime = ds.InstanceCreationDate, ds.InstanceCreationTime
    for keyword in ("ContentDate", "PresentationCreationDate", "DateOfSecondaryCapture"):
        if keyword in ds:
            setattr(ds, keyword, ds.SeriesDate)
    for keyword in ("ContentTime", "PresentationCreationTime", "TimeOfSecondaryCapture"):
        if keyword in ds:
            setattr(ds, keyword, ds.SeriesTime)
    for equipment in ds.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = f"{at:%Y%m%d%H%M%S}"
    if "ContentQualification" in ds or ds.Modality == "SEG":
        ds.ContentQualification = "RESEARCH"


def device_words(result: StudyResult) -> dict[str, Any]:
    """Manufacturer's model, version and serial number, as highdicom asks for them."""
    return {
        "manufacturer_model_name": result.algorithm.name[:64],
        "software_versions": result.algorithm.version[:64],
        "device_serial_number": result.algorithm.serial_number[:64],
    }


def summary(result: StudyResult) -> str:
    """The result in one English paragraph."""
    said: dict[str, list[str]] = {}
    for each in result.statements:
        said.setdefault(each.decision, []).append(each.kind)
    parts = [f"AI triage: {result.state}."]
    if result.reasons:
        parts.append(f"Not assessed because: {', '.join(result.reasons)}.")
    for decision, words in (
        ("flag", "Flagged"),
        ("review", "Undecided"),
        ("clear", "Not flagged"),
        ("not_assessed", "Not assessed, nothing is said of"),
    ):
        if decision in said:
            parts.append(f"{words}: {', '.join(said[decision])}.")
    if result.suspicion is not None:
        parts.append(f"Suspected blood: {result.suspicion.volume_ml:.1f} mL.")
    return " ".join([*parts, RESEARCH_USE])
