"""The board of referrals, both ways, and one referral: where it stands, what its two sides may do next."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.api.access import Browser, Look, Work, note_read
from service.capabilities import Capability, state_capability, stated_of
from service.case_numbers import case_number
from service.db import now, session_scope
from service.deliveries import Delivery, Purpose
from service.destinations import Destination, rank_destinations
from service.errors import NotAllowed
from service.handover_orders import handover_under_way, missing_for_handover, order_handover
from service.hospitals import hospital_names
from service.moph.messages import messages_of
from service.patient_search import other_studies
from service.peers import destinations
from service.referral_details import citizen_id_warning
from service.referral_links import shared_with
from service.referral_states import ENDED, FALLEN, MOVES, REASONS, Reason, ReferralState, Side, Verb, verbs_of
from service.referral_steps import (
    accept_referral,
    complete_referral,
    follow_referral,
    identify_patient,
    move_referral,
    open_referral,
    request_referral,
    steps_of,
)
from service.referrals import (
    SIDE_PERMISSIONS,
    Referral,
    asked_before,
    details_of,
    find_referral,
    list_referrals,
    shows_patient,
    sides_of,
)
from service.reply_drafts import draft_for
from service.share_links import links_of
from service.studies import Study
from service.travel_times import LONGEST_MINUTES, roads_from, state_travel_time
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Number = Annotated[int, Path(ge=1, le=2**53)]
PAGE = 50
OFFERED = 5
OPEN = [state for state in ReferralState if state not in ENDED]
WAY = (
    ReferralState.REQUESTED,
    ReferralState.RECEIVED,
    ReferralState.ACCEPTED,
    ReferralState.DEPARTED,
    ReferralState.ARRIVED,
    ReferralState.COMPLETED,
)
"""The way as it should go, drawn as a line of steps."""


@router.get("/referrals")
def show_board(
    entry: Browser,
    request: Request,
    session: Look,
    side: Side | None = None,
    ended: bool = False,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Referrals that came, or went out; those still open, or those that ended."""
    viewer = entry.chosen().must(Permission.READ_IDENTITY)
    chosen = side or (Side.RECEIVER if viewer.may(Permission.RECEIVE) else Side.SENDER)
    states = list(ENDED) if ended else OPEN
    found = list_referrals(session, viewer, side=chosen, states=states, before=before, limit=PAGE + 1)
    shown = found[:PAGE]
    values: dict[str, Any] = {
        "rows": [(each, case_number(each.study_id), shows_patient(each, viewer)) for each in shown],
        "side": chosen,
        "ended": ended,
        "names": _names(session, request),
        "moment": now(),
        "more": shown[-1].id if len(found) > PAGE else None,
        "capabilities": list(Capability) if viewer.hcode and viewer.may(Permission.RECEIVE) else [],
        "stated": stated_of(session, viewer.hcode) if viewer.hcode else {},
        "roads": roads_from(session, viewer.hcode) if viewer.hcode else {},
        "farthest": LONGEST_MINUTES,
        "own": viewer.hcode,
    }
    detail = {"referrals": [each.id for each in shown]}
    note_read(request, session, viewer, "referral.list", detail=detail)
    return render(request, "referrals.html", viewer, **values)


@router.post("/referrals/capabilities")
def send_capability(
    entry: Browser,
    request: Request,
    session: Work,
    capability: Annotated[Capability, Form()],
    available: Annotated[bool, Form()],
) -> Response:
    """State what the viewer's own hospital can do."""
    viewer = entry.chosen().must(Permission.RECEIVE)
    if viewer.hcode is None:
        raise NotAllowed("an account without a hospital states nothing for one")
    state_capability(session, viewer, viewer.hcode, capability, available=available)
    return see_other(request, "/referrals", flash="stated")


@router.post("/referrals/roads")
def send_road(
    entry: Browser,
    request: Request,
    session: Work,
    to: Annotated[str, Form(pattern=r"^\d{5}$")],
    minutes: Annotated[int, Form(ge=1, le=LONGEST_MINUTES)],
) -> Response:
    """State how long the way from the viewer's own hospital is."""
    viewer = entry.chosen().must(Permission.RECEIVE)
    if viewer.hcode is None:
        raise NotAllowed("an account without a hospital states nothing for one")
    state_travel_time(session, viewer, viewer.hcode, to, minutes)
    return see_other(request, "/referrals", flash="stated")


@router.get("/referrals/{number}")
def show_referral(number: Number, entry: Browser, request: Request, session: Look) -> Response:
    """One referral; when its receiver opens it first, the sender sees that it was opened."""
    viewer = entry.chosen().must(Permission.READ_IDENTITY)
    if find_referral(session, number, viewer).state is ReferralState.REQUESTED:
        session.rollback()
        with session_scope(request.app.state.engine) as writing:
            open_referral(writing, find_referral(writing, number, viewer, lock=True), viewer)
    referral = find_referral(session, number, viewer)
    values = referral_values(session, request, referral, viewer)
    note_read(request, session, viewer, "referral.read", study_id=referral.study_id)
    return render(request, "referral.html", viewer, **values)


@router.post("/referrals/{number}/next")
def ask_next(
    number: Number,
    entry: Browser,
    request: Request,
    session: Work,
    to: Annotated[str, Form(pattern=r"^\d{5}$")],
) -> Response:
    """Ask the next hospital."""
    viewer = entry.chosen().must(Permission.REFER)
    referral = find_referral(session, number, viewer, lock=True)
    following = follow_referral(session, referral, viewer, to=to)
    return see_other(request, f"/referrals/{following.id}", flash="referred")


