"""The reply letter while it is being written: kept, looked at on paper, gone on with by a colleague."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response

from service.accounts import Permission
from service.api.access import Browser, Work
from service.referrals import find_referral
from service.reply_drafts import save_draft
from service.web.page import see_other
from service.web.words import Language

router = APIRouter(include_in_schema=False)


@router.post("/referrals/{number}/reply-draft")
def keep_draft(
    number: Annotated[int, Path(ge=1, le=2**53)],
    entry: Browser,
    request: Request,
    session: Work,
    note: Annotated[str, Form(max_length=8000)] = "",
    seen: Annotated[int | None, Form(ge=0)] = None,
    look: Annotated[Language | None, Form()] = None,
) -> Response:
    """Keep what stands so far; with `look`, show it as the letter that it would be."""
    viewer = entry.chosen().must(Permission.RECEIVE)
    save_draft(session, find_referral(session, number, viewer, lock=True), viewer, note, seen=seen)
    if look is not None:
        return see_other(request, f"/api/v1/referrals/{number}/reply.pdf?lang={look.value}")
    return see_other(request, f"/referrals/{number}", flash="reply_kept")
