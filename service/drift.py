"""Drift: week by week and hospital by hospital, what the live model says against what it said before."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.drift import PSI_LIMIT, Chart, chart, ks, psi
from model.stroke import Decision, StrokeType
from service.accounts import OPERATOR, Viewer, visible_to
from service.acquisitions import Acquisition
from service.findings import Analysis, Finding
from service.reviews import Review
from service.studies import Study
from service.thai_time import THAILAND
from service.verdicts import Verdict

SHOWN = 4
"""Weeks that are judged, this one among them."""
REFERENCE = 8
"""Weeks before them that they are judged by."""
LEAST = 10
"""Studies in a week below which nothing is said of it."""
LEAST_REFERENCE = 30
"""Studies in the reference weeks."""
WEEK = timedelta(days=7)


class Alarm(StrEnum):
    """What has drifted."""

    SCORES = "scores"
    FLAGS = "flags"
    SCANNER = "scanner"
    """More than half of the week's studies come from scanners not seen in the reference weeks."""
    AGREEMENT = "agreement"
    """Radiologists agree less than they did."""


@dataclass(slots=True)
class _Pile:
    """What is known of some studies."""

    scores: list[float] = field(default_factory=list)
    studies: int = 0
    flags: int = 0
    agreed: int = 0
    reviewed: int = 0
    scanners: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Week:
    """One week of one hospital."""

    begins: date
    studies: int
    psi: float | None
    """None where there are too few studies to say."""
    distance: float | None
    distance_limit: float | None
    flags: Chart | None
    agreement: Chart | None
    new_scanners: int
    """Studies from scanners that the reference weeks have not."""
    alarms: tuple[Alarm, ...]


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
    piles: dict[str, dict[date, _Pile]] = defaultdict(lambda: defaultdict(_Pile))
    query = (
        select(Study.hcode, Analysis.created_at, Analysis.decision, Finding.probability, Acquisition.scanner)
        .join(Study, Study.id == Analysis.study_id)
        .outerjoin(
            Finding, (Finding.analysis_id == Analysis.id) & (Finding.stroke_type == StrokeType.ANY_ICH)
        )
        .outerjoin(Acquisition, Acquisition.study_id == Study.id)
        .where(Analysis.created_at >= begins, Study.hcode.is_not(None), visible_to(viewer, Study.hcode))
    )
    if hcode is not None:
        query = query.where(Study.hcode == hcode)
    for code, at, decision, score, scanner in session.execute(query):
        assert code is not None, "the query leaves such studies out"
        pile = piles[code][week_of(at)]
        pile.studies += 1
        pile.flags += decision is Decision.FLAG
        if score is not None:
            pile.scores.append(score)
        if scanner is not None:
            pile.scanners.append(scanner)
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


def _add_reviews(session: Session, piles: dict[str, dict[date, _Pile]], begins: datetime) -> None:
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


def _hospital(code: str, weeks: dict[date, _Pile], shown: Sequence[date]) -> HospitalDrift:
    before = _sum(pile for begins, pile in weeks.items() if begins < shown[0])
    judged = tuple(_week(begins, weeks.get(begins, _Pile()), before) for begins in shown)
    return HospitalDrift(code, before.studies, judged)


def _sum(piles: Iterable[_Pile]) -> _Pile:
    whole = _Pile()
    for pile in piles:
        whole.scores += pile.scores
        whole.scanners += pile.scanners
        whole.studies += pile.studies
        whole.flags += pile.flags
        whole.agreed += pile.agreed
        whole.reviewed += pile.reviewed
    return whole


def _week(begins: date, own: _Pile, before: _Pile) -> Week:
    enough = before.studies >= LEAST_REFERENCE and own.studies >= LEAST
    scored = len(before.scores) >= LEAST_REFERENCE and len(own.scores) >= LEAST
    index = psi(before.scores, own.scores) if scored else None
    distance, limit = ks(before.scores, own.scores) if scored else (None, None)
    flags = chart(own.flags, own.studies, before.flags, before.studies) if enough else None
    agreement = None
    if before.reviewed >= LEAST_REFERENCE and own.reviewed >= LEAST:
        agreement = chart(own.agreed, own.reviewed, before.agreed, before.reviewed)
    strangers = sum(scanner not in set(before.scanners) for scanner in own.scanners) if enough else 0
    alarms = {
        # both: the index alone is loud where a week is small, the distance alone where a year is long
        Alarm.SCORES: distance is not None
        and limit is not None
        and distance > limit
        and (index or 0) > PSI_LIMIT,
        Alarm.FLAGS: flags is not None and flags.out,
        Alarm.SCANNER: bool(before.scanners) and 2 * strangers > len(own.scanners) > 0,
        Alarm.AGREEMENT: agreement is not None and agreement.share < agreement.low,
    }
    raised = tuple(alarm for alarm, raised in alarms.items() if raised)
    return Week(begins, own.studies, index, distance, limit, flags, agreement, strangers, raised)
