"""Neighbour hubs over HTTP, for administrators: where they are, who lives there, what is still to be told."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service import audit, circuits
from service.api.access import Administrator, Look, Work
from service.api.problems import responses
from service.neighbours import (
    Neighbour,
    add_neighbour,
    find_neighbour,
    hospitals_at,
    list_neighbours,
    settle_hospitals,
    switch_neighbour,
)
from service.referral_links import line_of, remove_neighbour, untold

router = APIRouter(
    prefix="/api/v1/neighbours", tags=["neighbours"], responses=responses(401, 403, 404, 409, 422, 503)
)

Name = Annotated[str, Path(max_length=40, description="the name of the pair")]
Hcodes = Annotated[list[Annotated[str, Field(pattern=r"^\d{5}$")]], Field(max_length=200)]


class NeighbourIn(BaseModel):
    """Another hub."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=40, examples=["khon-kaen"])
    url: str = Field(max_length=300, examples=["https://hub.example.go.th"])
    hospitals: Hcodes
    secret: str = Field(default="", max_length=200, description="as the other side has it; empty makes one")


class NeighbourChange(BaseModel):
    """What is to change of it."""

    model_config = ConfigDict(extra="forbid")

    hospitals: Hcodes | None = None
    enabled: bool | None = None


class NeighbourOut(BaseModel):
    """Another hub as it is known here."""

    name: str
    url: str
    hospitals: list[str]
    enabled: bool
    waiting: int
    """Referrals of which something is still to be told."""
    last_error: str


class NeighbourMade(NeighbourOut):
    """With the secret, which is shown once."""

    secret: str


@router.get("")
def read_neighbours(viewer: Administrator, session: Look) -> list[NeighbourOut]:
    """Every neighbour by name."""
    return [_out(session, each) for each in list_neighbours(session)]


@router.post("", status_code=201)
def create_neighbour(body: NeighbourIn, viewer: Administrator, session: Work) -> NeighbourMade:
    """List another hub; it lists this one under the same name and with the same secret."""
    made = add_neighbour(session, body.name, body.url, body.hospitals, secret=body.secret)
    audit.record(session, viewer.username, "neighbour.add", detail={"neighbour": made.id})
    return NeighbourMade(**_out(session, made).model_dump(), secret=made.secret)


@router.patch("/{name}")
def update_neighbour(name: Name, body: NeighbourChange, viewer: Administrator, session: Work) -> NeighbourOut:
    """Change who lives there, or whether it is talked to."""
    neighbour = find_neighbour(session, name)
    if body.hospitals is not None:
        settle_hospitals(session, neighbour, body.hospitals)
    if body.enabled is not None:
        switch_neighbour(session, name, enabled=body.enabled)
    audit.record(session, viewer.username, "neighbour.change", detail={"neighbour": neighbour.id})
    return _out(session, neighbour)


@router.delete("/{name}", status_code=204)
def delete_neighbour(name: Name, viewer: Administrator, session: Work) -> None:
    """Know it no more; not while a patient is on the way between the two."""
    number = remove_neighbour(session, name)
    audit.record(session, viewer.username, "neighbour.remove", detail={"neighbour": number})


def _out(session: Session, neighbour: Neighbour) -> NeighbourOut:
    circuit = session.get(circuits.Circuit, line_of(neighbour.name))
    return NeighbourOut(
        name=neighbour.name,
        url=neighbour.url,
        hospitals=hospitals_at(session, neighbour),
        enabled=neighbour.enabled,
        waiting=untold(session, neighbour),
        last_error=circuit.last_error if circuit else "",
    )
