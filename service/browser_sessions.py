"""BrowserSession: a person who signed in with a browser, for which hospital, and until when.

The cookie holds 256 random bits and the row only their SHA-256: who reads the database can open no session.
A session ends by sign-out, after a time without use, and at the latest after a working day.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.account_hospitals import hospitals_of
from service.accounts import Account, Viewer
from service.db import Base, Id, UtcDateTime, now
from service.errors import HospitalNotChosen, NotFound, NotSignedIn

SEEN_EVERY = timedelta(minutes=1)
"""Use is noted this often at most, to spare a write a request."""

ENDED = "the session has ended; sign in again"


class BrowserSession(Base):
    """One sign-in of one person in one browser."""

    __tablename__ = "browser_sessions"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"))
    """The hospital the person works for now, where they have several to choose from."""
    method: Mapped[str] = mapped_column(String(24))
    """How they proved who they are: password, or the name of a provider."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """An open session: whose it is, and what they may still choose."""

    session_id: int
    account_id: int
    username: str
    viewer: Viewer | None
    """None until a person with several hospitals has chosen one."""
    choices: tuple[str, ...]
    """The hospitals to choose from; empty where there is nothing to choose."""
    seen_is_due: bool
    method: str
    """How they proved who they are: password, or the name of a provider."""

    def chosen(self) -> Viewer:
        """The viewer.

        Raises:
            HospitalNotChosen: the person has several hospitals and has not said for which they work now.
        """
        if self.viewer is None:
            raise HospitalNotChosen("choose the hospital you work for now")
        return self.viewer


def start_session(session: Session, account: Account, *, method: str, lifetime: timedelta) -> str:
    """Begin a session; the key goes into the cookie and cannot be shown again."""
    key = secrets.token_urlsafe(32)
    row = BrowserSession(
        account_id=account.id, digest=digest_of(key), method=method[:24], expires_at=now() + lifetime
    )
    session.add(row)
    session.flush()
    return key


def enter_by_cookie(session: Session, key: str, *, idle: timedelta) -> Entry:
    """The open session whose key this is; only reads.

    Raises:
        NotSignedIn: unknown, ended, expired or idle for too long, or the account was closed.
    """
    found = session.execute(
        select(BrowserSession, Account)
        .join(Account, Account.id == BrowserSession.account_id)
        .where(BrowserSession.digest == digest_of(key))
    ).one_or_none()
    if found is None:
        raise NotSignedIn(ENDED)
    row, account = found
    moment = now()
    if not account.active or row.ended_at or row.expires_at <= moment or row.seen_at + idle <= moment:
        raise NotSignedIn(ENDED)
    choices = hospitals_of(session, account)
    return Entry(
        session_id=row.id,
        account_id=account.id,
        username=account.username,
        viewer=_viewer(account, row.hcode, choices),
        choices=choices if len(choices) > 1 else (),
        seen_is_due=moment - row.seen_at > SEEN_EVERY,
        method=row.method,
    )


def note_seen(session: Session, session_id: int) -> None:
    """Note that a session was used just now."""
    session.execute(update(BrowserSession).where(BrowserSession.id == session_id).values(seen_at=now()))


def choose_hospital(session: Session, entry: Entry, hcode: str) -> None:
    """Work for one of several hospitals from now on.

    Raises:
        NotFound: the hospital is not among the choices.
    """
    if hcode not in entry.choices:
        raise NotFound(f"the hospital {hcode!r} is not among those to choose from")
    session.execute(update(BrowserSession).where(BrowserSession.id == entry.session_id).values(hcode=hcode))


def end_session(session: Session, session_id: int) -> None:
    """Sign out here."""
    _end(session, BrowserSession.id == session_id)


def end_sessions_of(session: Session, account_id: int, *, but: int | None = None) -> None:
    """Sign a person out everywhere, or everywhere but here."""
    _end(session, BrowserSession.account_id == account_id, BrowserSession.id != (but or 0))


def open_sessions_of(session: Session, account_id: int) -> Sequence[BrowserSession]:
    """A person's sessions that have not ended, newest first."""
    return session.scalars(
        select(BrowserSession)
        .where(
            BrowserSession.account_id == account_id,
            BrowserSession.ended_at.is_(None),
            BrowserSession.expires_at > now(),
        )
        .order_by(BrowserSession.id.desc())
    ).all()


def digest_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _end(session: Session, *which: object) -> None:
    conditions = (*which, BrowserSession.ended_at.is_(None))
    session.execute(update(BrowserSession).where(*conditions).values(ended_at=now()))  # type: ignore[arg-type]


def _viewer(account: Account, chosen: str | None, choices: Sequence[str]) -> Viewer | None:
    if len(choices) > 1:
        hcode = chosen if chosen in choices else None
        return None if hcode is None else Viewer(account.username, account.role, hcode)
    return Viewer(account.username, account.role, account.hcode)
