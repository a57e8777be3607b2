"""The worklist: studies in the order in which they should be looked at, a page at a time."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, select, true, tuple_, union_all
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Viewer, visible_to
from service.blindness import blind_studies
from service.errors import BadRequest
from service.flags import StudyFlag
from service.grants import granted_studies
from service.states import CLOCK, GROUPS, StudyState, milliseconds
from service.studies import Study

LONGEST_PAGE = 200

Cursor = tuple[int, int]
"""The place and the number of the last study of a page."""


@dataclass(frozen=True, slots=True)
class WorklistPage:
    """Studies in order, and where the next page starts."""

    studies: Sequence[Study]
    next: Cursor | None


def worklist(
    session: Session,
    viewer: Viewer,
    *,
    hcode: str | None = None,
    state: StudyState | None = None,
    finding: StrokeType | None = None,
    since: datetime | None = None,
    after: Cursor | None = None,
    limit: int = 50,
) -> WorklistPage:
    """One page of what `viewer` may see: unread flags first, then abstentions, then all else; newest first.

    Args:
        session: A session.
        viewer: Who asks.
        hcode: Only this hospital's.
        state: Only studies in this state; superseded ones are shown only when asked for.
        finding: Only studies on which this stroke type stands flagged.
        since: Only studies whose first slice arrived then or later.
        after: The `next` of the page before.
        limit: Studies a page, 200 at most.
    """
    limit = max(1, min(limit, LONGEST_PAGE))
    wanted = _conditions(hcode=hcode, state=state, finding=finding)
    parts = [
        select(place, number)
        .where(
            seen, place.between(*each), true() if after is None else tuple_(place, number) > tuple_(*after)
        )
        .order_by(place, number)
        .limit(limit + 1)
        for seen, place, number in _sights(viewer, wanted, finding)
        for each in _ranges(state, since, after)
    ]
    return _page(session, viewer, sorted(_cursors(session, parts)), limit)


def _sights(
    viewer: Viewer, wanted: ColumnElement[bool], finding: StrokeType | None
) -> Iterator[tuple[ColumnElement[bool], ColumnElement[int], ColumnElement[int]]]:
    """The hospital's own studies and those it was shown: a condition each, with the place and the number.

    Apart, because with OR between them a database reads neither in order. What was shown is little: each is
    looked up by its number, lest the places of the whole region be read in search of them.
    """
    table, number = (Study, Study.id) if finding is None else (StudyFlag, StudyFlag.study_id)
    yield visible_to(viewer, table.hcode) & wanted, table.place.expression, number.expression
    if viewer.hcode is None or viewer.sees_region:
        return
    others = wanted & (table.hcode != viewer.hcode)
    granted = granted_studies(viewer.hcode).subquery()
    place = select(table.place).where(number == granted.c.study_id, others).scalar_subquery()
    shown = select(place.label("place"), granted.c.study_id).distinct().subquery()
    yield shown.c.place.is_not(None), shown.c.place, shown.c.study_id


def _conditions(
    *, hcode: str | None, state: StudyState | None, finding: StrokeType | None
) -> ColumnElement[bool]:
    table = Study if finding is None else StudyFlag
    conditions: list[ColumnElement[bool]] = [true()]
    if hcode is not None:
        conditions.append(table.hcode == hcode)
    if state is not None:
        conditions.append(table.state == state)
    if finding is not None:
        conditions.append(StudyFlag.stroke_type == finding)
    return and_(*conditions)


def _cursors(session: Session, parts: Sequence[Select[int, int]]) -> Iterator[Cursor]:
    # Each part reads one stretch of an index and stops; sorting across parts would read every match.
    if not parts:
        return
    query = parts[0] if len(parts) == 1 else union_all(*(select(part.subquery()) for part in parts))
    yield from session.execute(query)


def _page(session: Session, viewer: Viewer, cursors: Sequence[Cursor], limit: int) -> WorklistPage:
    if not cursors:
        return WorklistPage((), None)
    shown = cursors[:limit]
    found = {
        study.id: study
        for study in session.scalars(select(Study).where(Study.id.in_([number for _, number in shown])))
    }
    hidden = blind_studies(session, viewer)
    studies = [found[number] for _, number in shown if number not in hidden]
    return WorklistPage(studies, shown[-1] if len(cursors) > limit else None)


def _ranges(
    state: StudyState | None, since: datetime | None, after: Cursor | None
) -> Iterator[tuple[int, int]]:
    """The ranges of places to read, in order; `since` cuts each group short, as each counts time down."""
    groups = range(GROUPS.stop + 4) if state is StudyState.SUPERSEDED else GROUPS
    start = 0 if after is None else after[0]
    if since is None:
        yield start, groups.stop * CLOCK - 1
        return
    oldest = CLOCK - 1 - milliseconds(since)
    for group in groups:
        low, high = max(group * CLOCK, start), group * CLOCK + oldest
        if low <= high:
            yield low, high


def count_by_state(session: Session) -> dict[str, int]:
    """How many studies are in each state, the empty ones included."""
    found = {
        state.value: number
        for state, number in session.execute(select(Study.state, func.count()).group_by(Study.state))
    }
    return {state.value: found.get(state.value, 0) for state in StudyState}


def write_cursor(cursor: Cursor) -> str:
    """A cursor as text that an address may hold."""
    return base64.urlsafe_b64encode(f"{cursor[0]}.{cursor[1]}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """The cursor that `write_cursor` wrote.

    Raises:
        BadRequest: it is none.
    """
    try:
        place, number = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(".")
        cursor = int(place), int(number)
    except (ValueError, binascii.Error):
        raise BadRequest("`after` must be the `next` of an earlier page") from None
    if not all(0 <= each < 1 << 62 for each in cursor):
        raise BadRequest("`after` must be the `next` of an earlier page")
    return cursor
