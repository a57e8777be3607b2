"""The worklist: what to look at next, strokes first; searched by HN or name, never in an address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.api.access import Browser, Look, note_read
from service.blindness import blind_studies
from service.flags import flags_of
from service.hospital_modes import Mode, modes
from service.hospitals import hospital_names
from service.patient_search import find_patients
from service.saved_views import SavedView, views_of
from service.states import StudyState
from service.studies import Study
from service.web.page import home_of, render, see_other, words_of
from service.web.words import Language
from service.web.worklist_rows import make_row
from service.worklist import read_cursor, worklist, write_cursor

router = APIRouter(include_in_schema=False)

PAGE = 50
ALL = "all"
"""Shows all where the list would else open with a saved view."""
FILTERS = ("", "flagged", "review", "clear", "refused", "receiving", "failed")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the list is shown; an empty word shows all."""

    state: str = ""
    hospital: str = ""
    finding: str = ""

    def address(self, **other: str | None) -> str:
        """Where the list is shown so, but for what is given otherwise."""
        values = {"state": self.state, "hospital": self.hospital, "finding": self.finding, **other}
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/?{query}" if query else "/"


def chosen(
    state: Annotated[str, Query(max_length=20)] = "",
    hospital: Annotated[str, Query(max_length=5)] = "",
    finding: Annotated[str, Query(max_length=24)] = "",
) -> Choice:
    """What the address asks for; what is no filter shows all."""
    return Choice(
        state if state in (*FILTERS[1:], ALL) else "",
        hospital if hospital.isdecimal() else "",
        finding if finding in set(StrokeType) else "",
    )


Chosen = Annotated[Choice, Depends(chosen)]


@router.get("/")
def show_worklist(
    entry: Browser,
    request: Request,
    session: Look,
    choice: Chosen,
    after: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """One page of the list; who has none is led to where their role begins."""
    viewer = entry.chosen()
    if not viewer.may(Permission.READ_STUDIES):
        return see_other(request, home_of(viewer))
    views = views_of(session, entry.account_id)
    first = next((each for each in views if each.opens_first), None)
    if first is not None and not request.query_params:
        choice = Choice(first.state, first.hospital, first.finding)
    page = worklist(
        session,
        viewer,
        hcode=choice.hospital or None,
        state=StudyState(choice.state) if choice.state not in ("", ALL) else None,
        finding=StrokeType(choice.finding) if choice.finding else None,
        after=read_cursor(after) if after else None,
        limit=PAGE,
    )
    following = write_cursor(page.next) if page.next else None
    return _show(
        request,
        session,
        viewer,
        page.studies,
        choice=choice,
        views=views,
        after=following,
        live=after is None,
    )


@router.post("/search")
def search(
    entry: Browser, request: Request, session: Look, text: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Patients by HN or any part of their name; sent in the body, as addresses are written to logs."""
    viewer = entry.chosen().must(Permission.READ_STUDIES).must(Permission.READ_IDENTITY)
    found = find_patients(session, viewer, text, limit=PAGE)
    views = views_of(session, entry.account_id)
    return _show(request, session, viewer, found, views=views, text=text.strip(), live=False)


def _show(
    request: Request,
    session: Session,
    viewer: Viewer,
    studies: Sequence[Study],
    *,
    choice: Choice | None = None,
    views: Sequence[SavedView] = (),
    text: str = "",
    after: str | None = None,
    live: bool,
) -> Response:
    words = words_of(request)
    names = hospital_names(session, thai=words.language is Language.TH)
    silent = {hcode for hcode, row in modes(session).items() if row.mode is Mode.SILENT}
    ids = [study.id for study in studies]
    flags, blind = flags_of(session, ids), len(blind_studies(session, viewer))
    rows = [make_row(each, flags[each.id], names, silent=each.hcode in silent, t=words) for each in studies]
    note_read(request, session, viewer, "worklist.read", detail={"studies": ids})
    return render(
        request,
        # the page that fetches its rows anew has the rest already
        "worklist_rows.html" if "hx-request" in request.headers else "worklist.html",
        viewer,
        rows=rows,
        named=viewer.may(Permission.READ_IDENTITY),
        unread=sum(row.unread and row.state == StudyState.FLAGGED for row in rows),
        filters=FILTERS,
        choice=choice or Choice(),
        all=ALL if any(view.opens_first for view in views) else "",
        views=[(view, Choice(view.state, view.hospital, view.finding)) for view in views],
        hospitals=names if viewer.sees_region else {},
        types=list(StrokeType),
        text=text,
        after=after,
        live=live,
        blind=blind,
    )
