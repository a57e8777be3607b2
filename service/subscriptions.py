"""Subscription: another system that wants to be called when something happens, and whether it still answers.

Who makes one is told what they may see, judged anew at each event: an account that was closed, or that works
for the hospital no more, hears nothing. One that has not answered for a day is switched off with the reason.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.account_hospitals import hospitals_of
from service.accounts import Account, Permission, Role, Viewer, find_account
from service.arrivals import clean
from service.channels.fence import Fence
from service.channels.message import Refused
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import BadRequest, NotFound
from service.events import head_of
from service.happenings import Topic
from service.studies import HUB

MOST: Final = 20
"""That one account may have on at a time."""
OFF_AFTER: Final = timedelta(hours=24)
"""Of failures without one success between them."""
LONGEST_ERROR: Final = 500
MOST_HEADERS: Final = 5
_HEADER: Final = re.compile(
    r"(Authorization|X-(?!Hub-)[A-Za-z0-9-]{1,60}): ?[!-~][ -~]{0,999}", re.IGNORECASE
)


class Form(StrEnum):
    """How it was asked for, and how it is called."""

    HUB = "hub"
    """A JSON body with ids."""
    FHIR = "fhir"
    """A FHIR R4 Subscription: an empty body, which says that a search would find something new."""


class SubscriptionState(StrEnum):
    """Whether it is called."""

    ACTIVE = "active"
    OFF = "off"
    """Switched off by its owner, or at its end."""
    ERROR = "error"
    """Switched off by the hub; `error` says why."""


class Subscription(Base):
    """One receiver."""

    __tablename__ = "subscriptions"
    __table_args__ = (Index("ix_subscriptions_state", "state"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"))
    """The hospital for which the owner made it; None: the region."""
    form: Mapped[Form] = mapped_column(words(Form))
    topics: Mapped[list[Any]] = mapped_column(default=list)
    """`Topic` words of one in the hub's own form."""
    criteria: Mapped[str] = mapped_column(Text, default="")
    """The search of one in FHIR's."""
    reason: Mapped[str] = mapped_column(Text, default="")
    """What it is for, as its owner says."""
    address: Mapped[str] = mapped_column(String(500))
    secret: Mapped[str] = mapped_column(String(200))
    """What it is signed with; shown once, when it is made."""
    headers: Mapped[list[Any]] = mapped_column(default=list)
    """Lines that the receiver wants sent, such as `Authorization: Bearer ...`."""
    state: Mapped[SubscriptionState] = mapped_column(words(SubscriptionState))
    error: Mapped[str] = mapped_column(Text, default="")
    failing_since: Mapped[datetime | None]
    """The first failure after the last success."""
    heard: Mapped[int] = mapped_column(Id)
    """The last event that was looked at for it."""
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    """A subscription that was removed is not shown any more; what it was told stays proved."""


def subscribe(
    session: Session,
    viewer: Viewer,
    form: Form,
    *,
    address: str,
    fence: Fence,
    topics: Sequence[Topic] = (),
    criteria: str = "",
    reason: str = "",
    headers: Sequence[str] = (),
    ends_at: datetime | None = None,
    made_by: str = "",
) -> Subscription:
    """Have a receiver called from the next event on.

    `viewer` is whose it is and who must be allowed to see what it is told; `made_by` names the administrator
    who made it for them.

    Raises:
        BadRequest: an address that the hub does not call, a header that it does not send, or too many.
        NotFound: the viewer has no account.
    """
    account = find_account(session, viewer.username)
    mine = select(func.count()).where(
        Subscription.account_id == account.id,
        Subscription.removed_at.is_(None),
        Subscription.state == SubscriptionState.ACTIVE,
    )
    if session.scalars(mine).one() >= MOST:
        raise BadRequest(f"{MOST} subscriptions of this account are on already; switch one off first")
    moment = now()
    made = Subscription(
        account_id=account.id,
        hcode=viewer.hcode,
        form=form,
        topics=[each.value for each in dict.fromkeys(topics)],
        criteria=clean(criteria),
        reason=clean(reason),
        address=check_address(address, fence),
        secret=secrets.token_urlsafe(32),
        headers=check_headers(headers),
        state=SubscriptionState.ACTIVE,
        heard=head_of(session),
        created_at=moment,
        changed_at=moment,
        ends_at=ends_at,
    )
    session.add(made)
    session.flush()
    record(session, made_by or viewer.username, "add", made)
    return made


def find_subscription(session: Session, number: int, viewer: Viewer, *, lock: bool = False) -> Subscription:
    """The viewer's own, or any for an administrator.

    Raises:
        NotFound: otherwise; the two are not told apart.
    """
    query = select(Subscription).where(Subscription.id == number, owned_by(viewer))
    if found := session.scalar(locked(query) if lock else query):
        return found
    raise NotFound(f"no subscription {number}")


