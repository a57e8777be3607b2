"""What a neighbour hub tells, carried out here: a request for a hospital that lives here, and later steps.

The neighbour acts for its own hospitals alone, by the verbs and under the locks by which people act. What is
told again changes nothing. The home of a referral, the sending hospital's hub, has the last word: where a
step here and one there crossed, the home refuses the other's (409), and its own is adopted there.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import audit
from service.accounts import Role, Viewer
from service.alerts import AlertKind, raise_alert
from service.arrivals import clean
from service.db import locked, now
from service.errors import AlreadyExists, IllegalTransition, Malformed, NotAllowed, NotFound
from service.fhir.neighbour import SentRequest, SentStep, read_request, verb_to
from service.fhir.referral import read_referral_id
from service.fhir.sent import read_sent
from service.grants import Because, end_grants, grant_study
from service.neighbours import Neighbour, hospitals_at, neighbour_of
from service.referral_alerts import tell_step
from service.referral_links import ReferralLink, link_by_remote, unsent_steps
from service.referral_states import FALLEN, ReferralState, Verb
from service.referral_steps import (
    ANSWER_WITHIN,
    ReferralStep,
    accept_referral,
    complete_referral,
    identify_patient,
    move_referral,
    steps_of,
)
from service.referrals import Referral, audit_detail
from service.states import Lane, Priority, StudyState, place_of
from service.studies import Study

LONGEST_NAME: Final = 100


def take_request(session: Session, neighbour: Neighbour, bundle: Any) -> tuple[Referral, bool]:
    """Take a referral that a neighbour asks for; the same again is the same.

    Returns:
        The referral, and whether it is new.

    Raises:
        Malformed: the transaction lacks something.
        NotAllowed: the sending hospital does not live there, the receiving one not here, or the study is
            another hospital's.
    """
    sent = read_request(bundle)
    session.refresh(neighbour, with_for_update=True)  # of the same request twice at once, one waits
    if (link := link_by_remote(session, neighbour, sent.step.id)) is not None:
        return session.get_one(Referral, link.referral_id), False
    sender, receiver = sent.from_hcode, sent.asked.to_hcode
    if sender not in hospitals_at(session, neighbour):
        raise NotAllowed(f"hospital {sender[:9]!r} does not live at neighbour {neighbour.name!r}")
    if neighbour_of(session, receiver) is not None:
        raise NotAllowed(f"hospital {receiver} does not live at this hub")
    same = select(Referral.id).where(Referral.from_hcode == sender, Referral.serial == sent.told.serial)
    if session.scalar(same) is not None:
        raise AlreadyExists(f"hospital {sender} has another referral {sent.told.serial!r} at this hub")
    viewer = speaker(neighbour, sender, sent.step)
    study = _study(session, neighbour, sent)
    at = _moment(sent.step.lastModified, None)
    referral = Referral(
        study_id=study.id,
        follows=None,
        from_hcode=sender,
        to_hcode=receiver,
        serial=clean(sent.told.serial),
        state=ReferralState.REQUESTED,
        version=1,
        urgency=sent.told.urgency,
        needs=[each.value for each in sent.told.needs],
        details=sent.told.details.model_dump(mode="json"),
        receiver_hn="",
        packed_hn="",
        packed_object=0,
        reply="",
        answer_by=at + ANSWER_WITHIN,
        created_at=at,
        changed_at=now(),
    )
    session.add(referral)
    session.flush()
    session.add(
        ReferralLink(
            referral_id=referral.id,
            neighbour_id=neighbour.id,
            remote=sent.step.id,
            home=False,
            sent_version=1,
        )
    )
    _add_step(session, referral, Verb.REQUEST, viewer, sent.step, at)
    if study.hcode != receiver:
        grant_study(
            session,
            study.id,
            receiver,
            because=Because.REFERRAL,
            subject=referral.id,
            actor=viewer.username,
        )
    tell_step(session, referral, Verb.REQUEST, viewer)
    audit.record(
        session, viewer.username, "referral.requested", study_id=study.id, detail=audit_detail(referral)
    )
    return referral, True


def take_step(session: Session, neighbour: Neighbour, number: str, resource: Any) -> Referral:
    """Carry out a step that was taken at a neighbour.

    Raises:
        Malformed: the Task lacks something.
        NotFound: the neighbour has no such referral with this hub.
        IllegalTransition: the referral, whose home is here, stands where the step does not lead on.
    """
    sent = read_sent(SentStep, resource)
    referral, link = find_linked(session, neighbour, number, lock=True)
    hcode = referral.to_hcode if link.home else referral.from_hcode
    viewer = speaker(neighbour, hcode, sent)
    hn = sent.hn_of(referral.to_hcode) if link.home else ""
    told_all = link.sent_version == referral.version
    if sent.state is not referral.state:
        try:
            _carry_out(session, referral, viewer, sent, hn)
        except IllegalTransition:
            if link.home:
                raise
            _cross(session, referral, link, sent, viewer)
    if hn and link.home and hn != referral.receiver_hn:
        identify_patient(session, referral, viewer, hn)
    if told_all:
        link.sent_version = referral.version  # the neighbour knows what it has just told
    return referral


def find_linked(
    session: Session, neighbour: Neighbour, number: str, *, lock: bool = False
) -> tuple[Referral, ReferralLink]:
    """A referral that this hub and the neighbour both have.

    Raises:
        NotFound: there is none under this id.
    """
    query = select(Referral).where(Referral.id == read_referral_id(number))
    referral = session.scalar(locked(query) if lock else query)
    link = session.get(ReferralLink, referral.id) if referral else None
    if referral is None or link is None or link.neighbour_id != neighbour.id:
        raise NotFound(f"no referral {number!r} is shared with neighbour {neighbour.name!r}")
    return referral, link


def _cross(session: Session, referral: Referral, link: ReferralLink, sent: SentStep, viewer: Viewer) -> None:
    """A step of the home met one of ours that it has not heard of.

    Ours is told next and the home judges it: it may well lead on from its own, as an arrival does from a
    departure. That the patient left is written down as what it is, a fact.
    """
    if not unsent_steps(session, link):
        adopt(session, referral, link, sent, viewer)
    elif sent.state is ReferralState.DEPARTED and not _knows(session, referral, Verb.DEPART):
        _add_step(session, referral, Verb.DEPART, viewer, sent, _moment(sent.lastModified, None))


def _knows(session: Session, referral: Referral, verb: Verb) -> bool:
    return any(each.verb is verb for each in steps_of(session, referral))


def adopt(session: Session, referral: Referral, link: ReferralLink, sent: SentStep, viewer: Viewer) -> None:
    """Let the home's word stand over what was done here meanwhile, and tell the people here so."""
    verb = verb_to(sent.state)
    referral.state, referral.reason = sent.state, sent.reason
    referral.version += 1
    referral.changed_at = now()
    step = _add_step(session, referral, verb, viewer, sent, _moment(sent.lastModified, None))
    link.sent_step = step.id
    if referral.state in FALLEN:
        end_grants(session, because=Because.REFERRAL, subject=referral.id, actor=viewer.username)
    raise_alert(
        session,
        AlertKind.REFERRAL_ANSWERED,
        hcode=referral.to_hcode,
        study_id=referral.study_id,
        path=f"/referrals/{referral.id}",
        key=f"referral:{referral.id}:overruled:{referral.version}",
    )
    detail = audit_detail(referral)
    audit.record(session, viewer.username, "referral.overruled", study_id=referral.study_id, detail=detail)


