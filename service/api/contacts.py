"""Contacts over HTTP: by which ways alerts reach a person or a hospital."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from service.accounts import Permission
from service.api.access import Look, OnCall, Work
from service.api.problems import responses
from service.contacts import (
    Contact,
    Way,
    add_contact,
    contacts_of_hospital,
    contacts_of_person,
    find_contact,
    read_quiet,
    remove_contact,
)
from service.errors import NotAllowed

router = APIRouter(prefix="/api/v1/contacts", tags=["contacts"], responses=responses(401, 403, 404, 422, 503))


class ContactOut(BaseModel):
    """One way to somebody."""

    id: int
    way: Way
    address: str
    quiet: str
    """Thai hours in which it is not used, such as 22:00-06:00."""
    created_at: datetime


class ContactMade(ContactOut):
    """A way just listed, with its secret, which is not shown again."""

    secret: str


class ContactIn(BaseModel):
    """A way to oneself; or, by an administrator, to another person or to a hospital."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"way": "email", "address": "on-call@hospital.example"}]},
    )

    way: Way
    address: str = Field(max_length=500)
    username: str | None = Field(default=None, max_length=100)
    hospital: str | None = Field(default=None, pattern=r"^\d{5}$")
    secret: str = Field(default="", max_length=200, description="MOPH Notify's secret key")
    quiet: str = Field(default="", max_length=11, description="Thai hours without it: 22:00-06:00")


@router.get("")
def read_contacts(
    viewer: OnCall, session: Look, hospital: Annotated[str | None, Query(pattern=r"^\d{5}$")] = None
) -> list[ContactOut]:
    """The ways to oneself; for an administrator also those to a hospital."""
    if hospital is None:
        return [_out(each) for each in contacts_of_person(session, viewer.username)]
    if not viewer.may(Permission.ADMINISTER):
        raise NotAllowed("the ways to a hospital are shown to administrators")
    return [_out(each) for each in contacts_of_hospital(session, hospital)]


@router.post("", status_code=201, responses=responses(409))
def create_contact(body: ContactIn, viewer: OnCall, session: Work) -> ContactMade:
    """List a way. A webhook gets a secret that its messages are signed with."""
    others = body.hospital is not None or body.username not in (None, viewer.username)
    if others and not viewer.may(Permission.ADMINISTER):
        raise NotAllowed("people list the ways to themselves; all others are an administrator's to list")
    made = add_contact(
        session,
        viewer,
        body.way,
        body.address,
        username=body.username if body.hospital else body.username or viewer.username,
        hcode=body.hospital,
        secret=body.secret,
        quiet=read_quiet(body.quiet),
    )
    return ContactMade(**_out(made).model_dump(), secret=made.secret)


@router.delete("/{number}", status_code=204)
def delete_contact(number: Annotated[int, Path(ge=1, le=2**53)], viewer: OnCall, session: Work) -> None:
    """Forget a way."""
    remove_contact(session, viewer, find_contact(session, number, viewer))


def _out(contact: Contact) -> ContactOut:
    return ContactOut(
        id=contact.id,
        way=contact.way,
        address=contact.address,
        quiet=contact.quiet,
        created_at=contact.created_at,
    )
