"""Subscriptions over HTTP: a hospital's own system is called when something happens, with ids and a link."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.api.access import Fenced, Look, Reader, Work
from service.api.problems import responses
from service.db import now
from service.happenings import Topic
from service.notifications import NotificationState, notifications_of, send_again
from service.subscriptions import (
    Form,
    Subscription,
    SubscriptionState,
    find_subscription,
    list_subscriptions,
    remove_subscription,
    subscribe,
    switch_off,
    switch_on,
)

router = APIRouter(
    prefix="/api/v1/subscriptions", tags=["subscriptions"], responses=responses(401, 403, 404, 422)
)

Number = Annotated[int, Path(ge=1, le=2**53)]


class SubscriptionIn(BaseModel):
    """Where to call, and for what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"address": "https://his.hospital.example/hub", "topics": ["flagged", "referral"]}]
        },
    )

    address: str = Field(max_length=500)
    topics: list[Topic] = Field(min_length=1, max_length=len(Topic))
    reason: str = Field(default="", max_length=1000, description="what it is for")
    headers: list[str] = Field(
        default_factory=list, max_length=5, description="sent with every call: Authorization: ..., X-...: ..."
    )
    ends_at: AwareDatetime | None = None


class SubscriptionOut(BaseModel):
    """One subscription."""

    id: int
    form: Form
    address: str
    topics: list[Topic]
    criteria: str = Field(description="of a FHIR Subscription")
    reason: str
    state: SubscriptionState
    error: str = Field(description="why the hub switched it off")
    failing_since: datetime | None = Field(description="off after 24 hours of failures without a success")
    created_at: datetime
    changed_at: datetime
    ends_at: datetime | None


class SubscriptionMade(SubscriptionOut):
    """One just made, with the secret of its signatures, which is not shown again."""

    secret: str


class NotificationOut(BaseModel):
    """One call: what was told, and what the receiver said."""

    id: int
    event: int
    told: dict[str, Any]
    state: NotificationState
    attempts: int
    proof: str = Field(description="what the receiver said when it took it, or why it did not")
    created_at: datetime
    next_at: datetime
    delivered_at: datetime | None


class NotificationPage(BaseModel):
    """Calls, newest first; send `next` as `before` for the page that follows."""

    notifications: list[NotificationOut]
    next: int | None


@router.get("")
def read_subscriptions(viewer: Reader, session: Look) -> list[SubscriptionOut]:
    """One's own, FHIR Subscriptions among them; every one for an administrator."""
    return [_out(each) for each in list_subscriptions(session, viewer)]


@router.post("", status_code=201)
def create_subscription(
    body: SubscriptionIn, viewer: Reader, session: Work, fence: Fenced
) -> SubscriptionMade:
    """Have an address called from the next event on.

    The body of a call holds ids, closed words and a link, never a patient; `X-Hub-Signature: sha256=HEX` is
    the HMAC-SHA256, with the secret, of `X-Hub-Timestamp`, a dot and the body. Any answer but 2xx is tried
    again ever less often; after 24 hours of failures the subscription is switched off with the reason.
    """
    made = subscribe(
        session,
        viewer,
        Form.HUB,
        address=body.address,
        fence=fence,
        topics=body.topics,
        reason=body.reason,
        headers=body.headers,
        ends_at=body.ends_at,
    )
    return SubscriptionMade(**_out(made).model_dump(), secret=made.secret)


@router.get("/{number}")
def read_subscription(number: Number, viewer: Reader, session: Look) -> SubscriptionOut:
    """One of one's own."""
    return _out(find_subscription(session, number, viewer))


@router.get("/{number}/notifications")
def read_notifications(
    number: Number,
    viewer: Reader,
    session: Look,
    before: Annotated[int | None, Query(ge=1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> NotificationPage:
    """What it was called for, and with which proof."""
    subscription = find_subscription(session, number, viewer)
    found = notifications_of(session, subscription, before=before, limit=limit)
    page = [NotificationOut.model_validate(each, from_attributes=True) for each in found]
    return NotificationPage(notifications=page, next=found[-1].id if len(found) == limit else None)


@router.post("/{number}/notifications/{call}/retry", status_code=202, responses=responses(409))
def retry_notification(number: Number, call: Number, viewer: Reader, session: Work) -> NotificationOut:
    """Call once more for what the receiver did not take; the subscription must be on."""
    subscription = find_subscription(session, number, viewer, lock=True)
    made = send_again(session, viewer, subscription, call, now())
    return NotificationOut.model_validate(made, from_attributes=True)


@router.post("/{number}/on")
def switch_subscription_on(number: Number, viewer: Reader, session: Work) -> SubscriptionOut:
    """Call it again, from the next event on."""
    subscription = find_subscription(session, number, viewer, lock=True)
    switch_on(session, viewer, subscription)
    return _out(subscription)


@router.post("/{number}/off")
def switch_subscription_off(number: Number, viewer: Reader, session: Work) -> SubscriptionOut:
    """Call it no more, until it is switched on."""
    subscription = find_subscription(session, number, viewer, lock=True)
    switch_off(session, viewer, subscription)
    return _out(subscription)


@router.delete("/{number}", status_code=204)
def delete_subscription(number: Number, viewer: Reader, session: Work) -> None:
    """Remove it."""
    remove_subscription(session, viewer, find_subscription(session, number, viewer, lock=True))


def _out(subscription: Subscription) -> SubscriptionOut:
    return SubscriptionOut.model_validate(subscription, from_attributes=True)
