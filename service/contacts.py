"""Contact: one way to reach a person on duty, or a hospital as a whole, with an alert."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Account, Role, Viewer, find_account
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import AlreadyExists, BadRequest, NotFound
from service.hospitals import find_hospital

MINUTES_OF_DAY = 24 * 60


class Way(StrEnum):
    """What an alert travels by."""

    IN_APP = "in_app"
    """The hub's own pages and events; everybody has it, so nobody lists it."""
    EMAIL = "email"
    LINE = "line"
    MOPH_NOTIFY = "moph_notify"
    WEBHOOK = "webhook"


OF_PEOPLE = frozenset({Way.EMAIL, Way.LINE})
"""The ways that a person may list for themselves; the others belong to a hospital."""

FORMS = {
    Way.EMAIL: (re.compile(r"[!-?A-~]{1,64}@[!-?A-~]{1,189}"), "an e-mail address in ASCII"),
    Way.LINE: (
        re.compile(r"[UCR][0-9a-f]{32}"),
        "a LINE user, group or room id: U, C or R and 32 hex digits",
    ),
    Way.MOPH_NOTIFY: (re.compile(r"[!-~]{8,200}"), "the client key of a service unit, 8 to 200 characters"),
    Way.WEBHOOK: (re.compile(r"https?://[^\s]{3,480}"), "an http(s) address"),
}


class Contact(Base):
    """A way to one person (`account_id`) or to one hospital (`hcode`); never to both."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"), index=True)
    way: Mapped[Way] = mapped_column(words(Way))
    address: Mapped[str] = mapped_column(String(500))
    """A webhook's URL, an e-mail address, a LINE id, or the client key of MOPH Notify."""
    secret: Mapped[str] = mapped_column(String(200), default="")
    """What a webhook is signed with, or the secret key of MOPH Notify; shown once, when it is made."""
    quiet_from: Mapped[int | None]
    """Minutes of the Thai day from which until `quiet_until` it is not used; None: it always is."""
    quiet_until: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    @property
    def quiet(self) -> str:
        """22:00-06:00, as `read_quiet` reads it; empty where it is always used."""
        if self.quiet_from is None or self.quiet_until is None:
            return ""
        start, end = (f"{each // 60:02d}:{each % 60:02d}" for each in (self.quiet_from, self.quiet_until))
        return f"{start}-{end}"

    def rests(self, minute: int) -> bool:
        """Whether it is not used at this minute of the Thai day; the quiet time may pass midnight."""
        if self.quiet_from is None or self.quiet_until is None:
            return False
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= minute < self.quiet_until
        return minute >= self.quiet_from or minute < self.quiet_until


def add_contact(
    session: Session,
    actor: Viewer,
    way: Way,
    address: str,
    *,
    username: str | None = None,
    hcode: str | None = None,
    secret: str = "",
    quiet: tuple[int, int] | None = None,
) -> Contact:
    """List a way to a person or to a hospital.

    Args:
        session: A writing session.
        actor: Who lists it.
        way: By what.
        address: Where to.
        username: The person; or
        hcode: the hospital.
        secret: MOPH Notify's secret key; a webhook gets one when none is given.
        quiet: Minutes of the Thai day from which and until which it is not used.

    Raises:
        BadRequest: neither or both of person and hospital, or an address that is none.
        NotFound: no such person or hospital.
        AlreadyExists: it is listed already.
    """
    if (username is None) == (hcode is None):
        raise BadRequest("a contact belongs to one person or to one hospital")
    if username is not None and way not in OF_PEOPLE:
        raise BadRequest(f"{way.value!r} belongs to a hospital, not to a person")
    account = find_account(session, username) if username is not None else None
    if hcode is not None:
        find_hospital(session, hcode)
    address, secret = _check(way, address, secret)
    number = account.id if account else None
    known = select(Contact.id).where(
        Contact.way == way, Contact.address == address, _owned(account_id=number, hcode=hcode)
    )
    if session.scalar(known) is not None:
        raise AlreadyExists(f"this {way.value} contact is listed already")
    contact = Contact(account_id=number, hcode=hcode, way=way, address=address, secret=secret)
    contact.quiet_from, contact.quiet_until = _check_quiet(quiet)
    session.add(contact)
    session.flush()
    audit.record(session, actor.username, "contact.add", detail={"contact": contact.id, "hospital": hcode})
    return contact