def speaker(neighbour: Neighbour, hcode: str, sent: SentStep) -> Viewer:
    """The person at the neighbour who acts, for one of its hospitals."""
    name = f"{neighbour.name}/{clean(sent.by) or 'hub'}"[:LONGEST_NAME]
    return Viewer(name, Role.SPECIALIST, hcode)


def _carry_out(session: Session, referral: Referral, viewer: Viewer, sent: SentStep, hn: str) -> None:
    verb, before = verb_to(sent.state), steps_of(session, referral)
    match verb:
        case Verb.REQUEST:
            raise IllegalTransition(f"a referral that is {referral.state.value} was asked for before")
        case Verb.ACCEPT:
            accept_referral(session, referral, viewer, hn=hn, note=sent.said, version=None)
        case Verb.COMPLETE:
            complete_referral(session, referral, viewer, reply=sent.reply, version=None)
        case _:
            move_referral(session, referral, viewer, verb, reason=sent.reason, note=sent.said, version=None)
    step = steps_of(session, referral)[-1]
    step.brought, step.at = True, _moment(sent.lastModified, before[-1].at if before else None)


def _moment(told: datetime, earliest: datetime | None) -> datetime:
    """When it was done there, within what can be: hubs' clocks differ."""
    latest = min(told, now())
    return max(latest, earliest) if earliest else latest


def _add_step(
    session: Session, referral: Referral, verb: Verb, viewer: Viewer, sent: SentStep, at: datetime
) -> ReferralStep:
    step = ReferralStep(
        referral_id=referral.id,
        verb=verb,
        by=viewer.username,
        reason=sent.reason,
        note=clean(sent.said)[:4000],
        brought=True,
        at=at,
    )
    session.add(step)
    session.flush()
    return step


def _study(session: Session, neighbour: Neighbour, sent: SentRequest) -> Study:
    """The study that it is about; without images until they come, and of no hospital until it is accepted."""
    uid = clean(sent.asked.study_uid)
    if not uid:
        raise Malformed("the ServiceRequest names no study")
    known = session.scalar(select(Study).where(Study.study_instance_uid == uid))
    if known is not None:
        near = {None, sent.asked.to_hcode, *hospitals_at(session, neighbour)}
        if known.hcode not in near:
            raise NotAllowed("the study is another hospital's at this hub")
        return known
    patient, at = sent.patient, now()
    study = Study(
        study_instance_uid=uid,
        hcode=None,
        state=StudyState.RECEIVING,
        lane=Lane.RETROSPECTIVE,
        priority=Priority.ROUTINE,
        place=place_of(StudyState.RECEIVING, Lane.RETROSPECTIVE, Priority.ROUTINE, at),
        patient_id=clean(patient.hn_of(sent.from_hcode)),
        patient_name=clean(patient.name[0].text) if patient.name else "",
        birth_date=patient.birthDate,
        sex=patient.sex,
        modality="CT",
        revision=0,
        digest="",
        instances=0,
        first_received_at=at,
        last_received_at=at,
    )
    session.add(study)
    session.flush()
    return study
