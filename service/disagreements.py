"""Settlement: the ML team's queue of reviews that differ from the AI, and what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text, exists, select
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from service import audit
from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.db import Base, UtcDateTime, now, words
from service.errors import AlreadyExists, NotFound
from service.reviews import Review
from service.studies import Study
from service.verdicts import Disagreement, Verdict

LONGEST_PAGE = 200


class Conclusion(StrEnum):
    """What the ML team makes of a disagreement."""

    MODEL_WRONG = "model_wrong"
    REVIEW_WRONG = "review_wrong"
    BOTH_DEFENSIBLE = "both_defensible"
    TO_LABEL = "to_label"
    """Goes to the readers as a case of the next data set."""


class Settlement(Base):
    """How one disagreement was settled."""

    __tablename__ = "settlements"

    review_id: Mapped[int] = mapped_column(ForeignKey("reviews.id"), primary_key=True)
    conclusion: Mapped[Conclusion] = mapped_column(words(Conclusion))
    comment: Mapped[str] = mapped_column(Text)
    settled_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Difference:
    """One disagreement with its study, and how it was settled if it was."""

    review: Review
    study: Study
    settlement: Settlement | None


def disagreements(
    session: Session,
    viewer: Viewer,
    *,
    kind: Disagreement | None = None,
    hcode: str | None = None,
    settled: bool | None = False,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Difference]:
    """Reviews that stand and differ from the AI, newest first.

    Args:
        session: A session.
        viewer: Who asks.
        kind: Only these.
        hcode: Only this hospital's.
        settled: Only those settled, or not; None for both.
        before: Only reviews with a lower number: the last of the page before.
        limit: Rows, 200 at most.
    """
    taken_back = aliased(Review)
    query = (
        select(Review, Study, Settlement)
        .join(Study, Study.id == Review.study_id)
        .outerjoin(Settlement, Settlement.review_id == Review.id)
        .where(
            Review.disagreement.is_not(None) if kind is None else Review.disagreement == kind,
            ~exists().where(taken_back.withdraws == Review.id, taken_back.verdict == Verdict.WITHDRAWN),
            visible_to(viewer, Study.hcode),
        )
    )
    if hcode is not None:
        query = query.where(Study.hcode == hcode)
    if settled is not None:
        query = query.where(
            (Settlement.review_id.is_not(None)) if settled else Settlement.review_id.is_(None)
        )
    if before is not None:
        query = query.where(Review.id < before)
    rows = session.execute(query.order_by(Review.id.desc()).limit(max(1, min(limit, LONGEST_PAGE))))
    return [Difference(*row) for row in rows]


def settle(
    session: Session, viewer: Viewer, review_id: int, conclusion: Conclusion, *, comment: str = ""
) -> Settlement:
    """Say what became of a disagreement.

    Raises:
        NotFound: the viewer sees no such disagreement.
        AlreadyExists: somebody has settled it.
    """
    query = select(Review).join(Study, Study.id == Review.study_id)
    review = session.scalar(query.where(Review.id == review_id, visible_to(viewer, Study.hcode)))
    if review is None or review.disagreement is None:
        raise NotFound(f"no disagreement has the number {review_id}")
    if known := session.get(Settlement, review_id):
        raise AlreadyExists(f"the disagreement was settled as {known.conclusion.value!r}")
    settlement = Settlement(
        review_id=review_id, conclusion=conclusion, comment=clean(comment), settled_by=viewer.username
    )
    session.add(settlement)
    detail = {"review": review_id, "conclusion": conclusion.value}
    audit.record(session, viewer.username, "disagreement.settled", study_id=review.study_id, detail=detail)
    return settlement
