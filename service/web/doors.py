"""Signing in at an identity provider: away to it, and back from it.

What binds the answer to this browser (state, nonce, PKCE verifier) lies in a cookie that only the way back
reads and that it deletes, so that an answer works once and in one browser.
"""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from hmac import compare_digest
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.db import session_scope
from service.entrance import let_in, note_turned_away
from service.errors import NotFound, NotSignedIn, TooManyAttempts, Unavailable
from service.identities import account_of, follow_hospitals, note_stranger
from service.oidc import Person
from service.sign_in_attempts import begin_attempt, note_success
from service.sign_in_doors import Listed
from service.web.entrance import admit, sign_in_page
from service.web.page import address_of_client, local

router = APIRouter(include_in_schema=False)

COOKIE: Final = "hub_door"
MINUTES: Final = 10
Name = Annotated[str, Path(max_length=60)]


@router.get("/login/with/{name}")
def leave_for(name: Name, request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Send the browser to a provider."""
    kept = {
        "name": name,
        "state": secrets.token_urlsafe(32),
        "nonce": secrets.token_urlsafe(32),
        "verifier": secrets.token_urlsafe(48),
        "next": local(next),
    }
    try:
        address = _listed(request, name).door.address(
            state=kept["state"],
            nonce=kept["nonce"],
            verifier=kept["verifier"],
            redirect_uri=_way_back(request, name),
        )
    except Unavailable:
        return _again(request, "unavailable", 503)
    response = RedirectResponse(address, 303)
    value = urlsafe_b64encode(json.dumps(kept).encode()).decode()
    secure = _way_back(request, name).startswith("https:")
    response.set_cookie(
        COOKIE, value, max_age=MINUTES * 60, path="/login", secure=secure, httponly=True, samesite="lax"
    )
    return response


@router.get("/login/from/{name}")
def come_back(name: Name, request: Request) -> Response:
    """Take the provider's answer: whoever is linked to an account is in."""
    engine, address = request.app.state.engine, address_of_client(request)
    # each answer is a name of its own: what is limited is how many of them one address may make up
    attempt = f"{name} {request.query_params.get('state', '')}"
    try:
        with session_scope(engine) as session:
            begin_attempt(session, attempt, address)
        kept = _kept(request, name)
        person = _listed(request, name).door.person(
            request.query_params,
            nonce=kept["nonce"],
            verifier=kept["verifier"],
            redirect_uri=_way_back(request, name),
        )
        with session_scope(engine) as session:
            note_success(session, attempt, address)
    except TooManyAttempts as refusal:
        return _again(request, "locked", refusal.status, minutes=refusal.minutes)
    except (NotSignedIn, Unavailable) as refusal:
        _turned_away(request, name, type(refusal).__name__)
        word = "unavailable" if isinstance(refusal, Unavailable) else "refused"
        return _again(request, word, refusal.status)
    return _let_in(request, name, person, kept["next"])


@router.get("/login/out-of/{name}")
def sign_out_there(name: Name, request: Request) -> Response:
    """Send the browser to where the provider's own session ends."""
    try:
        address = _listed(request, name).door.way_out(redirect_uri=f"{_root(request)}/login")
    except Unavailable:
        return _again(request, "unavailable", 503)
    if address is None:
        return _again(request, "no_way_out", 200)
    return RedirectResponse(address, 303)


def _let_in(request: Request, name: str, person: Person, next: str) -> Response:
    lifetime = timedelta(hours=request.app.state.settings.session_hours)
    with session_scope(request.app.state.engine) as session:
        account = account_of(session, person)
        if account is not None:
            follow_hospitals(session, account, person)
            key = let_in(session, account, method=name, address=address_of_client(request), lifetime=lifetime)
        else:
            code = note_stranger(session, person)
    if account is None:
        _turned_away(request, name, "stranger")
        return _again(request, "stranger" if code else "closed", 403, code=code)
    response = admit(request, key, next)
    response.delete_cookie(COOKIE, path="/login")
    return response


def _kept(request: Request, name: str) -> dict[str, str]:
    """What the cookie holds, once its state is the answer's."""
    try:
        kept = json.loads(urlsafe_b64decode(request.cookies.get(COOKIE, "")))
        known = kept["name"] == name and compare_digest(kept["state"], request.query_params.get("state", ""))
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise NotSignedIn("the answer belongs to no sign-in of this browser")
    return {key: str(value) for key, value in kept.items()}


def _listed(request: Request, name: str) -> Listed:
    listed: Listed | None = request.app.state.doors.get(name)
    if listed is None:
        raise NotFound(f"there is no provider {name!r}")
    return listed


def _way_back(request: Request, name: str) -> str:
    return f"{_root(request)}/login/from/{name}"


def _root(request: Request) -> str:
    return request.app.state.settings.public_url or str(request.base_url).rstrip("/")


def _turned_away(request: Request, name: str, reason: str) -> None:
    with session_scope(request.app.state.engine) as session:
        note_turned_away(session, method=name, address=address_of_client(request), reason=reason)


def _again(
    request: Request, refused: str, status: int, *, minutes: int = 0, code: str | None = None
) -> Response:
    response = sign_in_page(request, status=status, refused=refused, minutes=minutes, code=code)
    response.delete_cookie(COOKIE, path="/login")
    return response
