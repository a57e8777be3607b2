"""TypedTime: a time that somebody typed in, because nothing that the hub hears could have told it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import BadRequest
from service.milestones import TYPED, Milestone
from service.studies import Study

AHEAD = timedelta(minutes=5)
"""How much a typed time may lie in the future, for clocks that differ."""
BEFORE = timedelta(days=30)
"""How long before the first slice a typed time may lie."""


class TypedTime(Base):
    """One entry; a later one of the same milestone counts instead, and none is ever changed."""

    __tablename__ = "typed_times"
    __table_args__ = (Index("ix_typed_times_study_id_id", "study_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    milestone: Mapped[Milestone] = mapped_column(words(Milestone))
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """None takes the earlier entry back: it is not known."""
    typed_by: Mapped[str] = mapped_column(String(100))
    typed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def type_time(
    session: Session, study: Study, viewer: Viewer, milestone: Milestone, at: datetime | None
) -> TypedTime:
    """Say when something was, or that it is not known after all.

    Raises:
        BadRequest: the hub hears of this milestone by itself, or the time lies in the future, or too long
            before the images.
    """
    if milestone not in TYPED:
        raise BadRequest(f"{milestone.value!r} is not typed; typed are {', '.join(sorted(TYPED))}")
    if at is not None:
        if at.tzinfo is None:
            raise BadRequest(f"{at.isoformat()} has no time zone")
        if at > now() + AHEAD:
            raise BadRequest(f"{at.isoformat()} lies in the future; at most 5 minutes are taken")
        if at < study.first_received_at - BEFORE:
            raise BadRequest(f"{at.isoformat()} lies more than {BEFORE.days} days before the images")
    entry = TypedTime(study_id=study.id, milestone=milestone, at=at, typed_by=viewer.username)
    session.add(entry)
    session.flush()
    audit.record(
        session, viewer.username, "study.time_typed", study_id=study.id, detail={"milestone": milestone.value}
    )
    return entry


def note_told(
    session: Session, study: Study, viewer: Viewer, told: Mapping[Milestone, datetime | None]
) -> None:
    """Keep what a consult or a referral tells of times, so that nobody types them twice.

    What is known already, or cannot be, is passed over: a form about a patient is not refused for the clock.
    """
    known = typed_times(session, [study.id])[study.id]
    for milestone, at in told.items():
        if at is None or not _possible(study, at):
            continue
        if milestone not in known or known[milestone].at != at:
            type_time(session, study, viewer, milestone, at)


def typed_times(session: Session, study_ids: Sequence[int]) -> dict[int, dict[Milestone, TypedTime]]:
    """The entries that count, by study."""
    found: dict[int, dict[Milestone, TypedTime]] = {each: {} for each in study_ids}
    query = select(TypedTime).where(TypedTime.study_id.in_(study_ids)).order_by(TypedTime.id)
    for entry in session.scalars(query):
        found[entry.study_id][entry.milestone] = entry
    return {
        study: {milestone: entry for milestone, entry in entries.items() if entry.at is not None}
        for study, entries in found.items()
    }


def _possible(study: Study, at: datetime) -> bool:
    return study.first_received_at - BEFORE <= at <= now() + AHEAD
