"""The administrators' page of neighbour hubs: where they are, who lives there, what waits."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request, Response
from sqlalchemy.orm import Session

from service import audit
from service.accounts import Viewer
from service.api.access import Administrator, Look, Work, note_read
from service.circuits import Circuit
from service.hospitals import hospital_names
from service.neighbours import (
    SHORTEST_SECRET,
    Neighbour,
    add_neighbour,
    find_neighbour,
    hospitals_at,
    list_neighbours,
    settle_hospitals,
    switch_neighbour,
)
from service.referral_links import line_of, remove_neighbour, untold
from service.web.page import render, see_other, words_of
from service.web.words import Language

PLACE = "/console/neighbours"
router = APIRouter(prefix=PLACE, include_in_schema=False)

Name = Annotated[str, Path(max_length=40)]
Hcodes = Annotated[list[str], Form(max_length=200)]


@router.get("")
def show_neighbours(request: Request, viewer: Administrator, session: Look) -> Response:
    """Every neighbour."""
    page = _show(request, session, viewer)
    note_read(request, session, viewer, "neighbour.list")
    return page


@router.post("")
def add(
    request: Request,
    viewer: Administrator,
    session: Work,
    name: Annotated[str, Form(max_length=40)],
    url: Annotated[str, Form(max_length=300)],
    hospital: Hcodes,
    secret: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """List another hub; a secret made here is shown on the answer, once, never in an address."""
    made = add_neighbour(session, name.strip(), url.strip(), hospital, secret=secret.strip())
    audit.record(session, viewer.username, "neighbour.add", detail={"neighbour": made.id})
    return _show(request, session, viewer, made=made, key="" if secret else made.secret)


@router.post("/{name}/hospitals")
def settle(name: Name, request: Request, viewer: Administrator, session: Work, hospital: Hcodes) -> Response:
    """Change who lives there."""
    neighbour = find_neighbour(session, name)
    settle_hospitals(session, neighbour, hospital)
    return _changed(request, session, viewer, neighbour)


@router.post("/{name}/switch")
def switch(
    name: Name, request: Request, viewer: Administrator, session: Work, enabled: Annotated[bool, Form()]
) -> Response:
    """Talk to it, or not for now; what is to be told waits."""
    return _changed(request, session, viewer, switch_neighbour(session, name, enabled=enabled))


@router.post("/{name}/remove")
def remove(name: Name, request: Request, viewer: Administrator, session: Work) -> Response:
    """Know it no more."""
    number = remove_neighbour(session, name)
    audit.record(session, viewer.username, "neighbour.remove", detail={"neighbour": number})
    return see_other(request, PLACE, flash="neighbour_removed")


def _changed(request: Request, session: Session, viewer: Viewer, neighbour: Neighbour) -> Response:
    audit.record(session, viewer.username, "neighbour.change", detail={"neighbour": neighbour.id})
    return see_other(request, PLACE, flash="neighbour_changed")


def _show(
    request: Request, session: Session, viewer: Viewer, *, made: Neighbour | None = None, key: str = ""
) -> Response:
    rows: list[dict[str, Any]] = [
        {
            "neighbour": each,
            "hospitals": hospitals_at(session, each),
            "waiting": untold(session, each),
            "circuit": session.get(Circuit, line_of(each.name)),
        }
        for each in list_neighbours(session)
    ]
    values: dict[str, Any] = {
        "rows": rows,
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "settled": {code: row["neighbour"].name for row in rows for code in row["hospitals"]},
        "made": made,
        "key": key,
        "shortest": SHORTEST_SECRET,
    }
    return render(request, "neighbours.html", viewer, **values)
