"""Referrals: ask a hospital, answer, follow the patient there; each verb of the table is a sub-resource."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import IdentityReader, Look, Receiver, Referrer, Work, note_read
from service.api.problems import responses
from service.api.referral_schemas import (
    AcceptIn,
    HnIn,
    MoveIn,
    NextIn,
    ReferralIn,
    ReferralOut,
    ReferralsOut,
    ReplyIn,
    VersionIn,
    referral_out,
)
from service.handover_orders import order_handover
from service.referral_states import ReferralState, Side, Verb
from service.referral_steps import (
    accept_referral,
    complete_referral,
    follow_referral,
    identify_patient,
    move_referral,
    request_referral,
)
from service.referrals import (
    LONGEST_PAGE,
    find_referral,
    list_referrals,
    open_draft,
)
from service.sight import find_study

router = APIRouter(
    prefix="/api/v1/referrals", tags=["referrals"], responses=responses(401, 403, 404, 409, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=2**53, description="the referral's row number")]


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


@router.post("/{number}/handover", status_code=202)
def send_again(number: Number, viewer: Referrer, session: Work) -> ReferralOut:
    """Send images, result and letter to the receiver's PACS once more; 409 while they are on their way."""
    referral = find_referral(session, number, viewer, lock=True)
    order_handover(session, referral, viewer)
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


def _moved(session: Session, number: int, viewer: Viewer, verb: Verb, body: MoveIn) -> ReferralOut:
    referral = find_referral(session, number, viewer, lock=True)
    move_referral(session, referral, viewer, verb, reason=body.reason, note=body.note, version=body.version)
    return referral_out(session, referral, viewer)
