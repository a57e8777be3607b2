"""Refer a patient, and move a referral on, by the resource that another system sends."""

from typing import Any, Final

from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.errors import Malformed
from service.fhir.referral import read_referral_id
from service.fhir.sent import SentServiceRequest, SentTask, read_sent
from service.referral_states import ReferralState, Side, Verb
from service.referral_steps import (
    accept_referral,
    complete_referral,
    move_referral,
    request_referral,
)
from service.referrals import Referral, find_referral, open_draft, sides_of
from service.roles import Permission
from service.sight import find_study


def refer(session: Session, viewer: Viewer, resource: Any) -> Referral:
    """Begin the referral that a ServiceRequest asks for, and ask the hospital where it is active.

    Raises:
        Malformed: the resource lacks something, or names no study or hospital in a way known here.
        NotFound: no such study or hospital for the viewer.
        NotAllowed: the viewer does not refer, or the patient is elsewhere.
    """
    viewer.must(Permission.REFER)
    sent = read_sent(SentServiceRequest, resource)
    if not sent.study_uid:
        raise Malformed("ServiceRequest.supportingInfo names no ImagingStudy, by address or by urn:dicom:uid")
    if not sent.to_hcode:
        raise Malformed(
            "ServiceRequest.performer names no Organization, by address or by the hospital's code"
        )
    study = find_study(session, sent.study_uid, viewer)
    referral = open_draft(
        session, study, viewer, to=sent.to_hcode, urgency=sent.urgency, details=sent.details()
    )
    if sent.status == "active":
        request_referral(session, referral, viewer, version=None)
    return referral


def move(session: Session, viewer: Viewer, number: str, resource: Any, *, version: int | None) -> Referral:
    """Bring a referral to the status of a Task.

    Args:
        session: A writing session.
        viewer: Who asks.
        number: The id in the address.
        resource: The Task.
        version: Of the Task that the caller saw; None takes any.

    Raises:
        Malformed: the resource lacks something, or its id is another.
        IllegalTransition: the referral's state does not lead there.
    """
    sent = read_sent(SentTask, resource)
    if sent.id != number:
        raise Malformed(f"Task.id is {sent.id[:64]!r}; the address says {number!r}")
    referral = find_referral(session, read_referral_id(number), viewer, lock=True)
    if sent.status == "requested":
        request_referral(session, referral, viewer, version=version)
    elif sent.status == "accepted":
        hn = sent.hn_of(referral.to_hcode)
        accept_referral(session, referral, viewer, hn=hn, note=sent.words, version=version)
    elif sent.status == "completed":
        complete_referral(session, referral, viewer, reply=sent.reply, version=version)
    else:
        verb = _verb(sent.status, referral, viewer)
        move_referral(session, referral, viewer, verb, reason=sent.reason, note=sent.words, version=version)
    return referral


_VERBS: Final = {
    "received": Verb.RECEIVE,
    "rejected": Verb.REJECT,
    "cancelled": Verb.CANCEL,
    "failed": Verb.FAIL,
}


def _verb(status: str, referral: Referral, viewer: Viewer) -> Verb:
    if status != "in-progress":
        return _VERBS[status]
    departs = Side.SENDER in sides_of(referral, viewer) and referral.state is ReferralState.ACCEPTED
    return Verb.DEPART if departs else Verb.ARRIVE
