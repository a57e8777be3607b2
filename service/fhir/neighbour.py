"""What two hubs tell each other of a referral: a transaction that asks, and Tasks that say how it stands.

The transaction holds Patient, ServiceRequest, Task and a DocumentReference with all that the sending doctor
told, as the API takes it; a Task holds one step: its state, when it was taken, by whom and why.
"""

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service.capabilities import Capability
from service.errors import Malformed
from service.fhir.elements import (
    DICOM_UID,
    HCODE,
    HUB_CODES,
    Resource,
    coding,
    concept,
    day,
    filled,
    hn_system,
    identifier,
    moment,
)
from service.fhir.organization import organization_reference
from service.fhir.patient import human_name
from service.fhir.referral import REASON, service_request, task
from service.fhir.sent import SentConcept, SentNote, SentServiceRequest, SentTask, read_sent
from service.referral_details import ReferralDetails
from service.referral_states import MOVES, TASK_STATUS, ReferralState, Verb
from service.referral_steps import ReferralStep
from service.referrals import Referral, details_of, sender_hn
from service.studies import Study

PATIENT: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
"""The same in every transaction: it names the entry, and nothing outside it."""
GENDERS: Final[Mapping[str, str]] = {"M": "male", "F": "female", "O": "other"}
JSON: Final = "application/json"


def request_bundle(session: Session, referral: Referral, step: ReferralStep) -> Resource:
    """A referral as a transaction for the hub at which its receiving hospital lives."""
    study = session.get_one(Study, referral.study_id)
    subject = {"reference": PATIENT}
    asked = service_request(referral, subject=subject, study_uid=study.study_instance_uid)
    uid = identifier(DICOM_UID, f"urn:oid:{study.study_instance_uid}")
    asked["supportingInfo"] = [{"type": "ImagingStudy", "identifier": uid}]
    asked.pop("replaces", None)
    entries = (
        ("Patient", _patient(session, referral, study), PATIENT),
        ("ServiceRequest", asked, None),
        ("Task", step_task(referral, step, subject=subject), None),
        ("DocumentReference", _told(referral, subject), None),
    )
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            filled({"fullUrl": url, "resource": made, "request": {"method": "POST", "url": kind}})
            for kind, made, url in entries
        ],
    }


def step_task(referral: Referral, step: ReferralStep, *, subject: Resource | None = None) -> Resource:
    """One step, as the Task that it made of the referral."""
    state = MOVES[step.verb].target
    made = task(referral, subject=subject or {"display": "as in the request"})
    made.pop("statusReason", None)
    made |= {
        "status": TASK_STATUS[state],
        "businessStatus": {"text": state.value},
        "lastModified": moment(step.at),
        "note": [{"authorString": step.by, "time": moment(step.at), "text": step.note or "-"}],
        "output": _outputs(referral, state),
    }
    if step.reason is not None:
        made["statusReason"] = concept(coding(REASON, step.reason.value))
    return filled(made)


def state_task(referral: Referral) -> Resource:
    """How it stands now; of a referral whose last step the caller has not heard of."""
    made = task(referral, subject={"display": "as in the request"})
    made |= {"businessStatus": {"text": referral.state.value}, "output": _outputs(referral, referral.state)}
    return filled(made)


def _outputs(referral: Referral, state: ReferralState) -> list[Resource]:
    made: list[Resource] = []
    if referral.receiver_hn:
        number = identifier(hn_system(referral.to_hcode), referral.receiver_hn, "localHn")
        made.append({"type": concept(text="number there"), "valueIdentifier": number})
    if state is ReferralState.COMPLETED and referral.reply:
        made.append({"type": concept(text="reply letter"), "valueString": referral.reply})
    return made


def _patient(session: Session, referral: Referral, study: Study) -> Resource:
    number = sender_hn(session, referral)
    name = human_name(study.patient_name) if study.patient_name else None
    return filled(
        {
            "resourceType": "Patient",
            "identifier": [identifier(hn_system(referral.from_hcode), number, "localHn")] if number else [],
            "name": [name] if name else [],
            "gender": GENDERS.get(study.sex, "unknown"),
            "birthDate": day(study.birth_date),
            "managingOrganization": organization_reference(referral.from_hcode),
        }
    )


