"""The stroke clock of a hospital, month by month: how long each step took, and how often in time.

It is about patients in front of a doctor: live studies that the AI flagged, or for whom somebody asked
another hospital or typed a time.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median, quantiles

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from service.accounts import Viewer, visible_to
from service.audit import AuditEntry
from service.errors import BadRequest
from service.milestones import INTERVALS, Interval
from service.states import CLOCK, GROUPS, Lane, StudyState, milliseconds
from service.studies import Study
from service.thai_time import THAILAND
from service.timeline import Span, spans_of, timelines
from service.typed_times import TypedTime

LONGEST = 24
"""Months that are worked out at once."""
COLUMNS = (
    "month",
    "hospital",
    "interval",
    "n",
    "median_min",
    "p90_min",
    "target_min",
    "in_time",
    "contradictory",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One interval in one month."""

    month: date
    """Its first day, in Thailand."""
    interval: Interval
    n: int
    median: float
    """Minutes."""
    p90: float
    """Minutes."""
    in_time: int | None
    """How many met the target; None where there is none."""
    contradictory: int
    """How many had times that contradict each other; they count in no other figure."""


def clock_figures(
    session: Session, viewer: Viewer, *, hcode: str | None, first: date, months: int
) -> list[Figure]:
    """Every interval of every month that has one, in order.

    Args:
        session: A session.
        viewer: Who asks; others' hospitals have no figures for them.
        hcode: Only this hospital's studies.
        first: Any day of the first month.
        months: How many, 24 at most.

    Raises:
        BadRequest: too many months.
    """
    if not 1 <= months <= LONGEST:
        raise BadRequest(f"{months} months; it must be 1 to {LONGEST}")
    starts = [add_months(first.replace(day=1), n) for n in range(months + 1)]
    studies = list(_concerned(session, viewer, hcode, starts[0], starts[-1]))
    known = timelines(session, studies)
    spans: dict[tuple[date, str], list[Span]] = defaultdict(list)
    for study in studies:
        month = study.first_received_at.astimezone(THAILAND).date().replace(day=1)
        for span in spans_of(known[study.id]):
            spans[month, span.interval.word].append(span)
    return [
        figure
        for month in starts[:-1]
        for interval in INTERVALS
        if (figure := _figure(month, interval, spans[month, interval.word])) is not None
    ]


def write_csv(figures: Sequence[Figure], *, hcode: str | None) -> str:
    """The figures as a table that a spreadsheet opens."""
    made = io.StringIO()
    table = csv.writer(made, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for each in figures:
        table.writerow(
            [
                f"{each.month:%Y-%m}",
                hcode or "region",
                each.interval.word,
                each.n,
                f"{each.median:.1f}",
                f"{each.p90:.1f}",
                "" if each.interval.minutes is None else each.interval.minutes,
                "" if each.in_time is None else each.in_time,
                each.contradictory,
            ]
        )
    return made.getvalue()


def add_months(month: date, number: int) -> date:
    """The first day of the month so many later, or earlier."""
    count = month.year * 12 + month.month - 1 + number
    return date(count // 12, count % 12 + 1, 1)


def _figure(month: date, interval: Interval, spans: Sequence[Span]) -> Figure | None:
    minutes = [each.minutes for each in spans if each.minutes >= 0]
    if not spans:
        return None
    met = None if interval.minutes is None else sum(each.met is True for each in spans)
    middle, high = (median(minutes), _p90(minutes)) if minutes else (0.0, 0.0)
    return Figure(month, interval, len(minutes), middle, high, met, len(spans) - len(minutes))


def _p90(minutes: Sequence[float]) -> float:
    return quantiles(minutes, n=10, method="inclusive")[-1] if len(minutes) > 1 else minutes[0]


def _concerned(
    session: Session, viewer: Viewer, hcode: str | None, start: date, end: date
) -> Iterator[Study]:
    wanted: list[ColumnElement[bool]] = [visible_to(viewer, Study.hcode), Study.lane == Lane.LIVE, _acute()]
    if hcode is not None:
        wanted.append(Study.hcode == hcode)
    # a place holds the time counted down within its group, so each group is one short range of one index
    low, high = (CLOCK - 1 - milliseconds(_midnight(day) - timedelta(milliseconds=1)) for day in (end, start))
    for group in GROUPS:
        place = Study.place.between(group * CLOCK + low, group * CLOCK + high)
        yield from session.scalars(select(Study).where(place, *wanted))


def _acute() -> ColumnElement[bool]:
    asked = exists().where(
        AuditEntry.study_id == Study.id, AuditEntry.action.in_(("consult.asked", "referral.requested"))
    )
    typed = exists().where(TypedTime.study_id == Study.id)
    return or_(Study.state == StudyState.FLAGGED, asked, typed)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=THAILAND)
