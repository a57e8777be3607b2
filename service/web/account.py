"""One's own account: who one is here, the password, and where else one is signed in."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.orm import Session

from service.api.access import Browser, Look
from service.browser_sessions import Entry, open_sessions_of
from service.entrance import change_password
from service.errors import BadRequest, HubError, NotSignedIn, TooManyAttempts
from service.hospitals import find_hospital
from service.web.page import address_of_client, render, see_other

router = APIRouter(include_in_schema=False)

Secret = Annotated[str, Form(max_length=1000)]
REFUSALS: dict[type[HubError], str] = {NotSignedIn: "wrong", BadRequest: "short", TooManyAttempts: "locked"}


@router.get("/account")
def show_account(entry: Browser, request: Request, session: Look) -> Response:
    """The account's page."""
    return _show(request, session, entry)


@router.post("/account/password")
def change(
    entry: Browser,
    request: Request,
    session: Look,
    old: Secret = "",
    new: Secret = "",
    again: Secret = "",
) -> Response:
    """Change the password."""
    if new != again:
        return _show(request, session, entry, refused="differ")
    try:
        change_password(request.app.state.engine, entry, old, new, address=address_of_client(request))
    except (NotSignedIn, BadRequest, TooManyAttempts) as refusal:
        return _show(request, session, entry, refused=REFUSALS[type(refusal)])
    return see_other(request, "/account", flash="password_changed")


def _show(request: Request, session: Session, entry: Entry, *, refused: str | None = None) -> Response:
    viewer = entry.chosen()
    return render(
        request,
        "account.html",
        viewer,
        status=200 if refused is None else 422,
        hospital=find_hospital(session, viewer.hcode) if viewer.hcode else None,
        sessions=open_sessions_of(session, entry.account_id),
        refused=refused,
    )