def list_subscriptions(session: Session, viewer: Viewer) -> Sequence[Subscription]:
    """The viewer's own, or all for an administrator; newest first."""
    query = select(Subscription).where(owned_by(viewer))
    return session.scalars(query.order_by(Subscription.id.desc())).all()


def owned_by(viewer: Viewer) -> ColumnElement[bool]:
    """The condition that narrows a query to the subscriptions that the viewer may see and change."""
    there = Subscription.removed_at.is_(None)
    if viewer.role is Role.ADMIN:
        return there
    own = select(Account.id).where(Account.username == viewer.username)
    return there & Subscription.account_id.in_(own) & (Subscription.hcode.is_not_distinct_from(viewer.hcode))


def switch_on(session: Session, viewer: Viewer, subscription: Subscription) -> None:
    """Call it again, from the next event on: what happened meanwhile is not told afterwards."""
    if subscription.state is SubscriptionState.ACTIVE:
        return
    subscription.state, subscription.error = SubscriptionState.ACTIVE, ""
    subscription.failing_since, subscription.heard = None, head_of(session)
    note_change(session, viewer, subscription, "on")


def switch_off(session: Session, viewer: Viewer, subscription: Subscription) -> None:
    """Call it no more, until it is switched on."""
    if subscription.state is SubscriptionState.OFF:
        return
    subscription.state, subscription.error = SubscriptionState.OFF, ""
    note_change(session, viewer, subscription, "off")


def give_up(session: Session, subscription: Subscription, why: str) -> None:
    """Switch it off because of what happened to it."""
    subscription.state, subscription.error = SubscriptionState.ERROR, clean(why)[:LONGEST_ERROR]
    subscription.version, subscription.changed_at = subscription.version + 1, now()
    record(session, HUB, "error", subscription)


def remove_subscription(session: Session, viewer: Viewer, subscription: Subscription) -> None:
    """Call it no more and show it no more."""
    subscription.state, subscription.removed_at = SubscriptionState.OFF, now()
    note_change(session, viewer, subscription, "remove")


def note_change(session: Session, viewer: Viewer, subscription: Subscription, what: str = "change") -> None:
    """Count a change and put it in the audit."""
    subscription.version, subscription.changed_at = subscription.version + 1, now()
    record(session, viewer.username, what, subscription)


def active_subscriptions(session: Session) -> Sequence[Subscription]:
    """Those that are on, in order."""
    query = select(Subscription).where(Subscription.state == SubscriptionState.ACTIVE)
    return session.scalars(query.order_by(Subscription.id)).all()


def owner_of(session: Session, subscription: Subscription) -> Viewer | None:
    """Who made it, as they may see now; None where the account was closed or left the hospital."""
    account = session.get_one(Account, subscription.account_id)
    hospitals: Sequence[str | None] = hospitals_of(session, account) or (None,)
    if not account.active or subscription.hcode not in hospitals:
        return None
    return Viewer(account.username, account.role, subscription.hcode)


def owner_named(session: Session, username: str, permission: Permission) -> Viewer:
    """The account that an administrator makes a subscription for, as it sees its own hospital.

    Raises:
        NotFound: there is none.
        BadRequest: it is closed, or its role does not include what such a subscription needs.
    """
    account = find_account(session, username)
    if not account.active:
        raise BadRequest(f"the account {username!r} is closed")
    owner = Viewer(account.username, account.role, account.hcode)
    if not owner.may(permission):
        raise BadRequest(
            f"the account {username!r} has the role {owner.role.value!r}, which lacks {permission.value!r}"
        )
    return owner


def owner_names(session: Session) -> dict[int, str]:
    """Whose subscriptions there are, by the account's number."""
    query = select(Account.id, Account.username).join(Subscription, Subscription.account_id == Account.id)
    return {number: name for number, name in session.execute(query.distinct())}


def check_address(address: str, fence: Fence) -> str:
    """An address that the hub would call.

    Raises:
        BadRequest: it would not.
    """
    try:
        fence.check(address.strip())
    except Refused as refusal:
        raise BadRequest(str(refusal)) from None
    return address.strip()


def check_headers(lines: Sequence[str]) -> list[str]:
    """Headers that a receiver may have sent to it.

    Raises:
        BadRequest: too many, or one of another name; the value is not repeated, as it is a secret.
    """
    if len(lines) > MOST_HEADERS:
        raise BadRequest(f"{len(lines)} headers; at most {MOST_HEADERS} are sent")
    for each in lines:
        if _HEADER.fullmatch(each) is None:
            name = each.partition(":")[0][:60]
            raise BadRequest(f"the header {name!r} is not sent; Authorization and X-... are, in ASCII")
    return list(lines)


def record(session: Session, actor: str, what: str, subscription: Subscription) -> None:
    """Put in the audit what became of a subscription."""
    detail: audit.Detail = {"subscription": subscription.id, "hcode": subscription.hcode}
    audit.record(session, actor, f"subscription.{what}", detail=detail)
