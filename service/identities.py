"""Identity: a person at an identity provider, and the account that is theirs here.

A stranger is given a short code; an administrator who knows them links it to an account. What a provider says
opens no door by itself.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.account_hospitals import AccountHospital, hospitals_of
from service.accounts import Account
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now
from service.errors import NotFound
from service.hospitals import Hospital
from service.oidc import Person

CODE_HOURS = 24
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for one another when read over a telephone."""


class Identity(Base):
    """One person at one provider; without an account until somebody has linked it."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    issuer: Mapped[str] = mapped_column(String(300))
    subject: Mapped[str] = mapped_column(String(255))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    code: Mapped[str | None] = mapped_column(String(12), unique=True)
    code_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    linked_by: Mapped[str | None] = mapped_column(String(100))
    linked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def account_of(session: Session, person: Person) -> Account | None:
    """The account that is linked to a person, if it is open."""
    return session.scalar(
        select(Account)
        .join(Identity, Identity.account_id == Account.id)
        .where(
            Identity.issuer == clean(person.issuer),
            Identity.subject == clean(person.subject),
            Account.active.is_(True),
        )
    )


def note_stranger(session: Session, person: Person) -> str | None:
    """The code by which an administrator can link a person; None where the account was closed."""
    issuer, subject = clean(person.issuer)[:300], clean(person.subject)[:255]
    row = session.scalar(select(Identity).where(Identity.issuer == issuer, Identity.subject == subject))
    if row is None:
        row = Identity(issuer=issuer, subject=subject)
        session.add(row)
    elif row.account_id is not None:
        return None
    if row.code is None or row.code_until is None or row.code_until <= now():
        row.code = "".join(secrets.choice(LETTERS) for _ in range(8))
    row.code_until = now() + timedelta(hours=CODE_HOURS)
    session.flush()
    return row.code


def link_identity(session: Session, account: Account, code: str, actor: str) -> Identity:
    """Make the person who was given a code the holder of an account.

    Raises:
        NotFound: nobody was given the code, or it has expired.
    """
    row = session.scalar(select(Identity).where(Identity.code == clean(code).strip().upper()))
    if row is None or row.code_until is None or row.code_until <= now():
        raise NotFound("nobody was given this code, or it is older than a day")
    row.account_id, row.linked_by, row.linked_at = account.id, actor, now()
    row.code = row.code_until = None
    session.flush()
    audit.record(session, actor, "account.linked", detail={"account": account.id, "identity": row.id})
    return row


def unlink_identities(session: Session, account: Account, actor: str) -> int:
    """Take every provider's door to an account away; returns how many there were."""
    rows = identities_of(session, account)
    for row in rows:
        session.delete(row)
    session.flush()
    audit.record(session, actor, "account.unlinked", detail={"account": account.id, "identities": len(rows)})
    return len(rows)


def identities_of(session: Session, account: Account) -> Sequence[Identity]:
    """The persons linked to an account, oldest first."""
    return session.scalars(
        select(Identity).where(Identity.account_id == account.id).order_by(Identity.id)
    ).all()


def follow_hospitals(session: Session, account: Account, person: Person) -> None:
    """Make the further hospitals of an account those that the provider names and the hub knows; audited.

    What an administrator had granted beside them ends: the provider's list is the newer word. Nothing changes
    where the provider does not say, or where the account sees the region.
    """
    if person.hospitals is None or account.hcode is None:
        return
    known = session.scalars(select(Hospital.hcode).where(Hospital.hcode.in_(list(person.hospitals))))
    further = (account.hcode, *sorted(set(known) - {account.hcode}))
    if further == hospitals_of(session, account):
        return
    session.execute(delete(AccountHospital).where(AccountHospital.account_id == account.id))
    session.add_all(AccountHospital(account_id=account.id, hcode=hcode) for hcode in further[1:])
    session.flush()
    detail: audit.Detail = {"account": account.id, "hospitals": " ".join(further)}
    audit.record(session, account.username, "account.hospitals", detail=detail)
