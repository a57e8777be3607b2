"""ServiceRequest and Task of a referral: what is asked of the other hospital, and how it stands.

One referral is one ServiceRequest and one Task, both under `r` and its number (R4 ServiceRequest, Task; Thai
codes: TH Core and Std15).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.errors import NotFound
from service.fhir.elements import (
    HUB_CODES,
    SCT,
    SIL,
    Resource,
    coding,
    concept,
    filled,
    identifier,
    moment,
    reference,
)
from service.fhir.organization import organization_reference
from service.referral_states import BUSINESS_STATUS, TASK_STATUS, ReferralState
from service.referrals import Referral, details_of

ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
REFER_STATUS: Final = f"{SIL}/core/CodeSystem/cs-std15-refer-status"
SPECIAL_DISEASE: Final = f"{SIL}/core/CodeSystem/cs-43file-refer-special-disease"
FULFILL: Final = "fulfill"
REASON: Final = f"{HUB_CODES}:referral-reason"

HIDDEN: Final = {"display": "no longer shown to this hospital"}
"""Stands for a patient whom the viewer may not see any more."""

PRIORITY: Mapping[int, str] = MappingProxyType({1: "stat", 2: "stat", 3: "asap", 4: "urgent", 5: "routine"})
"""Of an urgency of the 43 files."""

_S = ReferralState
REQUEST_STATUS: Mapping[ReferralState, str] = MappingProxyType(
    {state: "active" for state in ReferralState}
    | {_S.DRAFT: "draft", _S.CANCELLED: "revoked", _S.FAILED: "revoked", _S.COMPLETED: "completed"}
)
"""ServiceRequest.status; a rejected request stays active, as the next hospital may be asked."""

_ID: Final = re.compile(r"r([1-9][0-9]{0,17})")


def refer_number_system(hcode: str) -> str:
    """The system of a hospital's own referral numbers."""
    return f"{SIL}/hcode/5/{hcode}/Refer"


def read_referral_id(text: str) -> int:
    """The referral's number in an id.

    Raises:
        NotFound: it is no such id.
    """
    if (found := _ID.fullmatch(text)) is None:
        raise NotFound(f"no referral {text!r}")
    return int(found[1])


def service_request(referral: Referral, *, subject: Resource, study_uid: str | None) -> Resource:
    """What is asked of the receiving hospital.

    Args:
        referral: The row.
        subject: A reference to the patient, or a display where the viewer may no longer see whom it is about.
        study_uid: Of the CT; None where the viewer may no longer see it.
    """
    details = details_of(referral)
    shown = study_uid is not None
    reasons = [coding(SPECIAL_DISEASE, "02", "Stroke")]
    if details.icd10 and shown:
        reasons.append(coding(ICD10, details.icd10))
    return filled(
        {
            "resourceType": "ServiceRequest",
            "id": f"r{referral.id}",
            "meta": {"versionId": str(referral.version), "lastUpdated": moment(referral.changed_at)},
            "identifier": _numbers(referral),
            "status": REQUEST_STATUS[referral.state],
            "intent": "order",
            "priority": PRIORITY[referral.urgency],
            "category": [concept(coding(SCT, "3457005", "Patient referral"))],
            "code": concept(text=details.request) if shown and details.request else None,
            "subject": subject,
            "authoredOn": moment(referral.created_at),
            "requester": organization_reference(referral.from_hcode),
            "performer": [organization_reference(referral.to_hcode)],
            "reasonCode": [concept(*reasons, text=details.diagnosis if shown else None)],
            "supportingInfo": [reference(kind, study_uid) for kind in ("ImagingStudy", "DiagnosticReport")]
            if shown
            else [],
            "note": [{"text": details.history}] if shown and details.history else [],
            "replaces": [reference("ServiceRequest", f"r{referral.follows}")] if referral.follows else [],
        }
    )


def task(referral: Referral, *, subject: Resource) -> Resource:
    """How the referral stands."""
    state = referral.state
    business = BUSINESS_STATUS.get(state)
    reason = None if referral.reason is None else concept(coding(REASON, referral.reason.value))
    reply = {"type": concept(text="reply letter"), "valueString": referral.reply}
    return filled(
        {
            "resourceType": "Task",
            "id": f"r{referral.id}",
            "meta": {"versionId": str(referral.version), "lastUpdated": moment(referral.changed_at)},
            "basedOn": [reference("ServiceRequest", f"r{referral.id}")],
            "status": TASK_STATUS[state],
            "statusReason": reason,
            "businessStatus": filled(
                {"coding": [coding(REFER_STATUS, business)] if business else [], "text": state.value}
            ),
            "intent": "order",
            "priority": PRIORITY[referral.urgency],
            "code": concept(coding("http://hl7.org/fhir/CodeSystem/task-code", FULFILL)),
            "focus": reference("ServiceRequest", f"r{referral.id}"),
            "for": subject,
            "authoredOn": moment(referral.created_at),
            "lastModified": moment(referral.changed_at),
            "requester": organization_reference(referral.from_hcode),
            "owner": organization_reference(referral.to_hcode),
            "restriction": {"period": {"end": moment(referral.answer_by)}} if referral.answer_by else None,
            "output": [reply] if referral.reply else [],
        }
    )


def _numbers(referral: Referral) -> list[Resource]:
    if referral.serial is None:
        return []
    return [identifier(refer_number_system(referral.from_hcode), referral.serial, "localReferNo")]
