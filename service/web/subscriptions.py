"""The administrators' pages of subscriptions: who is called when something happens, and what failed."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from sqlalchemy.orm import Session

from service import subscriptions as noun
from service.accounts import Permission, Viewer, list_accounts
from service.api.access import Administrator, Fenced, Look, Work, note_read
from service.channels.fence import Fence
from service.db import now
from service.fhir.subscription import create_subscription
from service.happenings import Topic
from service.hospitals import hospital_names
from service.notifications import NotificationState, count_notifications, notifications_of, send_again
from service.subscriptions import (
    Subscription,
    find_subscription,
    list_subscriptions,
    owner_named,
    owner_names,
    remove_subscription,
    subscribe,
    switch_off,
    switch_on,
)
from service.web.fields import thai_moment
from service.web.page import render, see_other, words_of
from service.web.words import Language

PLACE = "/console/subscriptions"
SHOWN = 50
router = APIRouter(prefix=PLACE, include_in_schema=False)

Number = Annotated[int, Path(ge=1, le=2**53)]
Line = Annotated[str, Form(max_length=1000)]


@router.get("")
def show_subscriptions(request: Request, viewer: Administrator, session: Look) -> Response:
    """Every subscription, newest first, and the form for a further one."""
    values: dict[str, Any] = {
        "subscriptions": list_subscriptions(session, viewer),
        "owners": owner_names(session),
        "counts": count_notifications(session),
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "accounts": [each for each in list_accounts(session) if each.active and _reads(each)],
        "topics": list(Topic),
        "S": NotificationState,
    }
    page = render(request, "subscriptions.html", viewer, **values)
    note_read(request, session, viewer, "subscription.list")
    return page


@router.post("")
def add(
    request: Request,
    viewer: Administrator,
    session: Work,
    fence: Fenced,
    owner: Annotated[str, Form(max_length=100)],
    form: Annotated[noun.Form, Form()],
    address: Annotated[str, Form(max_length=500)],
    reason: Annotated[str, Form(min_length=1, max_length=1000)],
    topic: Annotated[list[Topic] | None, Form()] = None,
    criteria: Line = "",
    header: Line = "",
    ends: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Make one for an account; the secret of its signatures is shown on the answer, once."""
    needed = Permission.READ_IDENTITY if form is noun.Form.FHIR else Permission.READ_STUDIES
    person = owner_named(session, owner.strip(), needed)
    given: dict[str, Any] = {
        "address": address.strip(),
        "reason": reason.strip(),
        "headers": [header.strip()] if header.strip() else [],
        "ends_at": thai_moment(ends) if ends else None,
    }
    if form is noun.Form.FHIR:
        made = _make_fhir(session, person, fence, criteria.strip(), made_by=viewer.username, **given)
    else:
        made = subscribe(
            session, person, form, fence=fence, topics=topic or (), made_by=viewer.username, **given
        )
    return _show(request, session, viewer, made, secret=made.secret)


@router.get("/{number}")
def show_subscription(
    number: Number,
    request: Request,
    viewer: Administrator,
    session: Look,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> Response:
    """One subscription and its calls, newest first."""
    page = _show(request, session, viewer, find_subscription(session, number, viewer), before=before)
    note_read(request, session, viewer, "subscription.read", detail={"subscription": number})
    return page


@router.post("/{number}/off")
def pause(number: Number, request: Request, viewer: Administrator, session: Work) -> Response:
    """Call it no more, until it is switched on."""
    switch_off(session, viewer, find_subscription(session, number, viewer, lock=True))
    return see_other(request, f"{PLACE}/{number}", flash="subscription_off")


@router.post("/{number}/on")
def resume(number: Number, request: Request, viewer: Administrator, session: Work) -> Response:
    """Call it again, from the next event on."""
    switch_on(session, viewer, find_subscription(session, number, viewer, lock=True))
    return see_other(request, f"{PLACE}/{number}", flash="subscription_on")


@router.post("/{number}/remove")
def remove(number: Number, request: Request, viewer: Administrator, session: Work) -> Response:
    """Call it no more and show it no more."""
    remove_subscription(session, viewer, find_subscription(session, number, viewer, lock=True))
    return see_other(request, PLACE, flash="subscription_removed")


@router.post("/{number}/calls/{call}/again")
def call_again(
    number: Number, call: Number, request: Request, viewer: Administrator, session: Work
) -> Response:
    """Make one call once more."""
    send_again(session, viewer, find_subscription(session, number, viewer, lock=True), call, now())
    return see_other(request, f"{PLACE}/{number}", flash="job_again")


def _reads(account: Any) -> bool:
    return Viewer(account.username, account.role, account.hcode).may(Permission.READ_STUDIES)


def _make_fhir(
    session: Session, owner: Viewer, fence: Fence, criteria: str, *, made_by: str, **given: Any
) -> Subscription:
    resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": given["reason"],
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": given["address"], "header": given["headers"]},
    }
    if given["ends_at"] is not None:
        resource["end"] = given["ends_at"].isoformat()
    return create_subscription(session, owner, resource, fence, made_by=made_by)


def _show(
    request: Request,
    session: Session,
    viewer: Viewer,
    subscription: Subscription,
    *,
    before: int | None = None,
    secret: str = "",
) -> Response:
    calls = notifications_of(session, subscription, before=before, limit=SHOWN)
    values: dict[str, Any] = {
        "subscription": subscription,
        "owner": owner_names(session)[subscription.account_id],
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "calls": calls,
        "next": calls[-1].id if len(calls) == SHOWN else None,
        "secret": secret,
        "S": NotificationState,
    }
    return render(request, "subscription.html", viewer, **values)