def remove_contact(session: Session, actor: Viewer, contact: Contact) -> None:
    """Forget a way; what was told by it stays told."""
    number, hcode = contact.id, contact.hcode
    session.delete(contact)
    session.flush()
    audit.record(session, actor.username, "contact.remove", detail={"contact": number, "hospital": hcode})


def find_contact(session: Session, number: int, viewer: Viewer) -> Contact:
    """A contact that the viewer may change: their own, or any for an administrator.

    Raises:
        NotFound: otherwise; the two are not told apart.
    """
    contact = session.get(Contact, number)
    if contact is not None:
        own = session.scalar(select(Account.id).where(Account.username == viewer.username))
        if viewer.role is Role.ADMIN or (contact.account_id is not None and contact.account_id == own):
            return contact
    raise NotFound(f"no contact {number}")


def contacts_of_person(session: Session, username: str) -> Sequence[Contact]:
    """The ways to one person."""
    query = select(Contact).join(Account, Account.id == Contact.account_id)
    return session.scalars(query.where(Account.username == clean(username)).order_by(Contact.id)).all()


def contacts_of_people(session: Session, account_ids: Sequence[int]) -> Sequence[Contact]:
    """The ways to several people."""
    query = select(Contact).where(Contact.account_id.in_(account_ids)).order_by(Contact.id)
    return session.scalars(query).all()


def contacts_of_hospital(session: Session, hcode: str) -> Sequence[Contact]:
    """The ways to a hospital as a whole."""
    return session.scalars(select(Contact).where(Contact.hcode == hcode).order_by(Contact.id)).all()


def read_quiet(text: str) -> tuple[int, int] | None:
    """22:00-06:00 as minutes of the day.

    Raises:
        BadRequest: it is not written so.
    """
    if not text:
        return None
    try:
        start, end = (datetime.strptime(part.strip(), "%H:%M") for part in text.split("-"))
    except ValueError:
        raise BadRequest(f"{text!r} is no time of quiet; write it as 22:00-06:00") from None
    return start.hour * 60 + start.minute, end.hour * 60 + end.minute


def _owned(*, account_id: int | None, hcode: str | None) -> ColumnElement[bool]:
    return Contact.account_id == account_id if account_id is not None else Contact.hcode == hcode


def _check(way: Way, address: str, secret: str) -> tuple[str, str]:
    address = address.strip()
    if way not in FORMS:
        raise BadRequest(f"{way.value!r} needs no contact: everybody signed in has it")
    pattern, form = FORMS[way]
    if pattern.fullmatch(address) is None or len(address) > 500:
        raise BadRequest(f"{address[:80]!r} is not {form}")
    if way is Way.WEBHOOK and not urlsplit(address).hostname:
        raise BadRequest(f"{address[:80]!r} names no host")
    if way is Way.MOPH_NOTIFY and not secret:
        raise BadRequest("MOPH Notify needs the secret key of the service unit as well")
    if way is Way.WEBHOOK and not secret:
        secret = secrets.token_urlsafe(32)
    if len(secret) > 200 or not (secret.isascii() and secret.isprintable()):
        raise BadRequest(f"a secret of {len(secret)} characters; at most 200 printable ASCII ones are taken")
    return address, secret if way in (Way.WEBHOOK, Way.MOPH_NOTIFY) else ""


def _check_quiet(quiet: tuple[int, int] | None) -> tuple[int | None, int | None]:
    if quiet is None:
        return None, None
    if not all(0 <= minute < MINUTES_OF_DAY for minute in quiet) or quiet[0] == quiet[1]:
        raise BadRequest(f"quiet from {quiet[0]} until {quiet[1]}; two different minutes from 0 to 1439")
    return quiet
