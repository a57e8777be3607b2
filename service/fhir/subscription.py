"""Subscription (R4): a search, and an address that is called when something new would be found by it."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError
from sqlalchemy import false, select
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.channels.fence import Fence
from service.errors import Changed, Malformed, NotFound
from service.fhir.criteria import Criteria
from service.fhir.elements import HUB_CODES, Resource, filled, moment
from service.fhir.notice import read_notice
from service.fhir.page import Page
from service.fhir.sent import SentPart, read_sent
from service.fhir.turns import row_numbers
from service.subscriptions import (
    Form,
    Subscription,
    SubscriptionState,
    check_address,
    check_headers,
    find_subscription,
    note_change,
    owned_by,
    subscribe,
    switch_off,
    switch_on,
)

SECRET: Final = f"{HUB_CODES}:subscription-secret"
"""Extension of the channel in the answer to a create, and never again: what the calls are signed with."""
_MOMENT: Final = TypeAdapter(AwareDatetime)


class SentChannel(SentPart):
    """How to call."""

    type: Literal["rest-hook"]
    endpoint: str
    payload: str = ""
    header: list[str] = Field(default_factory=list)


class SentSubscription(SentPart):
    """A subscription that another system asks for."""

    resourceType: Literal["Subscription"]
    id: str = ""
    status: Literal["requested", "active", "off"]
    reason: str = Field(min_length=1, max_length=1000)
    criteria: str
    end: str | None = None
    channel: SentChannel

    def checked(self) -> tuple[str, datetime | None]:
        """The search and the end.

        Raises:
            Malformed: it cannot be served as it is asked for.
        """
        if self.channel.payload:
            raise Malformed("Subscription.channel.payload must be absent: a call holds no resource")
        read_notice(self.criteria)
        if self.end is None:
            return self.criteria, None
        try:
            return self.criteria, _MOMENT.validate_python(self.end)
        except ValidationError:
            raise Malformed("Subscription.end must be a moment with its time zone") from None


def subscription(row: Subscription, *, secret: bool = False) -> Resource:
    """The resource; with the secret only when it has just been made."""
    told = [{"url": SECRET, "valueString": row.secret}] if secret else []
    return filled(
        {
            "resourceType": "Subscription",
            "id": str(row.id),
            "meta": {"versionId": str(row.version), "lastUpdated": moment(row.changed_at)},
            "status": row.state.value,
            "end": moment(row.ends_at),
            "reason": row.reason,
            "criteria": row.criteria,
            "error": row.error,
            "channel": filled(
                {"extension": told, "type": "rest-hook", "endpoint": row.address, "header": list(row.headers)}
            ),
        }
    )


def create_subscription(
    session: Session, viewer: Viewer, resource: Any, fence: Fence, *, made_by: str = ""
) -> Subscription:
    """Make what a Subscription asks for.

    Raises:
        Malformed: it is not served here, or lacks something.
        BadRequest: the address or a header is none that the hub calls or sends.
    """
    sent = read_sent(SentSubscription, resource)
    criteria, ends_at = sent.checked()
    made = subscribe(
        session,
        viewer,
        Form.FHIR,
        address=sent.channel.endpoint,
        fence=fence,
        criteria=criteria,
        reason=sent.reason,
        headers=sent.channel.header,
        ends_at=ends_at,
        made_by=made_by,
    )
    if sent.status == "off":
        switch_off(session, viewer, made)
    return made


def change_subscription(
    session: Session, viewer: Viewer, number: str, resource: Any, fence: Fence, *, version: int | None
) -> Subscription:
    """Make it what the Subscription says, and switch it on or off.

    Raises:
        NotFound: the viewer has none of this number.
        Changed: somebody else was there first.
        Malformed, BadRequest: see `create_subscription`.
    """
    sent = read_sent(SentSubscription, resource)
    if sent.id != number:
        raise Malformed(f"Subscription.id is {sent.id[:64]!r}; the address says {number!r}")
    criteria, ends_at = sent.checked()
    found = find_fhir_subscription(session, viewer, number, lock=True)
    if version is not None and version != found.version:
        raise Changed(f"subscription {number} is at version {found.version}; you saw {version}")
    found.criteria, found.reason, found.ends_at = criteria, sent.reason, ends_at
    found.address = check_address(sent.channel.endpoint, fence)
    found.headers = check_headers(sent.channel.header)
    note_change(session, viewer, found)
    (switch_off if sent.status == "off" else switch_on)(session, viewer, found)
    return found


def find_fhir_subscription(
    session: Session, viewer: Viewer, number: str, *, lock: bool = False
) -> Subscription:
    """One that is a FHIR Subscription.

    Raises:
        NotFound: the viewer has none of this number.
    """
    numbers = row_numbers("", [number])
    found = find_subscription(session, numbers[0], viewer, lock=lock) if numbers else None
    if found is None or found.form is not Form.FHIR:
        raise NotFound(f"no subscription {number[:64]}")
    return found


def read_subscription(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    """One of the viewer's own.

    Raises:
        NotFound: there is none.
    """
    return Page([subscription(find_fhir_subscription(session, viewer, number))])


def search_subscriptions(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    """The viewer's own, newest first."""
    query = select(Subscription).where(owned_by(viewer), Subscription.form == Form.FHIR)
    for name, tokens in criteria.tokens.items():
        codes = [each.code for each in tokens]
        if name == "_id":
            query = query.where(Subscription.id.in_(row_numbers("", codes)))
        else:
            known = [state for state in SubscriptionState if state.value in codes]
            query = query.where(Subscription.state.in_(known) if known else false())
    if criteria.after is not None:
        query = query.where(Subscription.id < criteria.after)
    found = session.scalars(query.order_by(Subscription.id.desc()).limit(criteria.count + 1)).all()
    shown = found[: criteria.count]
    return Page(
        [subscription(each) for each in shown], next=shown[-1].id if len(found) > len(shown) else None
    )
