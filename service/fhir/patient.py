"""Patient: who a study is of, known by (hospital, HN).

The hub has no rows of patients. A Patient's id is `p` and the number of the first study under that HN, so
that no address holds an HN; the number of any other study of the same patient leads to the same resource.
"""

import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.fhir.elements import Resource, day, filled, hn_system, identifier, moment
from service.fhir.organization import organization_reference
from service.studies import Study

_GENDERS: Final = {"M": "male", "F": "female", "O": "other"}
_ID: Final = re.compile(r"p([1-9][0-9]{0,17})")


def patient_number(session: Session, study: Study) -> int:
    """The number in the id of the study's patient."""
    if not study.patient_id:
        return study.id  # nobody can say whose it is: a patient of its own
    first = session.scalar(select(func.min(Study.id)).where(same_patient(study)))
    return first or study.id


def same_patient(study: Study) -> ColumnElement[bool]:
    """The condition for every study of this study's patient."""
    if not study.patient_id:
        return Study.id == study.id
    return (Study.hcode == study.hcode) & (Study.patient_id == study.patient_id)


def read_patient_id(text: str) -> int:
    """The study number in a Patient's id.

    Raises:
        NotFound: it is no such id.
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound(f"no Patient {text!r}")
    return int(found[1])


def patient(number: int, studies: Sequence[Study]) -> Resource:
    """The patient as the newest of the studies tells.

    Args:
        number: Of the Patient's id.
        studies: Of this patient, at least one.
    """
    newest = max(studies, key=lambda each: each.id)
    numbers = []
    if newest.patient_id and newest.hcode:
        numbers = [identifier(hn_system(newest.hcode), newest.patient_id, "localHn")]
    return filled(
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "meta": {"lastUpdated": moment(newest.last_received_at)},
            "identifier": numbers,
            "name": [human_name(newest.patient_name)] if newest.patient_name else [],
            "gender": _GENDERS.get(newest.sex, "unknown"),
            "birthDate": day(newest.birth_date),
            "managingOrganization": organization_reference(newest.hcode),
        }
    )


def human_name(dicom: str) -> Resource:
    """A DICOM person name (PS3.5 6.2.1) as a HumanName; the first group that has letters counts."""
    group = next((each for each in dicom.split("=") if each.strip("^ ")), "")
    family, given, middle, prefix, suffix = (*(part.strip() for part in group.split("^")), *[""] * 5)[:5]
    givens = [each for each in (given, middle) if each]
    first = f"{prefix}{given}"
    whole = " ".join(each for each in (first, middle, family, suffix) if each)
    return filled(
        {
            "text": whole,
            "family": family,
            "given": givens,
            "prefix": [prefix] if prefix else [],
            "suffix": [suffix] if suffix else [],
        }
    )
