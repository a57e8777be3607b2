"""Drift: week by week and hospital by hospital, what the live model says against what it said before."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from model.stroke import Decision, StrokeType
from service.accounts import OPERATOR, Viewer, visible_to
from service.acquisitions import Acquisition
from service.drift_weeks import Alarm, Pile, Week, judge_week, sum_piles
from service.findings import Analysis, Finding
from service.reviews import Review
from service.studies import Study
from service.thai_time import THAILAND
from service.verdicts import Verdict

SHOWN = 4
"""Weeks that are judged, this one among them."""
REFERENCE = 8
"""Weeks before them that they are judged by."""
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class HospitalDrift:
    """The last weeks of one hospital, oldest first."""

    hcode: str
    reference: int
    """Studies that they are judged by."""
    weeks: tuple[Week, ...]

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Of the newest week that has any."""
        return next((week.alarms for week in reversed(self.weeks) if week.alarms), ())


def drift(
    session: Session, viewer: Viewer, moment: datetime, *, hcode: str | None = None
) -> list[HospitalDrift]:
    """The last weeks of every hospital with studies, those with alarms first.

    Args:
        session: A session.
        viewer: Who asks.
        moment: Now.
        hcode: Only this hospital.
    """
    this = week_of(moment)
    begins = datetime.combine(this - (SHOWN + REFERENCE - 1) * WEEK, datetime.min.time(), THAILAND)
    piles: dict[str, dict[date, Pile]] = defaultdict(lambda: defaultdict(Pile))
    query = (
        select(
            Study.hcode,
            Analysis.created_at,
            Analysis.decision,
            Finding.probability,
            Acquisition.scanner,
            Acquisition.kernel,
            Analysis.model_digest,
            Analysis.distance / func.nullif(Analysis.usual_distance, 0.0),
        )
        .join(Study, Study.id == Analysis.study_id)
        .outerjoin(
            Finding, (Finding.analysis_id == Analysis.id) & (Finding.stroke_type == StrokeType.ANY_ICH)
        )
        .outerjoin(Acquisition, Acquisition.study_id == Study.id)
        .where(Analysis.created_at >= begins, Study.hcode.is_not(None), visible_to(viewer, Study.hcode))
    )
    if hcode is not None:
        query = query.where(Study.hcode == hcode)
    for code, at, decision, score, scanner, kernel, digest, distance in session.execute(query):
        assert code is not None, "the query leaves such studies out"
        pile = piles[code][week_of(at)]
        pile.studies += 1
        pile.flags += decision is Decision.FLAG
        if score is not None:
            pile.scores.append(score)
        if scanner is not None:
            pile.scanners.append(scanner)
        if kernel:
            pile.kernels.append(kernel)
        if distance is not None:
            pile.distances.setdefault(digest, []).append(distance)
    _add_reviews(session, piles, begins)
    shown = [this - back * WEEK for back in range(SHOWN - 1, -1, -1)]
    found = [_hospital(code, weeks, shown) for code, weeks in piles.items()]
    return sorted(found, key=lambda each: (not each.alarms, each.hcode))


def count_alarms(session: Session, moment: datetime) -> dict[str, int]:
    """How many hospitals have each alarm, for /metrics."""
    found = [alarm for each in drift(session, OPERATOR, moment) for alarm in each.alarms]
    return {alarm.value: found.count(alarm) for alarm in Alarm}


def week_of(moment: datetime) -> date:
    """The Monday of its week, in Thailand."""
    day = moment.astimezone(THAILAND).date()
    return day - timedelta(days=day.weekday())


def _add_reviews(session: Session, piles: dict[str, dict[date, Pile]], begins: datetime) -> None:
    withdrawn = select(Review.withdraws).where(Review.withdraws.is_not(None))
    query = select(Review.hcode, Review.at, Review.verdict).where(
        Review.at >= begins,
        Review.verdict.in_([Verdict.AGREE, Verdict.CORRECT]),
        Review.hcode.in_(list(piles)),
        Review.id.not_in(withdrawn),
    )
    for code, at, verdict in session.execute(query):
        assert code is not None, "the query leaves such reviews out"
        pile = piles[code][week_of(at)]
        pile.reviewed += 1
        pile.agreed += verdict is Verdict.AGREE


def _hospital(code: str, weeks: dict[date, Pile], shown: Sequence[date]) -> HospitalDrift:
    before = sum_piles(pile for begins, pile in weeks.items() if begins < shown[0])
    judged = tuple(judge_week(begins, weeks.get(begins, Pile()), before) for begins in shown)
    return HospitalDrift(code, before.studies, judged)
