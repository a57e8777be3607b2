"""The stroke clock: how long each step takes at a hospital, month by month; and times that people type."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Request, Response

from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.api.clock import year_ago
from service.clock_figures import Figure, add_months, clock_figures
from service.errors import BadRequest
from service.hospitals import find_hospital, hospital_names
from service.milestones import INTERVALS, Interval, Milestone
from service.sight import find_study
from service.thai_time import BUDDHIST_ERA
from service.typed_times import type_time
from service.web.fields import thai_moment
from service.web.page import render, see_other

router = APIRouter(include_in_schema=False)

MONTHS = 12
WIDTH = 240
"""Of a picture, in its own units."""


@dataclass(frozen=True, slots=True)
class Row:
    """One interval: the newest month's figure, and its median month by month."""

    interval: Interval
    newest: Figure
    bars: Sequence[tuple[int, int, int, bool]]
    """x, height, month's place in the year's row, whether the median met the target; a month without patients
    has no bar."""
    line: int | None
    """Height of the target, from below; None where there is none, or it lies above the picture."""


@router.get("/clock")
def show_clock(
    entry: Browser,
    request: Request,
    session: Look,
    hospital: Annotated[str | None, Query(pattern=r"^(\d{5})?$")] = None,
    now: bool = False,
) -> Response:
    """The last twelve months of a hospital, or of all that the viewer may see.

    A whole region takes seconds: its page comes at once, says so, and asks again for the figures (`now`).
    """
    viewer = entry.chosen().must(Permission.READ_STUDIES)
    hcode = hospital or None if viewer.sees_region else viewer.hcode
    if hcode is not None:
        find_hospital(session, hcode)
    first = year_ago()
    waits = hcode is None and not now
    figures = [] if waits else clock_figures(session, viewer, hcode=hcode, first=first, months=MONTHS)
    names = hospital_names(session, thai=True) if viewer.sees_region else {}
    if not waits:
        note_read(request, session, viewer, "clock.read")
    return render(
        request,
        "clock.html",
        viewer,
        rows=_rows(figures),
        months=[add_months(first, n) for n in range(MONTHS)],
        hospital=hcode,
        waits=waits,
        names=names,
        width=WIDTH,
    )


@router.post("/studies/{uid}/times")
def add_time(
    uid: Annotated[str, Path(max_length=64)],
    entry: Browser,
    request: Request,
    session: Work,
    milestone: Annotated[Milestone, Form()],
    day: Annotated[str, Form(max_length=10)] = "",
    clock: Annotated[str, Form(max_length=8)] = "",
) -> Response:
    """Keep a time that somebody typed, in Thailand; without one the earlier entry is taken back."""
    viewer = entry.chosen().must(Permission.READ_IDENTITY)
    at = read_local(day, clock) if day or clock else None
    type_time(session, find_study(session, uid, viewer), viewer, milestone, at)
    return see_other(request, f"/studies/{uid}", flash="time_typed")


def read_local(day: str, clock: str) -> datetime:
    """A day (2026-11-28, or in the Buddhist era 2569-11-28) and a time of day in Thailand, as UTC.

    Raises:
        BadRequest: it is none.
    """
    year, _, rest = day.partition("-")
    christian = int(year) - BUDDHIST_ERA if year.isdecimal() and int(year) > 2400 else year
    try:
        return thai_moment(f"{christian}-{rest}T{clock[:5]}").astimezone(UTC)
    except BadRequest:
        raise BadRequest(f"{day!r} {clock!r} is no time; write it as 2026-11-28 13:05") from None


def _rows(figures: Sequence[Figure]) -> list[Row]:
    rows = []
    for interval in INTERVALS:
        own = [each for each in figures if each.interval.word == interval.word and each.n]
        if own:
            rows.append(_row(interval, own))
    return rows


def _row(interval: Interval, own: Sequence[Figure]) -> Row:
    first = year_ago()
    top = max(max(each.median for each in own), 1.2 * (interval.minutes or 0), 1.0)
    bars = []
    for each in own:
        place = (each.month.year - first.year) * 12 + each.month.month - first.month
        met = interval.minutes is None or each.median <= interval.minutes
        bars.append((place * WIDTH // MONTHS, max(1, round(each.median / top * 40)), place, met))
    line = None if interval.minutes is None else round(interval.minutes / top * 40)
    return Row(interval, own[-1], bars, line)
