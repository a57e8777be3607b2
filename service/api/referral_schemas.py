"""A referral as the API takes it and tells it."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.schemas import UID_EXAMPLE
from service.capabilities import Capability
from service.case_numbers import case_number
from service.moph.messages import MessageKind, MessageState, messages_of
from service.referral_details import ReferralDetails, citizen_id_warning
from service.referral_states import TASK_STATUS, Reason, ReferralState, Verb
from service.referral_steps import steps_of
from service.referrals import Referral, details_of, shows_patient
from service.studies import Study

Hcode = Annotated[str, Field(pattern=r"^\d{5}$", examples=["10671"])]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReferralIn(_In):
    """A referral as it is begun."""

    study: str = Field(max_length=64, examples=[UID_EXAMPLE], description="Study Instance UID")
    to: Hcode
    urgency: int = Field(ge=1, le=5, description="1 life-threatening to 5 non-acute, as in the 43 files")
    needs: list[Capability] = Field(default=[], max_length=len(Capability))
    details: ReferralDetails = ReferralDetails()


class VersionIn(_In):
    """The version that the caller saw; left out, any is taken."""

    version: int | None = None


class AcceptIn(VersionIn):
    """The patient is taken."""

    hn: str = Field(default="", max_length=64, description="the patient's number at the receiving hospital")
    note: str = Field(default="", max_length=4000)


class MoveIn(VersionIn):
    """A step, and where it needs one its reason."""

    reason: Reason | None = None
    note: str = Field(default="", max_length=4000)


class ReplyIn(VersionIn):
    """The reply letter."""

    reply: str = Field(min_length=1, max_length=4000)


class HnIn(_In):
    """The patient's number at the receiving hospital."""

    hn: str = Field(min_length=1, max_length=64)


class NextIn(_In):
    """The next hospital."""

    to: Hcode


class StepOut(BaseModel):
    """One step."""

    verb: Verb
    by: str
    reason: Reason | None
    note: str
    at: datetime


class MophOut(BaseModel):
    """What MOPH Refer was told of it."""

    kind: MessageKind
    state: MessageState
    reason: str
    sent_at: datetime | None


class ReferralOut(BaseModel):
    """A referral; whom it is about only where the viewer may know."""

    number: int
    case_number: str
    study: str
    from_hospital: str
    to_hospital: str
    serial: str | None
    state: ReferralState
    task_status: str
    """Of the FHIR Task."""
    version: int
    urgency: int
    needs: list[Capability]
    details: ReferralDetails | None
    citizen_id_looks_wrong: bool
    receiver_hn: str
    reply: str
    reason: Reason | None
    follows: int | None
    answer_by: datetime | None
    created_at: datetime
    changed_at: datetime
    steps: list[StepOut]
    moph_refer: list[MophOut]
    """Empty where neither hospital reports to MOPH Refer through the hub."""


class ReferralsOut(BaseModel):
    """One page, newest first."""

    referrals: list[ReferralOut]
    next: int | None
    """`before` of the next page."""


def referral_out(session: Session, referral: Referral, viewer: Viewer) -> ReferralOut:
    """A referral as the API tells it to this viewer."""
    knows = shows_patient(referral, viewer)
    details = details_of(referral)
    return ReferralOut(
        number=referral.id,
        case_number=case_number(referral.study_id),
        study=session.get_one(Study, referral.study_id).study_instance_uid,
        from_hospital=referral.from_hcode,
        to_hospital=referral.to_hcode,
        serial=referral.serial,
        state=referral.state,
        task_status=TASK_STATUS[referral.state],
        version=referral.version,
        urgency=referral.urgency,
        needs=[Capability(each) for each in referral.needs],
        details=details if knows else None,
        citizen_id_looks_wrong=citizen_id_warning(details.citizen_id),
        receiver_hn=referral.receiver_hn if knows else "",
        reply=referral.reply,
        reason=referral.reason,
        follows=referral.follows,
        answer_by=referral.answer_by,
        created_at=referral.created_at,
        changed_at=referral.changed_at,
        steps=_steps(session, referral),
        moph_refer=[
            MophOut.model_validate(each, from_attributes=True) for each in messages_of(session, referral)
        ],
    )


def _steps(session: Session, referral: Referral) -> list[StepOut]:
    return [
        StepOut(verb=each.verb, by=each.by, reason=each.reason, note=each.note, at=each.at)
        for each in steps_of(session, referral)
    ]