@router.post("/referrals/{number}/handover")
def send_again(number: Number, entry: Browser, request: Request, session: Work) -> Response:
    """Send images, result and letter once more."""
    viewer = entry.chosen().must(Permission.REFER)
    order_handover(session, find_referral(session, number, viewer, lock=True), viewer)
    return see_other(request, f"/referrals/{number}", flash="sent_again")


@router.post("/referrals/{number}/hn")
def send_hn(
    number: Number,
    entry: Browser,
    request: Request,
    session: Work,
    hn: Annotated[str, Form(max_length=64)],
) -> Response:
    """Say, or correct, the patient's number here."""
    viewer = entry.chosen().must(Permission.RECEIVE)
    identify_patient(session, find_referral(session, number, viewer, lock=True), viewer, hn)
    return see_other(request, f"/referrals/{number}", flash="moved")


@router.post("/referrals/{number}/{verb}")
def send_verb(
    number: Number,
    verb: Verb,
    entry: Browser,
    request: Request,
    session: Work,
    version: Annotated[int | None, Form()] = None,
    reason: Annotated[Reason | None, Form()] = None,
    note: Annotated[str, Form(max_length=4000)] = "",
    hn: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Carry out one verb of the table."""
    viewer = entry.chosen()
    needed = [SIDE_PERMISSIONS[side] for side in MOVES[verb].sides]
    if not any(viewer.may(each) for each in needed):
        viewer.must(needed[0])
    referral = find_referral(session, number, viewer, lock=True)
    match verb:
        case Verb.REQUEST:
            request_referral(session, referral, viewer, version=version)
        case Verb.ACCEPT:
            accept_referral(session, referral, viewer, hn=hn, note=note, version=version)
        case Verb.COMPLETE:
            complete_referral(session, referral, viewer, reply=note, version=version)
        case _:
            move_referral(session, referral, viewer, verb, reason=reason, note=note, version=version)
    return see_other(request, f"/referrals/{number}", flash="moved")


def referral_values(session: Session, request: Request, referral: Referral, viewer: Viewer) -> dict[str, Any]:
    """What the page of one referral shows to this viewer."""
    study = session.get_one(Study, referral.study_id)
    sides, details = sides_of(referral, viewer), details_of(referral)
    next_ones: Sequence[Destination] = []
    if referral.state in FALLEN and Side.SENDER in sides:
        needs = [Capability(each) for each in referral.needs]
        asked = asked_before(session, referral)
        next_ones = rank_destinations(session, referral.from_hcode, needs, without=asked)[:OFFERED]
    known = {step.verb: step.at for step in steps_of(session, referral)}
    return {
        "referral": referral,
        "study": study,
        "case": case_number(study.id),
        "details": details,
        "warns": citizen_id_warning(details.citizen_id),
        "known": shows_patient(referral, viewer),
        "names": _names(session, request),
        "steps": steps_of(session, referral),
        "way": [(state, _reached(state, known)) for state in WAY],
        "verbs": [verb for verb in verbs_of(referral.state, sides) if verb is not Verb.RECEIVE],
        "reasons": REASONS,
        "answers": Side.RECEIVER in sides,
        "asks": Side.SENDER in sides,
        "suggested_hn": _suggested_hn(session, study, referral, viewer),
        "next_ones": next_ones,
        "links": links_of(session, referral) if sides else [],
        "shareable": bool(sides) and referral.state not in {ReferralState.DRAFT, *FALLEN},
        "deliveries": _deliveries(session, referral) if shows_patient(referral, viewer) else [],
        "repeatable": bool(sides) and not missing_for_handover(session, referral),
        "under_way": handover_under_way(session, referral),
        "moph": messages_of(session, referral),
        "draft": draft_for(session, referral, viewer),
        "fresh": None,
        "shared": shared_with(session, referral),
        "moment": now(),
    }


def _deliveries(session: Session, referral: Referral) -> Sequence[Delivery]:
    """What went, or goes, to the receiving hospital's PACS, and the reply to the sending one's."""
    to = [peer.name for peer in destinations(session, referral.to_hcode)]
    back = [peer.name for peer in destinations(session, referral.from_hcode)]
    over = Delivery.peer.in_(to) & Delivery.purpose.in_((Purpose.STUDY, Purpose.LETTER))
    reply = Delivery.peer.in_(back) & (Delivery.purpose == Purpose.REPLY)
    query = select(Delivery).where(Delivery.study_id == referral.study_id, over | reply)
    return session.scalars(query.order_by(Delivery.id)).all()


def _reached(state: ReferralState, known: dict[Verb, Any]) -> Any:
    return next((known[verb] for verb, move in MOVES.items() if move.target is state and verb in known), None)


def _suggested_hn(session: Session, study: Study, referral: Referral, viewer: Viewer) -> str:
    """The number of somebody with the same name, sex and birthday there; to be confirmed."""
    if Side.RECEIVER not in sides_of(referral, viewer):
        return ""
    same = other_studies(session, viewer, study)
    return next((each.patient_id for each in same if each.hcode == referral.to_hcode), "")


def _names(session: Session, request: Request) -> dict[str, str]:
    return hospital_names(session, thai=words_of(request).language is Language.TH)
