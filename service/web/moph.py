"""The page of MOPH Refer: whose referrals are sent there, what waits, what was refused and why."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response

from service.api.access import Administrator, Look, Work, note_read
from service.circuits import Circuit
from service.hospitals import hospital_names
from service.moph.keys import LONGEST_KEY, drop_keys, list_keys, set_keys
from service.moph.messages import (
    FAILED,
    SHOWN,
    MessageState,
    count_messages,
    line_of,
    list_messages,
    send_again,
)
from service.settings import Settings
from service.web.page import render, see_other, words_of
from service.web.words import Language

PLACE = "/console/moph"
router = APIRouter(prefix=PLACE, include_in_schema=False)

Key = Annotated[str, Form(min_length=1, max_length=LONGEST_KEY)]


@router.get("")
def show_moph(
    request: Request,
    viewer: Administrator,
    session: Look,
    state: Annotated[MessageState | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> Response:
    """Keys by hospital and the queue, newest first."""
    settings: Settings = request.app.state.settings
    found = list_messages(session, viewer, states=[state] if state else [], before=before)
    keys = list_keys(session)
    values: dict[str, Any] = {
        "keys": keys,
        "circuits": {each.hcode: session.get(Circuit, line_of(each.hcode)) for each in keys},
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "messages": found,
        "counts": count_messages(session, viewer),
        "states": list(MessageState),
        "again": FAILED,
        "state": state,
        "next": found[-1].id if len(found) == SHOWN else None,
        "url": settings.nrefer_url,
        "longest": LONGEST_KEY,
    }
    page = render(request, "moph.html", viewer, **values)
    note_read(request, session, viewer, "moph.list", detail={"messages": len(found)})
    return page


@router.post("/keys")
def give_keys(
    request: Request,
    viewer: Administrator,
    session: Work,
    hospital: Annotated[str, Form(max_length=5)],
    api_key: Key,
    secret_key: Key,
) -> Response:
    """Give a hospital its keys, or new ones; neither half is shown again."""
    set_keys(session, viewer, hospital, api_key=api_key.strip(), secret_key=secret_key.strip())
    return see_other(request, PLACE, flash="moph_keys_set")


@router.post("/keys/{hcode}/drop")
def take_keys(
    hcode: Annotated[str, Path(pattern=r"^\d{5}$")], request: Request, viewer: Administrator, session: Work
) -> Response:
    """Send no more of this hospital."""
    drop_keys(session, viewer, hcode)
    return see_other(request, PLACE, flash="moph_keys_dropped")


@router.post("/{number}/again")
def tell_again(
    number: Annotated[int, Path(ge=1, le=2**53)], request: Request, viewer: Administrator, session: Work
) -> Response:
    """Send what MOPH Refer refused, or what was given up, again."""
    send_again(session, viewer, number)
    return see_other(request, PLACE, flash="job_again")
