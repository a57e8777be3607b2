"""The page behind the link in an alert: one tap says that one has it, without signing in.

Mail servers and messengers open links to look at them, so opening it changes nothing; the button does.
Whoever has the link was sent the alert; it shows no patient and opens nothing but this one alert.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.alert_states import AlertState
from service.alerts import acknowledge_by_link, alert_of_link
from service.api.access import Look, Work
from service.api.csrf import OwnForm
from service.case_numbers import case_number
from service.hospitals import find_hospital
from service.web.page import render, see_other

router = APIRouter(include_in_schema=False)

Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{43}$")]


@router.get("/a/{token}")
def show_link(token: Token, request: Request, session: Look) -> Response:
    """What happened, where, and the button."""
    alert, message = alert_of_link(session, token)
    return render(
        request,
        "alert_link.html",
        alert=alert,
        told=message.told,
        case=case_number(alert.study_id),
        hospital=find_hospital(session, alert.hcode),
        token=token,
        taken=alert.state is AlertState.ACKNOWLEDGED,
    )


@router.post("/a/{token}", dependencies=[OwnForm])
def take_by_link(token: Token, request: Request, session: Work) -> Response:
    """Say that whoever was sent this link has it."""
    acknowledge_by_link(session, token)
    return see_other(request, f"/a/{token}")
