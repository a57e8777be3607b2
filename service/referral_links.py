"""ReferralLink: a referral that two hubs have, each under a number of its own, and what was told so far.

The hub of the sending hospital is the referral's home: where the two sides act at once, its word stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import circuits
from service.db import Base, Id, locked
from service.errors import NotReady
from service.neighbours import (
    Neighbour,
    NeighbourHospital,
    find_neighbour,
    neighbour_of,
    settle_hospitals,
)
from service.referral_states import ENDED, ReferralState
from service.referral_steps import ReferralStep
from service.referrals import Referral

UNLINKED_FOR: Final = timedelta(days=1)
"""A request older than this was made before its hospital was listed as a neighbour's."""


class ReferralLink(Base):
    """One referral's other half."""

    __tablename__ = "referral_links"
    __table_args__ = (UniqueConstraint("neighbour_id", "remote"),)

    referral_id: Mapped[int] = mapped_column(ForeignKey("referrals.id"), primary_key=True)
    neighbour_id: Mapped[int] = mapped_column(ForeignKey("neighbours.id"))
    remote: Mapped[str | None] = mapped_column(String(64))
    """Its Task's id at the neighbour; None until that has it."""
    home: Mapped[bool]
    """Whether it began here."""
    sent_step: Mapped[int] = mapped_column(Id, default=0)
    """The newest of our steps that the neighbour has taken, or refused."""
    sent_hn: Mapped[str] = mapped_column(String(64), default="")
    """The receiving hospital's number as the neighbour knows it."""
    sent_version: Mapped[int] = mapped_column(default=0)
    """Up to which version of the referral there is nothing to tell."""
    trouble: Mapped[str] = mapped_column(Text, default="")
    """Why the neighbour did not take what it was told last."""


def unlinked_requests(session: Session, at: datetime) -> Sequence[Referral]:
    """Requests of the last day to hospitals that live at a neighbour, which that is to be told of."""
    linked = select(ReferralLink.referral_id).where(ReferralLink.referral_id == Referral.id)
    query = (
        select(Referral)
        .join(NeighbourHospital, NeighbourHospital.hcode == Referral.to_hcode)
        .where(
            Referral.state == ReferralState.REQUESTED,
            Referral.changed_at >= at - UNLINKED_FOR,
            ~linked.exists(),
        )
    )
    return session.scalars(query).all()


def link_requests(session: Session, at: datetime) -> int:
    """Have those requests told; returns how many they are."""
    found = unlinked_requests(session, at)
    for referral in found:
        neighbour = neighbour_of(session, referral.to_hcode)
        assert neighbour is not None, referral.id
        session.add(ReferralLink(referral_id=referral.id, neighbour_id=neighbour.id, home=True))
    session.flush()
    return len(found)


def link_by_remote(session: Session, neighbour: Neighbour, remote: str) -> ReferralLink | None:
    """The link of what a neighbour has under this id."""
    query = select(ReferralLink).where(
        ReferralLink.neighbour_id == neighbour.id, ReferralLink.remote == remote
    )
    return session.scalar(query)


def next_link(session: Session, neighbour: Neighbour) -> ReferralLink | None:
    """The link with something to tell, the longest-waiting first."""
    query = (
        select(ReferralLink)
        .join(Referral, Referral.id == ReferralLink.referral_id)
        .where(ReferralLink.neighbour_id == neighbour.id, Referral.version > ReferralLink.sent_version)
        .order_by(Referral.changed_at)
        .limit(1)
    )
    return session.scalar(locked(query))


def neighbours_due(session: Session, at: datetime) -> list[str]:
    """Neighbours to which something is to be told, and which are not being spared."""
    spared = {each.peer for each in circuits.open_circuits(session, at)}
    query = (
        select(Neighbour.name)
        .join(ReferralLink, ReferralLink.neighbour_id == Neighbour.id)
        .join(Referral, Referral.id == ReferralLink.referral_id)
        .where(Neighbour.enabled, Referral.version > ReferralLink.sent_version)
        .distinct()
    )
    return sorted(name for name in session.scalars(query) if line_of(name) not in spared)


def line_of(name: str) -> str:
    """The line of what a neighbour is told: one after the other, and spared together."""
    return f"neighbour.{name}"


def unsent_steps(session: Session, link: ReferralLink) -> Sequence[ReferralStep]:
    """Our own steps that the neighbour has not heard of, in order."""
    query = select(ReferralStep).where(
        ReferralStep.referral_id == link.referral_id,
        ReferralStep.id > link.sent_step,
        ReferralStep.brought.is_(False),
    )
    return session.scalars(query.order_by(ReferralStep.id)).all()


def untold(session: Session, neighbour: Neighbour) -> int:
    """Of how many referrals something is still to be told."""
    query = (
        select(func.count())
        .select_from(ReferralLink)
        .join(Referral, Referral.id == ReferralLink.referral_id)
        .where(ReferralLink.neighbour_id == neighbour.id, Referral.version > ReferralLink.sent_version)
    )
    return session.scalars(query).one()


def remove_neighbour(session: Session, name: str) -> int:
    """Know another hub no more; its hospitals work here from now on. Returns the number that it had.

    Referrals that it took part in stay, with all their steps; that they were shared is forgotten.

    Raises:
        NotFound: there is none of this name.
        NotReady: a patient is on the way between the two; switched off it can be at once.
    """
    found = find_neighbour(session, name)
    shared = (
        select(func.count())
        .select_from(ReferralLink)
        .join(Referral, Referral.id == ReferralLink.referral_id)
        .where(ReferralLink.neighbour_id == found.id, Referral.state.not_in(ENDED))
    )
    if under_way := session.scalars(shared).one():
        raise NotReady(
            f"{under_way} referrals with neighbour {name!r} have not ended; end them, or switch it off"
        )
    settle_hospitals(session, found, ())
    session.execute(delete(ReferralLink).where(ReferralLink.neighbour_id == found.id))
    session.execute(delete(circuits.Circuit).where(circuits.Circuit.peer == line_of(name)))
    number = found.id
    session.delete(found)
    session.flush()
    return number


@dataclass(frozen=True, slots=True)
class Shared:
    """With which neighbour a referral is shared, and whether that knows all."""

    name: str
    told: bool
    trouble: str


def shared_with(session: Session, referral: Referral) -> Shared | None:
    """The other hub of a referral, if there is one."""
    link = session.get(ReferralLink, referral.id)
    if link is None:
        return None
    neighbour = session.get_one(Neighbour, link.neighbour_id)
    return Shared(neighbour.name, link.sent_version >= referral.version, link.trouble)
