"""Referrals: ask a hospital, answer, follow the patient there; each verb of the table is a sub-resource."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import IdentityReader, Look, Receiver, Referrer, Work, note_read
from service.api.problems import responses
from service.api.schemas import UID_EXAMPLE
from service.capabilities import Capability
from service.case_numbers import case_number
from service.referral_details import ReferralDetails, citizen_id_warning
from service.referral_states import TASK_STATUS, Reason, ReferralState, Side, Verb
from service.referral_steps import (
    accept_referral,
    complete_referral,
    follow_referral,
    identify_patient,
    move_referral,
    request_referral,
    steps_of,
)
from service.referrals import (
    LONGEST_PAGE,
    Referral,
    details_of,
    find_referral,
    list_referrals,
    open_draft,
    shows_patient,
)
from service.sight import find_study
from service.studies import Study

router = APIRouter(
    prefix="/api/v1/referrals", tags=["referrals"], responses=responses(401, 403, 404, 409, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=2**53, description="the referral's row number")]
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


class ReferralsOut(BaseModel):
    """One page, newest first."""

    referrals: list[ReferralOut]
    next: int | None
    """`before` of the next page."""


@router.get("")
def read_referrals(
    request: Request,
    viewer: IdentityReader,
    session: Look,
    side: Side | None = None,
    state: ReferralState | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> ReferralsOut:
    """Referrals that the viewer's hospital sent or was sent."""
    states = [state] if state else []
    found = list_referrals(session, viewer, side=side, states=states, before=before, limit=limit + 1)
    shown = found[:limit]
    answer = ReferralsOut(
        referrals=[referral_out(session, each, viewer) for each in shown],
        next=shown[-1].id if len(found) > limit else None,
    )
    note_read(request, session, viewer, "referral.list", detail={"referrals": [each.id for each in shown]})
    return answer


@router.post("", status_code=201)
def add_referral(body: ReferralIn, viewer: Referrer, session: Work) -> ReferralOut:
    """Begin a referral; the receiving hospital hears of it once it is requested."""
    study = find_study(session, body.study, viewer)
    referral = open_draft(
        session, study, viewer, to=body.to, urgency=body.urgency, needs=body.needs, details=body.details
    )
    return referral_out(session, referral, viewer)


@router.get("/{number}")
def read_referral(number: Number, request: Request, viewer: IdentityReader, session: Look) -> ReferralOut:
    """One referral."""
    referral = find_referral(session, number, viewer)
    answer = referral_out(session, referral, viewer)
    note_read(request, session, viewer, "referral.read", study_id=referral.study_id)
    return answer


@router.post("/{number}/request")
def request(number: Number, body: VersionIn, viewer: Referrer, session: Work) -> ReferralOut:
    """Ask the receiving hospital."""
    referral = find_referral(session, number, viewer, lock=True)
    request_referral(session, referral, viewer, version=body.version)
    return referral_out(session, referral, viewer)


@router.post("/{number}/next", status_code=201)
def ask_next(number: Number, body: NextIn, viewer: Referrer, session: Work) -> ReferralOut:
    """Ask another hospital for a patient whose referral fell through, in the same words."""
    referral = find_referral(session, number, viewer, lock=True)
    return referral_out(session, follow_referral(session, referral, viewer, to=body.to), viewer)


@router.post("/{number}/accept")
def accept(number: Number, body: AcceptIn, viewer: Receiver, session: Work) -> ReferralOut:
    """Take the patient; images and letter follow under the number given, at once or once it is known."""
    referral = find_referral(session, number, viewer, lock=True)
    accept_referral(session, referral, viewer, hn=body.hn, note=body.note, version=body.version)
    return referral_out(session, referral, viewer)


@router.post("/{number}/hn")
def identify(number: Number, body: HnIn, viewer: Receiver, session: Work) -> ReferralOut:
    """Say, or correct, the patient's number at the receiving hospital."""
    referral = find_referral(session, number, viewer, lock=True)
    identify_patient(session, referral, viewer, body.hn)
    return referral_out(session, referral, viewer)


@router.post("/{number}/complete")
def complete(number: Number, body: ReplyIn, viewer: Receiver, session: Work) -> ReferralOut:
    """End it with the reply letter."""
    referral = find_referral(session, number, viewer, lock=True)
    complete_referral(session, referral, viewer, reply=body.reply, version=body.version)
    return referral_out(session, referral, viewer)


@router.post("/{number}/receive")
def receive(number: Number, body: MoveIn, viewer: Receiver, session: Work) -> ReferralOut:
    """Note that it was opened."""
    return _moved(session, number, viewer, Verb.RECEIVE, body)


@router.post("/{number}/reject")
def reject(number: Number, body: MoveIn, viewer: Receiver, session: Work) -> ReferralOut:
    """Do not take the patient, and say why."""
    return _moved(session, number, viewer, Verb.REJECT, body)


@router.post("/{number}/depart")
def depart(number: Number, body: MoveIn, viewer: Referrer, session: Work) -> ReferralOut:
    """The ambulance has left."""
    return _moved(session, number, viewer, Verb.DEPART, body)


@router.post("/{number}/arrive")
def arrive(number: Number, body: MoveIn, viewer: Receiver, session: Work) -> ReferralOut:
    """The patient is here."""
    return _moved(session, number, viewer, Verb.ARRIVE, body)


@router.post("/{number}/cancel")
def cancel(number: Number, body: MoveIn, viewer: Referrer, session: Work) -> ReferralOut:
    """Take it back, and say why."""
    return _moved(session, number, viewer, Verb.CANCEL, body)


@router.post("/{number}/fail")
def fail(number: Number, body: MoveIn, viewer: Referrer, session: Work) -> ReferralOut:
    """The patient did not come, and why; either side says so."""
    return _moved(session, number, viewer, Verb.FAIL, body)


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
    )


def _steps(session: Session, referral: Referral) -> list[StepOut]:
    return [
        StepOut(verb=each.verb, by=each.by, reason=each.reason, note=each.note, at=each.at)
        for each in steps_of(session, referral)
    ]


def _moved(session: Session, number: int, viewer: Viewer, verb: Verb, body: MoveIn) -> ReferralOut:
    referral = find_referral(session, number, viewer, lock=True)
    move_referral(session, referral, viewer, verb, reason=body.reason, note=body.note, version=body.version)
    return referral_out(session, referral, viewer)
