"""A referral as a FHIR document: one Bundle that says everything without a server. FHIR R4 3.3."""

import base64
from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy.orm import Session

from service.fhir.bundle import full_url
from service.fhir.device import device
from service.fhir.document_reference import LETTER_TITLE, REFERRAL_NOTE
from service.fhir.elements import Resource, concept, filled, moment, reference
from service.fhir.imaging_study import imaging_study, study_reference
from service.fhir.organization import organization, organization_reference
from service.fhir.patient import patient, read_patient_id
from service.fhir.referral import service_request, task
from service.fhir.report import diagnostic_report, observations
from service.fhir.told import read_told
from service.hospital_modes import Mode, mode_of
from service.hospitals import find_hospital
from service.referrals import Referral
from service.series import series_of
from service.studies import Study


def referral_document(
    session: Session, referral: Referral, letter: bytes, *, base: str, at: datetime
) -> Resource:
    """Composition first, then all that it refers to; the letter is inside.

    Args:
        session: A reading session.
        referral: Its study, result and hospitals go with it.
        letter: The PDF.
        base: Address of the FHIR root, for the resources' addresses.
        at: When it is made.
    """
    study = session.get_one(Study, referral.study_id)
    told = read_told(session, study)
    number = read_patient_id(told.subject["reference"].removeprefix("Patient/"))
    hospitals = [
        organization(find_hospital(session, hcode))
        for hcode in dict.fromkeys(
            (referral.from_hcode, referral.to_hcode, study.hcode or referral.from_hcode)
        )
    ]
    silent = mode_of(session, study.hcode) is Mode.SILENT
    result = [] if silent else [diagnostic_report(told), *observations(told)]
    if told.analysis and not silent:
        result.append(device(told.analysis))
    asked = service_request(referral, subject=told.subject, study_uid=study.study_instance_uid)
    if silent:
        asked["supportingInfo"] = [study_reference(study)]
    note = _letter(referral, told.subject, letter, at)
    resources = [
        _composition(referral, told.subject, study, result, at),
        patient(number, [study]),
        *hospitals,
        asked,
        task(referral, subject=told.subject),
        imaging_study(told, series_of(session, study.id)),
        *result,
        note,
    ]
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {
            "system": "urn:ietf:rfc:3986",
            "value": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{base}/Task/r{referral.id}/{at.isoformat()}')}",
        },
        "timestamp": moment(at),
        "entry": [{"fullUrl": full_url(base, each), "resource": each} for each in resources],
    }


def _composition(
    referral: Referral, subject: Resource, study: Study, result: Sequence[Resource], at: datetime
) -> Resource:
    sections = {
        "Referral": [reference("ServiceRequest", f"r{referral.id}"), reference("Task", f"r{referral.id}")],
        "Images": [study_reference(study)],
        "Result": [
            reference(each["resourceType"], each["id"]) for each in result if each["resourceType"] != "Device"
        ],
        "Letter": [reference("DocumentReference", f"r{referral.id}")],
    }
    return filled(
        {
            "resourceType": "Composition",
            "id": f"r{referral.id}",
            "status": "final",
            "type": concept(REFERRAL_NOTE),
            "subject": subject,
            "date": moment(at),
            "author": [organization_reference(referral.from_hcode)],
            "title": LETTER_TITLE,
            "section": [{"title": title, "entry": entries} for title, entries in sections.items() if entries],
        }
    )


def _letter(referral: Referral, subject: Resource, pdf: bytes, at: datetime) -> Resource:
    return {
        "resourceType": "DocumentReference",
        "id": f"r{referral.id}",
        "status": "current",
        "type": concept(REFERRAL_NOTE),
        "subject": subject,
        "date": moment(at),
        "author": [organization_reference(referral.from_hcode)],
        "content": [
            {
                "attachment": {
                    "contentType": "application/pdf",
                    "language": "th",
                    "title": LETTER_TITLE,
                    "data": base64.b64encode(pdf).decode(),
                }
            }
        ],
    }
