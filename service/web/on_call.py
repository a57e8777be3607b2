"""The on-call page: what rings now, who is on call, and how alerts reach oneself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.alert_deliveries import AlertDelivery, messages_of
from service.alert_states import AlertState
from service.alerts import Alert, Through, acknowledge, find_alert, list_alerts
from service.api.access import Look, OnCall, Work, note_read
from service.case_numbers import case_number
from service.contacts import (
    OF_PEOPLE,
    Way,
    add_contact,
    contacts_of_hospital,
    contacts_of_person,
    find_contact,
    read_quiet,
    remove_contact,
)
from service.db import now
from service.errors import BadRequest
from service.hospitals import hospital_names
from service.hubs import hub_of
from service.rosters import add_shift, candidates, may_see, on_duty, remove_shift, upcoming
from service.specialties import Specialty
from service.thai_time import THAILAND
from service.web.fields import as_field, thai_moment
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Number = Annotated[int, Path(ge=1, le=2**53)]
SHOWN = 20
MORNING = 8
"""The hour at which the form lets a shift end."""


@dataclass(frozen=True, slots=True)
class Row:
    """One alert as the page shows it."""

    alert: Alert
    case: str
    hospital: str
    messages: Sequence[AlertDelivery]


@router.get("/on-call")
def show_on_call(
    request: Request,
    viewer: OnCall,
    session: Look,
    hospital: Annotated[str, Query(pattern=r"^(\d{5})?$")] = "",
) -> Response:
    """What rings, and the roster of the viewer's hospital; who sees the region chooses one."""
    hcode = viewer.hcode or hospital
    names = hospital_names(session, thai=words_of(request).language is Language.TH)
    ringing = list_alerts(session, viewer, state=AlertState.RINGING, limit=SHOWN)
    lately = [each for each in list_alerts(session, viewer, limit=SHOWN) if each.state != AlertState.RINGING]
    values: dict[str, Any] = {
        "ringing": [_row(session, each, names) for each in ringing],
        "lately": [_row(session, each, names) for each in lately],
        "hcode": hcode,
        "names": names,
        "choosing": viewer.hcode is None,
        "mine": contacts_of_person(session, viewer.username),
        "ways": sorted(OF_PEOPLE),
        "specialties": list(Specialty),
        "start": as_field(now()),
        "end": as_field(_next_morning()),
        "shared": (),
        **(_roster(session, viewer, hcode) if hcode else {}),
    }
    if "x-hub-unattended" not in request.headers:
        note_read(request, session, viewer, "alert.list", detail={"alerts": len(ringing) + len(lately)})
    return render(request, "on_call.html", viewer, **values)


@router.get("/alerts/{number}")
def show_alert(number: Number, request: Request, viewer: OnCall, session: Look) -> Response:
    """One alert: whom it was told, by what, with which proof."""
    alert = find_alert(session, number, viewer)
    names = hospital_names(session, thai=words_of(request).language is Language.TH)
    row = _row(session, alert, names)
    note_read(request, session, viewer, "alert.read", study_id=alert.study_id, detail={"alert": number})
    return render(request, "alert.html", viewer, row=row, names=names)


@router.post("/alerts/{number}/acknowledge")
def take(number: Number, request: Request, viewer: OnCall, session: Work) -> Response:
    """Say that one has it, and go where it leads."""
    alert = acknowledge(session, number, viewer, through=Through.PAGE)
    if alert.withdrawn_at is not None:
        return see_other(request, f"/alerts/{number}", flash="alert_withdrawn")
    mine = alert.acknowledged_by == viewer.username
    return see_other(request, alert.path, flash="alert_taken" if mine else "alert_taken_before")


@router.post("/on-call/shifts")
def put_on_call(
    request: Request,
    viewer: OnCall,
    session: Work,
    hospital: Annotated[str, Form(pattern=r"^\d{5}$")],
    username: Annotated[str, Form(max_length=100)],
    start: Annotated[str, Form(max_length=16)],
    end: Annotated[str, Form(max_length=16)],
    place: Annotated[int, Form(ge=1, le=9)] = 1,
    specialty: Annotated[str, Form(max_length=24)] = "",
) -> Response:
    """Put somebody on call; times are Thai."""
    add_shift(
        session,
        viewer,
        hospital,
        username,
        starts_at=thai_moment(start),
        ends_at=thai_moment(end),
        place=place,
        specialty=_specialty(specialty),
    )
    return see_other(request, _back(viewer, hospital), flash="shift_added")


@router.post("/on-call/{hospital}/shifts/{number}/delete")
def take_off(
    hospital: Annotated[str, Path(pattern=r"^\d{5}$")],
    number: Number,
    request: Request,
    viewer: OnCall,
    session: Work,
) -> Response:
    """Take somebody off the roster."""
    remove_shift(session, viewer, hospital, number)
    return see_other(request, _back(viewer, hospital), flash="shift_removed")


@router.post("/on-call/contacts")
def list_contact(
    request: Request,
    viewer: OnCall,
    session: Work,
    way: Annotated[Way, Form()],
    address: Annotated[str, Form(max_length=500)],
    quiet: Annotated[str, Form(max_length=11)] = "",
) -> Response:
    """List a way to oneself."""
    add_contact(session, viewer, way, address, username=viewer.username, quiet=read_quiet(quiet.strip()))
    return see_other(request, "/on-call", flash="contact_added")


@router.post("/on-call/contacts/{number}/delete")
def forget_contact(number: Number, request: Request, viewer: OnCall, session: Work) -> Response:
    """Forget a way to oneself."""
    remove_contact(session, viewer, find_contact(session, number, viewer))
    return see_other(request, "/on-call", flash="contact_removed")


def _roster(session: Session, viewer: Viewer, hcode: str) -> dict[str, Any]:
    may_see(session, viewer, hcode)
    return {
        "duties": on_duty(session, hcode, now()),
        "shifts": upcoming(session, viewer, hcode),
        "people": candidates(session, hcode),
        "hub": hub_of(session, hcode),
        "shared": contacts_of_hospital(session, hcode) if viewer.may(Permission.ADMINISTER) else (),
    }


def _row(session: Session, alert: Alert, names: dict[str, str]) -> Row:
    hospital = names.get(alert.hcode, alert.hcode)
    return Row(alert, case_number(alert.study_id), hospital, messages_of(session, alert.id))


def _specialty(text: str) -> Specialty | None:
    try:
        return Specialty(text) if text else None
    except ValueError:
        raise BadRequest(f"{text!r} is no specialty; there are {', '.join(Specialty)}") from None


def _next_morning() -> datetime:
    there = now().astimezone(THAILAND)
    today = there.replace(hour=MORNING, minute=0, second=0, microsecond=0)
    return today if there < today else today + timedelta(days=1)


def _back(viewer: Viewer, hospital: str) -> str:
    return "/on-call" if viewer.hcode else f"/on-call?hospital={hospital}"
