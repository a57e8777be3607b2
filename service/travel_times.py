"""TravelTime: minutes by road between two hospitals, as somebody stated them or as referrals have measured.

The region's list has no distances, so until somebody states one or patients have travelled it is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from service import audit
from service.accounts import Role, Viewer
from service.db import Base, UtcDateTime, now
from service.errors import BadRequest, NotAllowed
from service.hospitals import find_hospital
from service.referral_states import Verb
from service.referral_steps import ReferralStep
from service.referrals import Referral

LONGEST_MINUTES = 24 * 60
FEWEST_JOURNEYS = 3
"""Below so many the median of measured journeys says nothing."""


class TravelTime(Base):
    """Stated for the way between two hospitals, which is taken to be as long in both directions."""

    __tablename__ = "travel_times"

    hcode_low: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    hcode_high: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    minutes: Mapped[int]
    stated_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Road:
    """How long the way is, and how that is known."""

    minutes: int
    journeys: int
    """Measured journeys that it is the median of; 0 where somebody stated it."""


def state_travel_time(session: Session, viewer: Viewer, one: str, other: str, minutes: int) -> TravelTime:
    """State the minutes by road between two hospitals.

    Raises:
        BadRequest: the two are the same, or the minutes are out of bounds.
        NotAllowed: neither is the viewer's own, and the viewer does not administer the hub.
        NotFound: no such hospital.
    """
    find_hospital(session, one)
    find_hospital(session, other)
    if one == other:
        raise BadRequest(f"{one} is not away from itself")
    if not 1 <= minutes <= LONGEST_MINUTES:
        raise BadRequest(f"{minutes} minutes; it must be 1 to {LONGEST_MINUTES}")
    if viewer.role is not Role.ADMIN and viewer.hcode not in (one, other):
        raise NotAllowed("only one of the two hospitals, or an administrator, states the way between them")
    low, high = sorted((one, other))
    row = session.get(TravelTime, (low, high)) or TravelTime(hcode_low=low, hcode_high=high)
    row.minutes, row.stated_by, row.at = minutes, viewer.username, now()
    session.add(row)
    session.flush()
    detail: audit.Detail = {"from": low, "to": high, "minutes": minutes}
    audit.record(session, viewer.username, "hospital.travel_time", detail=detail)
    return row


def roads_from(session: Session, hcode: str) -> Mapping[str, Road]:
    """What is known of the ways from a hospital, by the other's code; what somebody stated counts first."""
    roads = {
        other: Road(round(median(minutes)), len(minutes))
        for other, minutes in _journeys(session, hcode).items()
        if len(minutes) >= FEWEST_JOURNEYS
    }
    query = select(TravelTime).where((TravelTime.hcode_low == hcode) | (TravelTime.hcode_high == hcode))
    for row in session.scalars(query):
        other = row.hcode_high if row.hcode_low == hcode else row.hcode_low
        roads[other] = Road(row.minutes, 0)
    return roads


def _journeys(session: Session, hcode: str) -> dict[str, list[float]]:
    """Minutes from departure to arrival of the referrals that a hospital sent, by where they went."""
    left, came = aliased(ReferralStep), aliased(ReferralStep)
    query = (
        select(Referral.to_hcode, left.at, came.at)
        .join(left, (left.referral_id == Referral.id) & (left.verb == Verb.DEPART))
        .join(came, (came.referral_id == Referral.id) & (came.verb == Verb.ARRIVE))
        .where(Referral.from_hcode == hcode)
        .order_by(Referral.id.desc())
        .limit(1000)
    )
    found: dict[str, list[float]] = {}
    for other, departed, arrived in session.execute(query):
        found.setdefault(other, []).append(max(1.0, (arrived - departed).total_seconds() / 60))
    return found