def _told(referral: Referral, subject: Resource) -> Resource:
    content = {
        "serial": referral.serial,
        "urgency": referral.urgency,
        "needs": referral.needs,
        "answer_by": moment(referral.answer_by),
        # what is not told is left out: a neighbour of an older version knows no newer field
        "details": details_of(referral).model_dump(mode="json", exclude_defaults=True),
    }
    data = base64.b64encode(json.dumps(content, ensure_ascii=False).encode()).decode()
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": concept(coding(HUB_CODES, "referral-details")),
        "subject": subject,
        "content": [{"attachment": {"contentType": JSON, "data": data}}],
    }


class SentNoteBy(SentNote):
    """An Annotation, and whose it is."""

    authorString: str = Field(default="", max_length=200)


class SentStep(SentTask):
    """One step at the other hub."""

    businessStatus: SentConcept
    lastModified: AwareDatetime
    note: list[SentNoteBy] = Field(default_factory=list)  # type: ignore[assignment]

    @property
    def state(self) -> ReferralState:
        """The state that it led to.

        Raises:
            Malformed: it is none.
        """
        try:
            return ReferralState(self.businessStatus.text)
        except ValueError:
            said = self.businessStatus.text[:40]
            raise Malformed(f"Task.businessStatus.text is {said!r}, no state") from None

    @property
    def by(self) -> str:
        """Who took it."""
        return next((each.authorString for each in self.note if each.authorString), "")

    @property
    def said(self) -> str:
        """What was said with it."""
        return "\n".join(each.text for each in self.note if each.text not in ("", "-"))


class _HumanName(BaseModel):
    text: str = Field(default="", max_length=200)


class SentPatient(BaseModel):
    """Whom it is about."""

    model_config = ConfigDict(extra="ignore")

    identifier: list[dict[str, Any]] = Field(default_factory=list)
    name: list[_HumanName] = Field(default_factory=list)
    gender: str = "unknown"
    birthDate: date | None = None

    def hn_of(self, hcode: str) -> str:
        """The number at a hospital."""
        system = hn_system(hcode)
        told = (str(each.get("value", "")) for each in self.identifier if each.get("system") == system)
        return next(told, "")[:64]

    @property
    def sex(self) -> str:
        """As DICOM has it; empty where it is not known."""
        return next((letter for letter, word in GENDERS.items() if word == self.gender), "")


class SentDetails(BaseModel):
    """What the sending doctor told, and how soon it is wanted."""

    serial: str = Field(min_length=1, max_length=10)
    urgency: int = Field(ge=1, le=5)
    needs: list[Capability] = Field(default_factory=list)
    answer_by: datetime | None = None
    details: ReferralDetails


class SentRequest(BaseModel):
    """A transaction that asks a hospital here to take a patient."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    patient: SentPatient
    asked: SentServiceRequest
    step: SentStep
    told: SentDetails

    @property
    def from_hcode(self) -> str:
        """The sending hospital."""
        return self.asked.requester.named("Organization", HCODE)


def read_request(bundle: Any) -> SentRequest:
    """Read a transaction of another hub.

    Raises:
        Malformed: something is missing. No value is repeated: it may name a patient.
    """
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    if not isinstance(entries, list) or bundle.get("type") != "transaction" or len(entries) > 20:
        raise Malformed("a transaction of Patient, ServiceRequest, Task and DocumentReference is taken here")
    found = {
        str(made.get("resourceType")): made
        for each in entries
        if isinstance(each, dict) and isinstance(made := each.get("resource"), dict)
    }
    try:
        data = found["DocumentReference"]["content"][0]["attachment"]["data"]
        told = json.loads(base64.b64decode(data, validate=True))
    except (KeyError, IndexError, TypeError, ValueError):
        raise Malformed("the DocumentReference holds no referral details") from None
    return SentRequest(
        patient=read_sent(SentPatient, found.get("Patient")),
        asked=read_sent(SentServiceRequest, found.get("ServiceRequest")),
        step=read_sent(SentStep, found.get("Task")),
        told=read_sent(SentDetails, told),
    )


def verb_to(state: ReferralState) -> Verb:
    """The verb that leads to a state.

    Raises:
        Malformed: none does.
    """
    found = [verb for verb, move in MOVES.items() if move.target is state]
    if not found:
        raise Malformed(f"no step leads to {state.value}")
    return found[0]
