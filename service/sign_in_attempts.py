"""SignInAttempt: every try to sign in, so that guessing is slowed down and a lock-out can say why.

Names are kept as hashes, because people type passwords into the wrong field. Five failures of one name from
one address lock that pair for a quarter of an hour: an attacker elsewhere cannot lock a doctor out of a
night's work. A name tried from many addresses and an address that tries many names have wider limits.
"""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Index, String, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, Id, UtcDateTime, now
from service.errors import TooManyAttempts

WINDOW = timedelta(minutes=15)
KEPT = timedelta(days=1)
PAIR_LIMIT, NAME_LIMIT, ADDRESS_LIMIT = 5, 30, 60
"""Failures within the window: of one name from one address, of one name, from one address."""


class SignInAttempt(Base):
    """One try."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        Index("ix_sign_in_attempts_name_at", "name_digest", "at"),
        Index("ix_sign_in_attempts_address_at", "address", "at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    name_digest: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    failed: Mapped[bool] = mapped_column(default=True)


def begin_attempt(session: Session, username: str, address: str) -> int:
    """Count a try before the password is checked, so that many at once pass no limit; it stands as failed.

    Raises:
        TooManyAttempts: a limit is reached; the text says which and for how long.
    """
    session.execute(delete(SignInAttempt).where(SignInAttempt.at < now() - KEPT))
    name = _digest(username)
    by_name, by_address = SignInAttempt.name_digest == name, SignInAttempt.address == address[:64]
    for limit, conditions in (
        (PAIR_LIMIT, (by_name, by_address)),
        (NAME_LIMIT, (by_name,)),
        (ADDRESS_LIMIT, (by_address,)),
    ):
        failures, latest = _failures(session, conditions)
        if failures >= limit and latest is not None:
            minutes = max(1, -(-int((latest + WINDOW - now()).total_seconds()) // 60))
            raise TooManyAttempts(f"{failures} failed tries; try again in {minutes} min", minutes=minutes)
    attempt = SignInAttempt(name_digest=name, address=address[:64], failed=True)
    session.add(attempt)
    session.flush()
    return attempt.id


def note_success(session: Session, username: str, address: str) -> None:
    """Forgive the failures of this name from this address: its owner has come in."""
    session.execute(
        update(SignInAttempt)
        .where(SignInAttempt.name_digest == _digest(username), SignInAttempt.address == address[:64])
        .values(failed=False)
    )


def _failures(session: Session, conditions: tuple[ColumnElement[bool], ...]) -> tuple[int, datetime | None]:
    count, latest = session.execute(
        select(func.count(), func.max(SignInAttempt.at)).where(
            *conditions, SignInAttempt.failed.is_(True), SignInAttempt.at > now() - WINDOW
        )
    ).one()
    return count, latest


def _digest(username: str) -> str:
    return hashlib.sha256(username.strip().casefold().encode()).hexdigest()
