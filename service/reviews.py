"""Review: what radiologists say of a result.

Reviews are never changed or deleted; the database refuses to. One that was given by mistake is withdrawn by
a further row, within a minute, so that the record shows both. The newest that was not withdrawn stands.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import Decision, StrokeType
from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.corrections import follow_review
from service.db import Base, Id, Json, UtcDateTime, now, words
from service.errors import NotReady
from service.findings import Analysis, analysis_of, findings_of
from service.states import RESULTS
from service.studies import Study, set_flags
from service.verdicts import Disagreement, Hindrance, Place, Verdict, check_words, disagreement_of

UNDO_WITHIN = timedelta(minutes=1)
"""How long the person who gave a review may take it back."""


class Signature(Base):
    """A radiologist's signature under a review, which makes the result final; verbs in `signatures`."""

    __tablename__ = "signatures"

    review_id: Mapped[int] = mapped_column(ForeignKey("reviews.id"), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    revision: Mapped[int]
    signer: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Review(Base):
    """One radiologist's word on one analysis; the newest that stands counts, none is ever changed."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_disagreement", "disagreement", "id"),
        Index("ix_reviews_hcode", "hcode", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    revision: Mapped[int]
    hcode: Mapped[str | None] = mapped_column(String(5))
    """The study's hospital at that time, for one index to answer."""
    reviewer: Mapped[str] = mapped_column(String(100))
    verdict: Mapped[Verdict] = mapped_column(words(Verdict))
    present: Mapped[list[Any]] = mapped_column(Json)
    """The stroke types that are there, as the reviewer sees it."""
    places: Mapped[list[Any]] = mapped_column(Json, default=list, server_default="[]")
    """{stroke_type, side, first_slice, last_slice} where the reviewer said so."""
    hindrance: Mapped[Hindrance | None] = mapped_column(words(Hindrance))
    disagreement: Mapped[Disagreement | None] = mapped_column(words(Disagreement))
    """In what it differs from the AI."""
    comment: Mapped[str] = mapped_column(Text)
    withdraws: Mapped[int | None] = mapped_column(Id, index=True)
    """The review that this one takes back."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def reviews_of(session: Session, analysis: Analysis) -> Sequence[Review]:
    """What radiologists said of an analysis, oldest first, the withdrawn included."""
    return session.scalars(select(Review).where(Review.analysis_id == analysis.id).order_by(Review.id)).all()


def standing_review(session: Session, analysis: Analysis) -> Review | None:
    """The newest review that was not withdrawn."""
    reviews = reviews_of(session, analysis)
    withdrawn = {review.withdraws for review in reviews}
    standing = [r for r in reviews if r.verdict is not Verdict.WITHDRAWN and r.id not in withdrawn]
    return standing[-1] if standing else None


def review_finding(
    session: Session,
    study: Study,
    viewer: Viewer,
    verdict: Verdict,
    *,
    present: Collection[StrokeType] = (),
    places: Sequence[Place] = (),
    hindrance: Hindrance | None = None,
    comment: str = "",
) -> Review:
    """Add a radiologist's word to the current result: agreed, corrected, or not to be judged by anybody.

    The study leaves the head of the worklist; after a correction it is flagged for what the reviewer named.

    Raises:
        NotReady: there is no current result.
        BadRequest: the words contradict one another; the text says which.
    """
    analysis = current_analysis(session, study)
    check_words(
        verdict,
        present=present,
        places=places,
        hindrance=hindrance,
        decision=analysis.decision,
        slices=len(analysis.slices),
    )
    flagged = _flagged(session, analysis)
    named = sorted({*present, *(place.stroke_type for place in places)})
    seen = named if verdict is Verdict.CORRECT else flagged
    review = Review(
        analysis_id=analysis.id,
        study_id=study.id,
        revision=study.revision,
        hcode=study.hcode,
        reviewer=viewer.username,
        verdict=verdict,
        present=[each.value for each in seen],
        places=[_place_columns(each) for each in places],
        hindrance=hindrance,
        disagreement=disagreement_of(verdict, decision=analysis.decision, flagged=flagged, present=named),
        comment=clean(comment),
    )
    session.add(review)
    study.reviewed_at = now()
    set_flags(session, study, seen)
    note_review(session, viewer, f"study.{verdict.value}", review)
    if verdict is not Verdict.NOT_ASSESSABLE:
        follow_review(session, study, seen, review.id, viewer.username)
    return review


def withdraw_review(session: Session, study: Study, viewer: Viewer) -> Review:
    """Take back the viewer's own word of the last minute; what stood before it stands again.

    Raises:
        NotReady: there is nothing to take back, it is another's, too old, or signed.
    """
    analysis = current_analysis(session, study)
    review = standing_review(session, analysis)
    if review is None or review.reviewer != viewer.username:
        raise NotReady("you have not reviewed this result, so there is nothing to take back")
    if now() - review.at > UNDO_WITHIN:
        raise NotReady(f"a review can be taken back for {UNDO_WITHIN.seconds} s; give another one instead")
    if session.get(Signature, review.id):
        raise NotReady("the review is signed; give another one instead")
    undone = Review(
        analysis_id=analysis.id,
        study_id=study.id,
        revision=study.revision,
        hcode=study.hcode,
        reviewer=viewer.username,
        verdict=Verdict.WITHDRAWN,
        present=[],
        places=[],
        comment="",
        withdraws=review.id,
    )
    session.add(undone)
    session.flush()
    before = standing_review(session, analysis)
    study.reviewed_at = before.at if before else None
    stand = _stated(before) if before else _flagged(session, analysis)
    set_flags(session, study, stand)
    note_review(session, viewer, "study.withdrawn", undone)
    if stand:
        follow_review(session, study, stand, undone.id, viewer.username)
    return undone


def current_analysis(session: Session, study: Study) -> Analysis:
    """The result that may be reviewed now.

    Raises:
        NotReady: there is none.
    """
    analysis = analysis_of(session, study)
    if analysis is None or study.state not in RESULTS:
        raise NotReady(f"the study is {study.state.value}; only a result can be reviewed")
    return analysis


def _flagged(session: Session, analysis: Analysis) -> list[StrokeType]:
    return [f.stroke_type for f in findings_of(session, analysis) if f.decision is Decision.FLAG]


def _stated(review: Review) -> list[StrokeType]:
    return [StrokeType(each) for each in review.present]


def _place_columns(place: Place) -> dict[str, Any]:
    return {
        "stroke_type": place.stroke_type.value,
        "side": place.side.value if place.side else None,
        "first_slice": place.first_slice,
        "last_slice": place.last_slice,
    }


def note_review(session: Session, viewer: Viewer, action: str, review: Review) -> None:
    """Put what was done about a review into the audit."""
    session.flush()
    detail = {"revision": review.revision, "review": review.id}
    audit.record(session, viewer.username, action, study_id=review.study_id, detail=detail)
