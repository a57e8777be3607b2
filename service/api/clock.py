"""The stroke clock over HTTP: one patient's times, what people type of them, and a hospital's figures."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel

from service.api.access import IdentityReader, Look, Reader, Work, note_read
from service.api.problems import responses
from service.clock_figures import Figure, add_months, clock_figures, write_csv
from service.db import now
from service.milestones import Milestone
from service.sight import find_study
from service.thai_time import THAILAND
from service.timeline import Source, spans_of, timeline_of
from service.typed_times import type_time

router = APIRouter(prefix="/api/v1", tags=["clock"], responses=responses(401, 403, 422))

Uid = Annotated[str, Path(max_length=64, description="Study Instance UID")]
Hospital = Annotated[str | None, Query(pattern=r"^\d{5}$")]
First = Annotated[date | None, Query(description="any day of the first month; else a year ago")]
Months = Annotated[int, Query(ge=1, le=24)]


class MomentOut(BaseModel):
    """One milestone."""

    milestone: Milestone
    at: datetime
    source: Source
    by: str


class SpanOut(BaseModel):
    """From one milestone to another, in minutes."""

    interval: str
    minutes: float
    target: int | None
    met: bool | None


class TimelineOut(BaseModel):
    """What is known of one study."""

    moments: list[MomentOut]
    intervals: list[SpanOut]


class TypedIn(BaseModel):
    """A time that the hub cannot know; without `at` the earlier entry is taken back."""

    milestone: Milestone
    at: AwareDatetime | None


class FigureOut(BaseModel):
    """One interval in one month, in minutes."""

    month: date
    interval: str
    n: int
    median: float
    p90: float
    target: int | None
    in_time: int | None
    contradictory: int


@router.get("/studies/{uid}/timeline", responses=responses(404))
def read_timeline(uid: Uid, request: Request, viewer: Reader, session: Look) -> TimelineOut:
    """What happened to the patient when, as far as the hub knows."""
    study = find_study(session, uid, viewer)
    timeline = timeline_of(session, study)
    answer = TimelineOut(
        moments=[MomentOut.model_validate(each, from_attributes=True) for each in timeline.values()],
        intervals=[
            SpanOut(
                interval=each.interval.word,
                minutes=round(each.minutes, 1),
                target=each.interval.minutes,
                met=each.met,
            )
            for each in spans_of(timeline)
        ],
    )
    note_read(request, session, viewer, "timeline.read", study_id=study.id)
    return answer


@router.post("/studies/{uid}/times", status_code=201, responses=responses(404))
def add_time(uid: Uid, body: TypedIn, viewer: IdentityReader, session: Work) -> TypedIn:
    """Say when something was that the hub cannot know, or that it is not known after all."""
    type_time(session, find_study(session, uid, viewer), viewer, body.milestone, body.at)
    return body


@router.get("/clock")
def read_clock(
    request: Request,
    viewer: Reader,
    session: Look,
    hospital: Hospital = None,
    first: First = None,
    months: Months = 12,
) -> list[FigureOut]:
    """Median and p90 of every interval by month: of the hospital, or of all that the viewer may see."""
    figures = clock_figures(session, viewer, hcode=hospital, first=first or year_ago(), months=months)
    note_read(request, session, viewer, "clock.read")
    return [_out(each) for each in figures]


@router.get(
    "/clock.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "The figures"}},
)
def read_clock_csv(
    request: Request,
    viewer: Reader,
    session: Look,
    hospital: Hospital = None,
    first: First = None,
    months: Months = 12,
) -> Response:
    """The same as a table."""
    figures: Sequence[Figure] = clock_figures(
        session, viewer, hcode=hospital, first=first or year_ago(), months=months
    )
    note_read(request, session, viewer, "clock.read")
    text = write_csv(figures, hcode=hospital or viewer.hcode)
    return Response("\ufeff" + text, media_type="text/csv; charset=utf-8")  # the mark tells Excel of UTF-8


def year_ago() -> date:
    """The first day of the month eleven before this one."""
    return add_months(now().astimezone(THAILAND).date(), -11)


def _out(figure: Figure) -> FigureOut:
    return FigureOut(
        month=figure.month,
        interval=figure.interval.word,
        n=figure.n,
        median=round(figure.median, 1),
        p90=round(figure.p90, 1),
        target=figure.interval.minutes,
        in_time=figure.in_time,
        contradictory=figure.contradictory,
    )
