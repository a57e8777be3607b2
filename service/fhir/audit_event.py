"""AuditEvent: an entry of the audit log in the codes of PS3.15 A.5."""

from typing import Final

from service.audit import AuditEntry
from service.fhir.elements import DCM, HL7, HUB_CODES, Resource, coding, filled, moment, reference

_TYPES: Final = (
    ("session.", "110114", "User Authentication"),
    ("account.", "110113", "Security Alert"),
    ("audit.", "110101", "Audit Log Used"),
    ("study.list", "110112", "Query"),
    ("study.search", "110112", "Query"),
    ("fhir.search", "110112", "Query"),
    ("delivery.", "110104", "DICOM Instances Transferred"),
    ("study.reopen", "110104", "DICOM Instances Transferred"),
    ("", "110103", "DICOM Instances Accessed"),
)
"""By the beginning of the entry's word; the first that fits counts."""

_READS: Final = (".read", ".list", ".search")


def audit_event(entry: AuditEntry, study_instance_uid: str | None) -> Resource:
    """An entry; its id is the entry's number."""
    code, meaning = next((code, words) for start, code, words in _TYPES if entry.action.startswith(start))
    outcome = entry.detail.get("outcome", 0)
    return filled(
        {
            "resourceType": "AuditEvent",
            "id": str(entry.id),
            "type": coding(DCM, code, meaning),
            "subtype": [coding(f"{HUB_CODES}:audit", entry.action)],
            "action": _action(entry.action),
            "recorded": moment(entry.at),
            "outcome": str(outcome),
            "agent": [{"requestor": True, "altId": entry.actor, "name": entry.actor}],
            "source": {"observer": {"display": "imaging-hub"}},
            "entity": [_study(study_instance_uid)] if study_instance_uid else [],
        }
    )


def _action(word: str) -> str:
    if word.startswith("session."):
        return "E"
    return "R" if word.endswith(_READS) else "U"


def _study(uid: str) -> Resource:
    return {
        "what": reference("ImagingStudy", uid),
        "type": coding(f"{HL7}/audit-entity-type", "2", "System Object"),
        "role": coding(f"{HL7}/object-role", "3", "Report"),
    }
