"""Rosters over HTTP: who is on call at a hospital, who comes first, and which hospital stands behind it."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import Administrator, Look, OnCall, Work
from service.api.problems import responses
from service.db import now
from service.hubs import choose_hub, hub_of
from service.rosters import LAST_PLACE, Duty, add_shift, may_see, on_duty, remove_shift, upcoming
from service.specialties import Specialty

router = APIRouter(prefix="/api/v1/rosters", tags=["rosters"], responses=responses(401, 403, 404, 422, 503))

Hcode = Annotated[str, Path(pattern=r"^\d{5}$", description="Hospital code")]


class ShiftOut(BaseModel):
    """One person's turn."""

    id: int
    username: str
    place: int
    """1 is told first."""
    specialty: Specialty | None
    """Consults for it are told to these first."""
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class ShiftIn(BaseModel):
    """Somebody to be on call."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "username": "udon-doctor",
                    "place": 1,
                    "starts_at": "2026-11-22T16:00:00+07:00",
                    "ends_at": "2026-11-23T08:00:00+07:00",
                }
            ]
        },
    )

    username: str = Field(max_length=100)
    place: int = Field(default=1, ge=1, le=LAST_PLACE)
    specialty: Specialty | None = None
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class RosterOut(BaseModel):
    """A hospital's roster."""

    hospital: str
    hub: str | None
    """The hospital that is told when nobody here answers."""
    now: list[ShiftOut]
    shifts: list[ShiftOut]
    """Those that are not over yet."""


class HubIn(BaseModel):
    """The hospital that stands behind."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"hub": "10671"}]})

    hub: str = Field(pattern=r"^\d{5}$")


@router.get("/{hcode}")
def read_roster(hcode: Hcode, viewer: OnCall, session: Look) -> RosterOut:
    """Who is on call now, and the shifts that are not over."""
    return _roster(session, viewer, hcode)


@router.post("/{hcode}/shifts", status_code=201, responses=responses(409))
def create_shift(hcode: Hcode, body: ShiftIn, viewer: OnCall, session: Work) -> RosterOut:
    """Put somebody on call; answers the roster."""
    add_shift(session, viewer, hcode, **body.model_dump())
    return _roster(session, viewer, hcode)


@router.delete("/{hcode}/shifts/{number}", status_code=204)
def delete_shift(
    hcode: Hcode, number: Annotated[int, Path(ge=1, le=2**53)], viewer: OnCall, session: Work
) -> None:
    """Take somebody off the roster."""
    remove_shift(session, viewer, hcode, number)


@router.put("/{hcode}/hub")
def put_hub(hcode: Hcode, body: HubIn, viewer: Administrator, session: Work) -> RosterOut:
    """Choose the hospital that is told when nobody here answers."""
    choose_hub(session, viewer, hcode, body.hub)
    return _roster(session, viewer, hcode)


def _roster(session: Session, viewer: Viewer, hcode: str) -> RosterOut:
    may_see(session, viewer, hcode)
    return RosterOut(
        hospital=hcode,
        hub=hub_of(session, hcode),
        now=[_shift_out(each) for each in on_duty(session, hcode, now())],
        shifts=[_shift_out(each) for each in upcoming(session, viewer, hcode)],
    )


def _shift_out(duty: Duty) -> ShiftOut:
    shift = duty.shift
    return ShiftOut(
        id=shift.id,
        username=duty.account.username,
        place=shift.place,
        specialty=shift.specialty,
        starts_at=shift.starts_at,
        ends_at=shift.ends_at,
    )
