"""ImagingStudy, and the Endpoint behind which its images lie (PS3.18)."""

from collections.abc import Sequence

from pacs_gateway.concepts import HEAD_CT
from service.fhir.elements import (
    DCM,
    DICOM_UID,
    HL7,
    Resource,
    accession_system,
    coding,
    concept,
    concept_of,
    day,
    filled,
    identifier,
    moment,
    reference,
)
from service.fhir.told import Told
from service.series import Series
from service.states import StudyState
from service.studies import Study

ENDPOINT = "dicomweb"

_STATUS = {StudyState.RECEIVING: "registered", StudyState.SUPERSEDED: "inactive"}


def imaging_study(told: Told, series: Sequence[Series]) -> Resource:
    """A study with its series; its id is its Study Instance UID."""
    study = told.study
    return filled(
        {
            "resourceType": "ImagingStudy",
            "id": study.study_instance_uid,
            "meta": {"versionId": str(study.revision), "lastUpdated": moment(study.last_received_at)},
            "identifier": _identifiers(study),
            "status": _STATUS.get(study.state, "available"),
            "modality": [coding(DCM, study.modality)] if study.modality else [],
            "subject": told.subject,
            "started": day(study.study_date),
            "endpoint": [reference("Endpoint", ENDPOINT)],
            "numberOfSeries": len(series),
            "numberOfInstances": sum(len(each.instances) for each in series) or study.instances,
            "procedureCode": [concept_of(HEAD_CT)] if study.modality == "CT" else [],
            "description": study.study_description,
            "series": [_series(each, study.modality) for each in series],
        }
    )


def study_reference(study: Study) -> Resource:
    """A reference to a study."""
    return reference("ImagingStudy", study.study_instance_uid)


def endpoint(base: str) -> Resource:
    """Where the images of every study are: the hub's own WADO-RS.

    Args:
        base: The hub's address up to the host, such as https://hub.example.
    """
    return {
        "resourceType": "Endpoint",
        "id": ENDPOINT,
        "status": "active",
        "connectionType": coding(f"{HL7}/endpoint-connection-type", "dicom-wado-rs", "DICOM WADO-RS"),
        "payloadType": [concept(text="DICOM")],
        "payloadMimeType": ["application/dicom"],
        "address": f"{base}/dicomweb",
    }


def _identifiers(study: Study) -> Sequence[Resource]:
    found = [identifier(DICOM_UID, f"urn:oid:{study.study_instance_uid}")]
    if study.accession_number and study.hcode:
        system = accession_system(study.hcode)
        found.append(identifier(system, study.accession_number, "ACSN", use="usual", types=f"{HL7}/v2-0203"))
    return found


def _series(series: Series, modality: str) -> Resource:
    return filled(
        {
            "uid": series.series_instance_uid,
            "modality": coding(DCM, modality or "OT"),
            "numberOfInstances": len(series.instances),
            "instance": [
                filled(
                    {
                        "uid": uid,
                        "sopClass": coding("urn:ietf:rfc:3986", f"urn:oid:{sop_class}"),
                        "number": number,
                    }
                )
                for uid, sop_class, _, _, number, *_ in series.instances
            ],
        }
    )
