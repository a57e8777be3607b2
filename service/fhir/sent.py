"""What another system sends to refer a patient, or to move a referral on: a ServiceRequest, and a Task.

Only what the hub acts on is read; the rest of a resource may hold whatever R4 allows.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import Malformed
from service.fhir.elements import DICOM_UID, HCODE, SIL
from service.fhir.referral import ICD10, PRIORITY, REASON
from service.referral_details import ReferralDetails
from service.referral_states import Reason


class SentPart(BaseModel):
    """Any part of a resource; what is not listed is passed over."""

    model_config = ConfigDict(extra="ignore")


class SentCoding(SentPart):
    """A coding."""

    system: str = ""
    code: str = ""


class SentConcept(SentPart):
    """A CodeableConcept."""

    coding: list[SentCoding] = Field(default_factory=list)
    text: str = ""

    def code_of(self, system: str) -> str:
        """Its code in a system, or nothing."""
        return next((each.code for each in self.coding if each.system == system), "")


class SentIdentifier(SentPart):
    """An Identifier."""

    system: str = ""
    value: str = ""


class SentReference(SentPart):
    """A reference, by address or by identifier."""

    reference: str = ""
    identifier: SentIdentifier | None = None
    display: str = ""

    def named(self, kind: str, system: str) -> str:
        """The id of a resource of a kind that it points to, by address or by an identifier of a system."""
        start, _, number = self.reference.rpartition("/")
        if number and start.rpartition("/")[2] == kind:
            return number
        if self.identifier is not None and self.identifier.system == system:
            return self.identifier.value.removeprefix("urn:oid:")
        return ""


class SentNote(SentPart):
    """An Annotation."""

    text: str = ""


class SentServiceRequest(SentPart):
    """A referral that another system asks for."""

    resourceType: Literal["ServiceRequest"]
    status: Literal["active", "draft"]
    intent: Literal["order"]
    priority: Literal["stat", "asap", "urgent", "routine"] = "routine"
    code: SentConcept = Field(default_factory=SentConcept)
    requester: SentReference = Field(default_factory=SentReference)
    performer: list[SentReference] = Field(min_length=1, max_length=1)
    reasonCode: list[SentConcept] = Field(default_factory=list)
    supportingInfo: list[SentReference] = Field(min_length=1)
    note: list[SentNote] = Field(default_factory=list)

    @property
    def study_uid(self) -> str:
        """The Study Instance UID of the CT among what supports it; empty where there is none."""
        named = (each.named("ImagingStudy", DICOM_UID) for each in self.supportingInfo)
        return next((each for each in named if each), "")

    @property
    def to_hcode(self) -> str:
        """The hospital that is asked; empty where it is not named in a way known here."""
        return self.performer[0].named("Organization", HCODE)

    @property
    def urgency(self) -> int:
        """As in the 43 files; of two that a priority stands for, the less urgent."""
        return max(number for number, word in PRIORITY.items() if word == self.priority)

    def details(self) -> ReferralDetails:
        """What it tells of the patient."""
        reasons = self.reasonCode
        return ReferralDetails(
            diagnosis=next((each.text for each in reasons if each.text), ""),
            icd10=next((code for each in reasons if (code := each.code_of(ICD10))), ""),
            request=self.code.text,
            history="\n".join(each.text for each in self.note if each.text),
            doctor=self.requester.display,
        )


class SentOutput(SentPart):
    """An output of a Task."""

    valueString: str = ""
    valueIdentifier: SentIdentifier | None = None


class SentTask(SentPart):
    """A Task with the status that it is to have."""

    resourceType: Literal["Task"]
    id: str = Field(max_length=64)
    status: Literal[
        "requested", "received", "accepted", "rejected", "in-progress", "completed", "cancelled", "failed"
    ]
    statusReason: SentConcept = Field(default_factory=SentConcept)
    output: list[SentOutput] = Field(default_factory=list)
    note: list[SentNote] = Field(default_factory=list)

    @property
    def reason(self) -> Reason | None:
        """Why; a code that is not known here, or words alone, are `other`."""
        if not (self.statusReason.coding or self.statusReason.text):
            return None
        code = self.statusReason.code_of(REASON)
        return Reason(code) if code in set(Reason) else Reason.OTHER

    @property
    def words(self) -> str:
        """What is said with it."""
        return "\n".join(
            each for each in (self.statusReason.text, *(note.text for note in self.note)) if each
        )

    @property
    def reply(self) -> str:
        """The reply letter."""
        return "\n".join(each.valueString for each in self.output if each.valueString)

    def hn_of(self, hcode: str) -> str:
        """The patient's number at a hospital, where it is told."""
        system = f"{SIL}/hcode/5/{hcode}/HN"
        told = (each.valueIdentifier for each in self.output if each.valueIdentifier)
        return next((each.value for each in told if each.system == system), "")


Sent = TypeVar("Sent", bound=BaseModel)


def read_sent(kind: type[Sent], resource: Any) -> Sent:
    """Read a resource.

    Raises:
        Malformed: something is missing or not what R4 has there. No value is repeated: it may name a patient.
    """
    try:
        return kind.model_validate(resource)
    except ValidationError as error:
        wrong: Sequence[str] = [
            f"{kind.__name__.removeprefix('Sent')}.{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise Malformed("; ".join(wrong)) from None
