"""Account and Token: who may enter, as what, and which hospital's patients they see."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import ColumnElement, ForeignKey, String, bindparam, func, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import AlreadyExists, BadRequest, NotAllowed, NotFound, NotSignedIn
from service.hospitals import find_hospital
from service.roles import PERMISSIONS, REGION_WIDE
from service.roles import Permission as Permission
from service.roles import Role as Role

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's second argon2id profile: 19 MiB a sign-in, so that ten at once stay within the API's memory."""

MIN_PASSWORD = 12
LAST_USED_EVERY = timedelta(minutes=1)
"""A token's last use is noted this often at most, to spare a write a request."""


class Account(Base):
    """A person or a machine that may sign in."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    username: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[Role] = mapped_column(words(Role))
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"), index=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Token(Base):
    """A machine's key; only its SHA-256 is kept, which suffices because the key is 256 random bits."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    label: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking: every query that returns patients takes one."""

    username: str
    role: Role
    hcode: str | None

    @property
    def sees_region(self) -> bool:
        """Whether every hospital's studies are visible."""
        return self.role is Role.ADMIN or (self.hcode is None and self.role in REGION_WIDE)

    def may(self, permission: Permission) -> bool:
        """Whether the role includes `permission`."""
        return permission in PERMISSIONS[self.role]

    def must(self, permission: Permission) -> "Viewer":
        """The viewer, whose role includes `permission`.

        Raises:
            NotAllowed: it does not.
        """
        if not self.may(permission):
            raise NotAllowed(f"the role {self.role.value!r} does not include {permission.value!r}")
        return self


OPERATOR = Viewer(username="operator", role=Role.ADMIN, hcode=None)
"""Whoever has a shell on the hub's machine: the command line acts as this viewer."""


def visible_to(viewer: Viewer, hcode: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    """The condition that narrows a query to what `viewer` may see, on the table's hospital column."""
    return true() if viewer.sees_region else hcode == (viewer.hcode or "")


def add_account(
    session: Session, username: str, role: Role, *, hcode: str | None = None, password: str | None = None
) -> Account:
    """Add an account; without a password only its tokens open the door.

    Raises:
        AlreadyExists: the name is taken.
        BadRequest: name or password too short, or the role needs a hospital.
        NotFound: no such hospital.
    """
    if not 2 <= len(username) <= 100 or username != username.strip() or not username.isprintable():
        raise BadRequest(f"username {username!r} must have 2 to 100 characters and no spaces around them")
    if session.scalar(select(Account.id).where(Account.username == username)):
        raise AlreadyExists(f"the username {username!r} is taken")
    if hcode is not None:
        find_hospital(session, hcode)
    elif role not in REGION_WIDE:
        raise BadRequest(f"an account of role {role.value!r} needs a hospital")
    account = Account(username=username, role=role, hcode=hcode, active=True)
    if password is not None:
        set_password(account, password)
    session.add(account)
    session.flush()
    return account


def set_password(account: Account, password: str) -> None:
    """Give an account a password.

    Raises:
        BadRequest: it is too short.
    """
    if not MIN_PASSWORD <= len(password) <= 1000:
        raise BadRequest(f"a password of {len(password)} characters; it must have {MIN_PASSWORD} to 1000")
    account.password_hash = HASHER.hash(password)


def find_account(session: Session, username: str) -> Account:
    """The account with this name.

    Raises:
        NotFound: there is none.
    """
    if account := session.scalar(select(Account).where(Account.username == clean(username))):
        return account
    raise NotFound(f"no account is called {username!r}")


def list_accounts(session: Session) -> Sequence[Account]:
    """Every account by name."""
    return session.scalars(select(Account).order_by(Account.username)).all()


def count_accounts(session: Session) -> int:
    """How many accounts are open."""
    return session.scalars(select(func.count()).where(Account.active)).one()


def viewer_of(account: Account) -> Viewer:
    """The account as the one who asks."""
    return Viewer(username=account.username, role=account.role, hcode=account.hcode)


def sign_in(session: Session, username: str, password: str) -> Account:
    """Check a password; takes as long for an unknown name as for a known one.

    Raises:
        NotSignedIn: unknown name, wrong password or an account that was closed; which is not told.
    """
    account = session.scalar(select(Account).where(Account.username == clean(username)))
    known = account.password_hash if account and account.password_hash else _decoy()
    try:
        HASHER.verify(known, password)
    except (VerifyMismatchError, InvalidHashError):
        raise NotSignedIn("username or password is wrong") from None
    if account is None or not account.active or not account.password_hash:
        raise NotSignedIn("username or password is wrong")
    return account


def issue_token(session: Session, account: Account, *, label: str = "", days: int | None = 365) -> str:
    """Make a machine's key; it is returned here once and cannot be shown again."""
    key = f"hub_{secrets.token_urlsafe(32)}"
    expires_at = None if days is None else now() + timedelta(days=days)
    session.add(Token(account_id=account.id, digest=_digest(key), label=clean(label), expires_at=expires_at))
    session.flush()
    return key


def list_tokens(session: Session, account: Account) -> Sequence[Token]:
    """The account's tokens, newest first, without the keys."""
    return session.scalars(
        select(Token).where(Token.account_id == account.id).order_by(Token.id.desc())
    ).all()


def revoke_token(session: Session, account: Account, token_id: int) -> None:
    """End a token.

    Raises:
        NotFound: the account has no such token.
    """
    token = session.get(Token, token_id)
    if token is None or token.account_id != account.id:
        raise NotFound(f"account {account.username!r} has no token {token_id}")
    token.revoked_at = token.revoked_at or now()


# columns, not objects: every request of a machine begins here
_ACCOUNTS, _TOKENS = Account.__table__.c, Token.__table__.c
# of tables, not of classes: asked with every request, and the rows become no objects
_HOLDER = select(
    _ACCOUNTS.username,
    _ACCOUNTS.role,
    _ACCOUNTS.hcode,
    _ACCOUNTS.active,
    _TOKENS.expires_at,
    _TOKENS.revoked_at,
    _TOKENS.last_used_at,
).where(_ACCOUNTS.id == _TOKENS.account_id, _TOKENS.digest == bindparam("key"))


def enter_by_token(session: Session, key: str) -> tuple[Viewer, bool]:
    """The viewer whose token this is, and whether its use is due to be noted; only reads.

    Raises:
        NotSignedIn: unknown, expired or revoked, or its account was closed; which is not told.
    """
    found = session.connection().execute(_HOLDER, {"key": _digest(key)}).one_or_none()
    if found is None or not found.active or found.revoked_at:
        raise NotSignedIn("the token is not known, has expired or was revoked")
    moment = now()
    if found.expires_at and found.expires_at <= moment:
        raise NotSignedIn("the token is not known, has expired or was revoked")
    due = found.last_used_at is None or moment - found.last_used_at > LAST_USED_EVERY
    return Viewer(username=found.username, role=found.role, hcode=found.hcode), due


def note_use(session: Session, key: str) -> None:
    """Note that a token was used just now."""
    session.execute(update(Token).where(Token.digest == _digest(key)).values(last_used_at=now()))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@cache
def _decoy() -> str:
    return HASHER.hash(secrets.token_urlsafe(32))
