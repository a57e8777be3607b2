"""Shift: who is on call at a hospital, from when until when, and who is called first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.account_hospitals import hospitals_of
from service.accounts import Account, Permission, Viewer, find_account, viewer_of, visible_to
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import AlreadyExists, BadRequest, NotFound
from service.hospitals import Hospital, find_hospital
from service.specialties import Specialty

LAST_PLACE = 9
LONGEST = timedelta(days=31)


class Shift(Base):
    """One person's turn."""

    __tablename__ = "shifts"
    __table_args__ = (Index("ix_shifts_hcode_ends_at", "hcode", "ends_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    place: Mapped[int]
    """1 is told first; who has a higher number is told when nobody before has answered."""
    specialty: Mapped[Specialty | None] = mapped_column(words(Specialty))
    """A consult for this specialty is told to these first; None: on call for everything."""
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Duty:
    """A shift with its person's name."""

    shift: Shift
    account: Account


def may_see(session: Session, viewer: Viewer, hcode: str) -> Hospital:
    """The hospital whose roster is asked for.

    Raises:
        NotFound: there is none, or it is not the viewer's; the two are not told apart.
    """
    found = session.scalar(
        select(Hospital).where(Hospital.hcode == hcode, visible_to(viewer, Hospital.hcode))
    )
    if found is None:
        raise NotFound(f"no roster of hospital {hcode!r}")
    return found


def add_shift(
    session: Session,
    viewer: Viewer,
    hcode: str,
    username: str,
    *,
    starts_at: datetime,
    ends_at: datetime,
    place: int = 1,
    specialty: Specialty | None = None,
) -> Shift:
    """Put somebody on call.

    Raises:
        NotFound: no such hospital or person, or none that the viewer may put on call.
        BadRequest: place or times are out of range, or the person does not work there or may not answer.
        AlreadyExists: the person is on call there in part of that time.
    """
    may_see(session, viewer, hcode)
    account = find_account(session, username)
    works_for = hospitals_of(session, account)
    if not account.active or not viewer_of(account).may(Permission.ON_CALL):
        raise BadRequest(
            f"{username!r} cannot be on call: the account is closed or its role does not include it"
        )
    if works_for and hcode not in works_for:
        raise BadRequest(f"{username!r} does not work for hospital {hcode}")
    if not 1 <= place <= LAST_PLACE:
        raise BadRequest(f"place {place} on the ladder; it must be from 1 to {LAST_PLACE}")
    if not timedelta(0) < ends_at - starts_at <= LONGEST:
        raise BadRequest(
            f"a shift from {starts_at.isoformat()} to {ends_at.isoformat()}; it ends after it starts, "
            f"at most {LONGEST.days} days later"
        )
    overlaps = select(Shift.id).where(
        Shift.hcode == hcode,
        Shift.account_id == account.id,
        Shift.starts_at < ends_at,
        Shift.ends_at > starts_at,
    )
    if session.scalar(overlaps.limit(1)) is not None:
        raise AlreadyExists(f"{username!r} is on call at hospital {hcode} in part of that time already")
    shift = Shift(
        hcode=hcode,
        account_id=account.id,
        place=place,
        specialty=specialty,
        starts_at=starts_at,
        ends_at=ends_at,
        made_by=viewer.username,
    )
    session.add(shift)
    session.flush()
    detail: audit.Detail = {"shift": shift.id, "hospital": hcode, "account": account.id}
    audit.record(session, viewer.username, "shift.add", detail=detail)
    return shift


def remove_shift(session: Session, viewer: Viewer, hcode: str, number: int) -> None:
    """Take somebody off the roster.

    Raises:
        NotFound: the hospital, as far as the viewer may see it, has no such shift.
    """
    may_see(session, viewer, hcode)
    shift = session.get(Shift, number)
    if shift is None or shift.hcode != hcode:
        raise NotFound(f"hospital {hcode} has no shift {number}")
    detail: audit.Detail = {"shift": number, "hospital": hcode, "account": shift.account_id}
    session.delete(shift)
    session.flush()
    audit.record(session, viewer.username, "shift.remove", detail=detail)


def on_duty(session: Session, hcode: str, at: datetime) -> Sequence[Duty]:
    """Who is on call at that moment, the first to be told first; accounts closed since are left out."""
    query = (
        select(Shift, Account)
        .join(Account, Account.id == Shift.account_id)
        .where(Shift.hcode == hcode, Shift.starts_at <= at, Shift.ends_at > at, Account.active)
        .order_by(Shift.place, Shift.id)
    )
    return [Duty(shift, account) for shift, account in session.execute(query)]


def upcoming(session: Session, viewer: Viewer, hcode: str, *, limit: int = 100) -> Sequence[Duty]:
    """Shifts that are not over yet, the earliest first.

    Raises:
        NotFound: see `may_see`.
    """
    may_see(session, viewer, hcode)
    query = (
        select(Shift, Account)
        .join(Account, Account.id == Shift.account_id)
        .where(Shift.hcode == hcode, Shift.ends_at > now())
        .order_by(Shift.starts_at, Shift.place, Shift.id)
        .limit(limit)
    )
    return [Duty(shift, account) for shift, account in session.execute(query)]


def candidates(session: Session, hcode: str) -> Sequence[str]:
    """Names of those who can be put on call at a hospital: its own people, and those of the whole region."""
    find_hospital(session, hcode)
    query = (
        select(Account)
        .where(Account.active, or_(Account.hcode == hcode, Account.hcode.is_(None)))
        .order_by(Account.hcode.is_(None), Account.username)
    )
    return [each.username for each in session.scalars(query) if viewer_of(each).may(Permission.ON_CALL)]
