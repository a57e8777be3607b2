"""Where a patient may be referred to, what hospitals state that they can do, and how far they are apart."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import IdentityReader, Look, Reader, Receiver, Work, note_read
from service.api.problems import responses
from service.capabilities import Capability, state_capability, stated
from service.destinations import Destination, Fit, rank_destinations
from service.errors import BadRequest
from service.sight import find_study
from service.travel_times import LONGEST_MINUTES, roads_from, state_travel_time

router = APIRouter(prefix="/api/v1", tags=["referrals"], responses=responses(401, 403, 404, 422, 503))

Hcode = Annotated[str, Path(pattern=r"^\d{5}$", examples=["10671"])]


class DestinationOut(BaseModel):
    """One hospital in the order."""

    hospital: str
    name_th: str
    name_en: str
    fit: str
    """`stated`, `unknown` or `lacking`: whether it can do what is needed."""
    near: bool
    minutes: int | None
    """By road; None where nobody knows."""
    load: int
    reason_th: str
    reason_en: str


class StatementIn(BaseModel):
    """Whether a hospital can do something."""

    model_config = ConfigDict(extra="forbid")

    available: bool


class StatementOut(BaseModel):
    """What a hospital states."""

    hospital: str
    capability: Capability
    available: bool
    stated_by: str
    at: datetime


class TravelTimeIn(BaseModel):
    """The way between two hospitals."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(ge=1, le=LONGEST_MINUTES)


class TravelTimeOut(BaseModel):
    """What is known of the way to one hospital."""

    hospital: str
    minutes: int
    journeys: int
    """Measured journeys that it is the median of; 0 where somebody stated it."""


@router.get("/destinations")
def read_destinations(
    request: Request,
    viewer: IdentityReader,
    session: Look,
    study: Annotated[str, Query(max_length=64, description="Study Instance UID")],
    need: Annotated[list[Capability] | None, Query(description="what the patient needs")] = None,
) -> list[DestinationOut]:
    """Hospitals that a patient may be referred to, best first, each with the reason."""
    found = find_study(session, study, viewer)
    hcode = found.hcode if viewer.hcode is None else viewer.hcode
    if hcode is None:
        raise BadRequest("nobody knows yet which hospital the study comes from")
    ranked = [destination_out(each) for each in rank_destinations(session, hcode, need or [])]
    note_read(request, session, viewer, "destination.list", study_id=found.id)
    return ranked


@router.get("/capabilities")
def read_capabilities(viewer: Reader, session: Look) -> list[StatementOut]:
    """What stands stated, by hospital; what is missing is not known."""
    return [
        StatementOut(
            hospital=hcode,
            capability=row.capability,
            available=row.available,
            stated_by=row.stated_by,
            at=row.at,
        )
        for hcode, rows in sorted(stated(session).items())
        for row in rows.values()
    ]


@router.put("/hospitals/{hcode}/capabilities/{capability}")
def write_capability(
    hcode: Hcode, capability: Capability, body: StatementIn, viewer: Receiver, session: Work
) -> StatementOut:
    """State that a hospital can do something, or cannot."""
    row = state_capability(session, viewer, hcode, capability, available=body.available)
    return StatementOut(
        hospital=row.hcode,
        capability=row.capability,
        available=row.available,
        stated_by=row.stated_by,
        at=row.at,
    )


@router.get("/hospitals/{hcode}/travel-times")
def read_travel_times(hcode: Hcode, viewer: Reader, session: Look) -> Sequence[TravelTimeOut]:
    """What is known of the ways from a hospital."""
    return [
        TravelTimeOut(hospital=other, minutes=road.minutes, journeys=road.journeys)
        for other, road in sorted(roads_from(session, hcode).items())
    ]


@router.put("/hospitals/{hcode}/travel-times/{other}")
def write_travel_time(
    hcode: Hcode, other: Hcode, body: TravelTimeIn, viewer: Receiver, session: Work
) -> TravelTimeOut:
    """State the minutes by road between two hospitals."""
    row = state_travel_time(session, viewer, hcode, other, body.minutes)
    return TravelTimeOut(hospital=other, minutes=row.minutes, journeys=0)


def destination_out(each: Destination) -> DestinationOut:
    """A destination as the API tells it."""
    return DestinationOut(
        hospital=each.hospital.hcode,
        name_th=each.hospital.name_th,
        name_en=each.hospital.name_en,
        fit=Fit(each.fit).name.lower(),
        near=each.near,
        minutes=each.road.minutes if each.road else None,
        load=each.load,
        reason_th=each.reason(thai=True),
        reason_en=each.reason(thai=False),
    )
