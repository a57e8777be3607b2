"""How often the AI flags at a hospital, and how often radiologists found it right: what its people can bear.

A triage that cries wolf is switched off in people's heads long before anybody switches it off in the hub.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from model.stroke import Decision
from service.db import now
from service.findings import Analysis
from service.hospitals import Hospital
from service.reviews import Review
from service.states import CLOCK, GROUPS, StudyState, milliseconds
from service.studies import Study
from service.verdicts import Verdict

LAST_REVIEWS = 50
DAYS = 30


@dataclass(frozen=True, slots=True)
class AlertBudget:
    """Figures of one hospital."""

    hcode: str
    flags: int
    """Studies received in the last `days` that stand flagged by the AI."""
    days: int
    reviewed: int
    """Of the newest flags that a radiologist has judged, at most `LAST_REVIEWS`."""
    right: int
    """Those in which the radiologist saw a stroke of any type."""

    @property
    def flags_per_day(self) -> float:
        """Flags per day."""
        return self.flags / self.days

    @property
    def positive_predictive_value(self) -> float | None:
        """Part of the judged flags that were right; None while none was judged."""
        return self.right / self.reviewed if self.reviewed else None


def alert_budget(session: Session, hcode: str, *, days: int = DAYS) -> AlertBudget:
    """The hospital's figures now."""
    verdicts = judged_flags(session, hcode)
    return AlertBudget(
        hcode=hcode,
        flags=_count_flags(session, hcode, days),
        days=days,
        reviewed=len(verdicts),
        right=sum(verdicts),
    )


def hospitals_with_flags(session: Session) -> set[str]:
    """The hospitals at which a study stands flagged; the others have no figures worth asking for."""
    flagged = select(Study.id).where(Study.hcode == Hospital.hcode, Study.state == StudyState.FLAGGED)
    return set(session.scalars(select(Hospital.hcode).where(flagged.exists())))


def _count_flags(session: Session, hcode: str, days: int) -> int:
    # a place holds the time counted down within its group, so each group is one short range of one index
    oldest = CLOCK - 1 - milliseconds(now() - timedelta(days=days))
    total = 0
    for group in GROUPS:
        low = group * CLOCK
        total += session.scalars(
            select(func.count())
            .select_from(Study)
            .where(
                Study.hcode == hcode,
                Study.state == StudyState.FLAGGED,
                Study.place.between(low, low + oldest),
            )
        ).one()
    return total


def judged_flags(session: Session, hcode: str) -> list[bool]:
    """Of the newest judged flags, newest first: whether a stroke was there. One judgement a result."""
    later = aliased(Review)
    query = (
        select(Review.present)
        .join(Analysis, Analysis.id == Review.analysis_id)
        .where(
            Review.hcode == hcode,
            Review.verdict.in_((Verdict.AGREE, Verdict.CORRECT)),
            Analysis.decision == Decision.FLAG,
            # a later review of the same result counts instead, and one taken back does not count
            ~select(later.id).where(later.analysis_id == Review.analysis_id, later.id > Review.id).exists(),
        )
        .order_by(Review.id.desc())
        .limit(LAST_REVIEWS)
    )
    return [bool(present) for present in session.scalars(query)]
