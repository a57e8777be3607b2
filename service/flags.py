"""StudyFlag: the stroke types that stand flagged on each study now, for the worklist's `finding` filter."""

from collections.abc import Collection, Iterable

from sqlalchemy import ForeignKey, Index, String, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import StrokeType
from service.db import Base, Id, words
from service.states import StudyState


class StudyFlag(Base):
    """One flagged stroke type; hospital, state and place repeat the study's, for one index to answer."""

    __tablename__ = "study_flags"
    __table_args__ = (
        Index("ix_study_flags_place", "stroke_type", "place", "study_id"),
        Index("ix_study_flags_hcode_place", "stroke_type", "hcode", "place", "study_id"),
        Index("ix_study_flags_state_place", "stroke_type", "state", "place", "study_id"),
        Index("ix_study_flags_hcode_state_place", "stroke_type", "hcode", "state", "place", "study_id"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    stroke_type: Mapped[StrokeType] = mapped_column(words(StrokeType), primary_key=True)
    hcode: Mapped[str | None] = mapped_column(String(5))
    state: Mapped[StudyState] = mapped_column(words(StudyState))
    place: Mapped[int] = mapped_column(Id)


def replace_flags(
    session: Session,
    study_id: int,
    flagged: Iterable[StrokeType],
    *,
    hcode: str | None,
    state: StudyState,
    place: int,
) -> None:
    """Make `flagged` the stroke types that stand flagged on the study."""
    session.execute(delete(StudyFlag).where(StudyFlag.study_id == study_id))
    session.add_all(
        StudyFlag(study_id=study_id, stroke_type=each, hcode=hcode, state=state, place=place)
        for each in set(flagged)
    )
    session.flush()


def follow_study(session: Session, study_id: int, *, hcode: str | None, state: StudyState) -> None:
    """Let the flags that stand repeat the study's hospital and state as they are now."""
    session.execute(update(StudyFlag).where(StudyFlag.study_id == study_id).values(hcode=hcode, state=state))


def flags_of(session: Session, study_ids: Collection[int]) -> dict[int, list[StrokeType]]:
    """The stroke types that stand flagged on each of the studies, in the order of the network's outputs."""
    found: dict[int, list[StrokeType]] = {each: [] for each in study_ids}
    query = select(StudyFlag.study_id, StudyFlag.stroke_type).where(StudyFlag.study_id.in_(study_ids))
    for study_id, stroke_type in session.execute(query):
        found[study_id].append(stroke_type)
    order = list(StrokeType)
    return {study_id: sorted(flags, key=order.index) for study_id, flags in found.items()}
