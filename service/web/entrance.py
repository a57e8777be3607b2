"""The door: sign in, choose a hospital, sign out."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response

from service import entrance
from service.api.access import Browser, Look, Work
from service.api.csrf import SESSION_COOKIE, OwnForm
from service.browser_sessions import choose_hospital
from service.errors import NotSignedIn, TooManyAttempts
from service.hospitals import find_hospital
from service.sign_in_doors import Listed
from service.web.page import address_of_client, drop_session, home_of, local, render, see_other, set_cookie

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Form(max_length=500)]


@router.get("/login")
def show_login(
    request: Request,
    next: Annotated[str, Query(max_length=500)] = "/",
    left: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """The form; after a sign-out also the provider that one has `left` the hub from and is still known to."""
    return sign_in_page(request, next=next, left=request.app.state.doors.get(left))


def sign_in_page(
    request: Request,
    *,
    status: int = 200,
    next: str = "/",
    refused: str | None = None,
    minutes: int = 0,
    code: str | None = None,
    left: Listed | None = None,
) -> Response:
    """The form, with what kept somebody out (`refused`: a key of the texts), or a provider still known to."""
    said: dict[str, Any] = {"refused": refused, "minutes": minutes, "code": code, "left": left}
    return render(request, "login.html", status=status, next=local(next), **said)


@router.post("/login", dependencies=[OwnForm])
def login(
    request: Request,
    username: Annotated[str, Form(max_length=100)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    next: Next = "/",
) -> Response:
    """Check name and password; where they are wrong, the form again with the reason."""
    state = request.app.state
    try:
        key = entrance.enter_by_password(
            state.engine,
            username,
            password,
            address=address_of_client(request),
            lifetime=timedelta(hours=state.settings.session_hours),
        )
    except NotSignedIn as refusal:
        return sign_in_page(request, status=refusal.status, next=next, refused="wrong")
    except TooManyAttempts as refusal:
        response = sign_in_page(
            request, status=refusal.status, next=next, refused="locked", minutes=refusal.minutes
        )
        response.headers["Retry-After"] = str(refusal.minutes * 60)
        return response
    return admit(request, key, next)


def admit(request: Request, key: str, next: str) -> Response:
    """Put the key of a new session into the cookie, and go on."""
    response = see_other(request, next)
    set_cookie(request, response, SESSION_COOKIE, key)
    return response


@router.get("/hospital")
def show_hospitals(
    entry: Browser, request: Request, session: Look, next: Annotated[str, Query(max_length=500)] = "/"
) -> Response:
    """The hospitals to choose from; a person with only one has nothing to choose."""
    if not entry.choices:
        return see_other(request, home_of(entry.chosen()))
    hospitals = [find_hospital(session, hcode) for hcode in entry.choices]
    return render(request, "hospital.html", entry.viewer, hospitals=hospitals, next=local(next))


@router.post("/hospital")
def choose(
    entry: Browser,
    request: Request,
    session: Work,
    hospital: Annotated[str, Form(max_length=5)],
    next: Next = "/",
) -> Response:
    """Work for this hospital from now on."""
    choose_hospital(session, entry, hospital)
    return see_other(request, next)


@router.post("/logout")
def logout(
    entry: Browser,
    request: Request,
    session: Work,
    everywhere: Annotated[bool, Form()] = False,
) -> Response:
    """Sign out, here or everywhere."""
    entrance.leave(session, entry, everywhere=everywhere)
    # a link and no redirect: a form of ours may lead nowhere else (form-action), and the provider's
    # session may serve other systems, which only the person can know
    place = f"/login?left={entry.method}" if entry.method in request.app.state.doors else "/login"
    response = see_other(request, place, flash="signed_out")
    drop_session(response)
    return response
