"""SavedView: a person's choice of filters for the worklist, under a name of their own.

It holds closed words and a hospital's code, never words that were searched for: those may be a patient's.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now
from service.errors import AlreadyExists, BadRequest, NotFound

MOST_VIEWS = 12
LONGEST_NAME = 40


class SavedView(Base):
    """One view of one account."""

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    state: Mapped[str] = mapped_column(String(24), default="")
    hospital: Mapped[str] = mapped_column(String(5), default="")
    finding: Mapped[str] = mapped_column(String(24), default="")
    opens_first: Mapped[bool] = mapped_column(default=False)
    """Whether the worklist opens with it."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def views_of(session: Session, account_id: int) -> Sequence[SavedView]:
    """A person's views in the order in which they were saved."""
    return session.scalars(
        select(SavedView).where(SavedView.account_id == account_id).order_by(SavedView.id)
    ).all()


def save_view(
    session: Session, account_id: int, name: str, *, state: str, hospital: str, finding: str
) -> SavedView:
    """Keep a choice of filters.

    Raises:
        AlreadyExists: a view of that name is there, or there are as many as there may be.
        BadRequest: the name is empty or too long.
    """
    name = clean(name).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise BadRequest(f"a view's name of {len(name)} characters; it must have 1 to {LONGEST_NAME}")
    known = views_of(session, account_id)
    if any(each.name == name for each in known):
        raise AlreadyExists(f"there is a view called {name!r} already")
    if len(known) >= MOST_VIEWS:
        raise AlreadyExists(f"there are {MOST_VIEWS} views already; delete one first")
    view = SavedView(account_id=account_id, name=name, state=state, hospital=hospital, finding=finding)
    session.add(view)
    session.flush()
    return view


def delete_view(session: Session, account_id: int, number: int) -> None:
    """Forget a view.

    Raises:
        NotFound: the person has no such view.
    """
    session.delete(_find(session, account_id, number))


def open_first(session: Session, account_id: int, number: int) -> None:
    """Have the worklist open with a view; with it already, no more.

    Raises:
        NotFound: the person has no such view.
    """
    view = _find(session, account_id, number)
    first = not view.opens_first
    session.execute(update(SavedView).where(SavedView.account_id == account_id).values(opens_first=False))
    session.refresh(view)
    view.opens_first = first


def _find(session: Session, account_id: int, number: int) -> SavedView:
    view = session.get(SavedView, number)
    if view is None or view.account_id != account_id:
        raise NotFound(f"no saved view has the number {number}")
    return view
