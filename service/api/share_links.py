"""Links that show a referral's key slices and letter to whoever holds them, for some hours."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import IdentityReader, Look, Referrer, Work, note_read
from service.api.letters import address_of_hub
from service.api.problems import responses
from service.referrals import find_referral
from service.share_links import LONGEST_HOURS, USUAL_HOURS, links_of, make_link, revoke_link

router = APIRouter(
    prefix="/api/v1/referrals/{number}/links",
    tags=["referrals"],
    responses=responses(401, 403, 404, 422, 503),
)

Number = Annotated[int, Path(ge=1, le=2**53, description="the referral's row number")]


class LinkIn(BaseModel):
    """A link to be made."""

    model_config = ConfigDict(extra="forbid")

    hours: int = Field(default=USUAL_HOURS, ge=1, le=LONGEST_HOURS)


class NewLinkOut(BaseModel):
    """A link; its address is told here and never again."""

    number: int
    address: str
    expires_at: datetime


class OpeningOut(BaseModel):
    """One time that it was used."""

    what: str
    address: str
    """Where the request came from."""
    at: datetime


class LinkOut(BaseModel):
    """A link as it stands."""

    number: int
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    openings: list[OpeningOut]


@router.post("", status_code=201)
def add_link(number: Number, body: LinkIn, request: Request, viewer: Referrer, session: Work) -> NewLinkOut:
    """Make a link."""
    referral = find_referral(session, number, viewer, lock=True)
    link, token = make_link(session, referral, viewer, hours=body.hours)
    address = f"{address_of_hub(request)}/s/{token}"
    return NewLinkOut(number=link.id, address=address, expires_at=link.expires_at)


@router.get("")
def read_links(number: Number, request: Request, viewer: IdentityReader, session: Look) -> list[LinkOut]:
    """The referral's links, and when each was opened."""
    referral = find_referral(session, number, viewer)
    answer = [
        LinkOut(
            number=link.id,
            created_by=link.created_by,
            created_at=link.created_at,
            expires_at=link.expires_at,
            revoked_at=link.revoked_at,
            openings=[OpeningOut(what=each.what, address=each.address, at=each.at) for each in openings],
        )
        for link, openings in links_of(session, referral)
    ]
    note_read(request, session, viewer, "share.list", study_id=referral.study_id)
    return answer


@router.post("/{link}/revoke", status_code=204)
def end_link(number: Number, link: int, viewer: Referrer, session: Work) -> None:
    """End a link now."""
    revoke_link(session, find_referral(session, number, viewer), link, viewer)
