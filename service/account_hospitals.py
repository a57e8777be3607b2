"""AccountHospital: the further hospitals that a person works for beside their own."""

from sqlalchemy import ForeignKey, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.accounts import Account
from service.db import Base
from service.errors import BadRequest
from service.hospitals import find_hospital


class AccountHospital(Base):
    """One more hospital of one account."""

    __tablename__ = "account_hospitals"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)


def hospitals_of(session: Session, account: Account) -> tuple[str, ...]:
    """Every hospital the person works for, their own first; empty for those who see the region."""
    if account.hcode is None:
        return ()
    more = session.scalars(
        select(AccountHospital.hcode)
        .where(AccountHospital.account_id == account.id, AccountHospital.hcode != account.hcode)
        .order_by(AccountHospital.hcode)
    )
    return (account.hcode, *more)


def grant_hospital(session: Session, account: Account, hcode: str) -> None:
    """Let a person work for one more hospital; granting it again changes nothing.

    Raises:
        BadRequest: the account sees the whole region.
        NotFound: no such hospital.
    """
    if account.hcode is None:
        raise BadRequest(f"the account {account.username!r} has no hospital of its own: it sees the region")
    find_hospital(session, hcode)
    if hcode not in hospitals_of(session, account):
        session.add(AccountHospital(account_id=account.id, hcode=hcode))
        session.flush()


def withdraw_hospital(session: Session, account: Account, hcode: str) -> None:
    """Let a person no longer work for a further hospital; open sessions for it must choose again."""
    session.execute(
        delete(AccountHospital).where(
            AccountHospital.account_id == account.id, AccountHospital.hcode == hcode
        )
    )
