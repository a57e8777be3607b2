"""The shapes of the API's answers, with an example of each."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.states import Lane, Priority, StudyState
from service.studies import Study

UID_EXAMPLE = "1.2.826.0.1.3680043.8.498.12345678901234567890"


class PatientOut(BaseModel):
    """Who the study is of; (hospital, hn) is the patient."""

    hn: str
    name: str
    birth_date: date | None
    sex: str
    age_years: float | None


class CompletionOut(BaseModel):
    """Why the study counted as complete."""

    code: str
    text: str


class StudyOut(BaseModel):
    """One study as the worklist shows it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "study_instance_uid": UID_EXAMPLE,
                    "hospital": "10671",
                    "state": "flagged",
                    "revision": 1,
                    "priority": "routine",
                    "lane": "live",
                    "flags": ["any_ich", "sdh"],
                    "patient": {
                        "hn": "000000",
                        "name": "ตัวอย่าง^ผู้ป่วย",
                        "birth_date": "1958-04-01",
                        "sex": "F",
                        "age_years": 68.0,
                    },
                    "accession_number": "A1",
                    "study_date": "2026-11-22",
                    "study_description": "CT BRAIN",
                    "modality": "CT",
                    "instances": 32,
                    "duplicates": 0,
                    "conflicts": 0,
                    "completion": {"code": "head_covered", "text": "32 slices cover the head"},
                    "reasons": [],
                    "repairs": [],
                    "first_received_at": "2026-11-22T06:00:00Z",
                    "last_received_at": "2026-11-22T06:00:09Z",
                    "ready_at": "2026-11-22T06:00:10Z",
                    "result_at": "2026-11-22T06:00:15Z",
                    "reviewed_at": None,
                }
            ]
        }
    )

    study_instance_uid: str
    hospital: str | None
    state: StudyState
    revision: int
    priority: Priority
    lane: Lane
    flags: list[StrokeType]
    patient: PatientOut | None
    """None for roles that work without names."""
    accession_number: str | None
    study_date: date | None
    study_description: str
    modality: str
    instances: int
    duplicates: int
    conflicts: int
    completion: CompletionOut | None
    reasons: list[str]
    repairs: list[str]
    first_received_at: datetime
    last_received_at: datetime
    ready_at: datetime | None
    result_at: datetime | None
    reviewed_at: datetime | None


class PageOut(BaseModel):
    """One page of the worklist; send `next` as `after` for the page that follows."""

    studies: list[StudyOut]
    next: str | None


class ReprocessOut(BaseModel):
    """The revision that will be analysed."""

    study_instance_uid: str
    revision: int
    state: StudyState


def study_out(study: Study, flags: Sequence[StrokeType], viewer: Viewer) -> StudyOut:
    """A study as `viewer` may see it: without name, HN and accession number where the role works without."""
    named = viewer.may(Permission.READ_IDENTITY)
    values: dict[str, Any] = {
        name: getattr(study, name)
        for name in StudyOut.model_fields
        if name not in ("hospital", "flags", "patient", "completion", "accession_number")
    }
    return StudyOut(
        **values,
        hospital=study.hcode,
        flags=list(flags),
        patient=_patient_out(study) if named else None,
        accession_number=study.accession_number if named else None,
        completion=CompletionOut(code=study.completion_code, text=study.completion_text)
        if study.completion_code
        else None,
    )


def _patient_out(study: Study) -> PatientOut:
    return PatientOut(
        hn=study.patient_id,
        name=study.patient_name,
        birth_date=study.birth_date,
        sex=study.sex,
        age_years=study.age_years,
    )
