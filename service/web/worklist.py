"""The worklist: what to look at next, strokes first; searched by HN or name, never in an address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.api.access import Browser, Look, note_read
from service.errors import NotAllowed
from service.flags import flags_of
from service.hospital_modes import Mode, modes
from service.hospitals import hospital_names
from service.patient_search import find_patients
from service.states import StudyState
from service.studies import Study
from service.web.page import home_of, render, see_other, words_of
from service.web.words import Language
from service.worklist import read_cursor, worklist, write_cursor

router = APIRouter(include_in_schema=False)

PAGE = 50
FILTERS = ("", "flagged", "review", "clear", "refused", "receiving", "failed")
UNREAD = frozenset({StudyState.FLAGGED, StudyState.REVIEW})


@dataclass(frozen=True, slots=True)
class Row:
    """One study as the list shows it."""

    study: Study
    flags: Sequence[StrokeType]
    hospital: str
    name: str
    unread: bool
    silent: bool


@router.get("/")
def show_worklist(
    entry: Browser,
    request: Request,
    session: Look,
    state: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """One page of the list; who has none is led to where their role begins."""
    viewer = entry.chosen()
    if not viewer.may(Permission.READ_STUDIES):
        return see_other(request, home_of(viewer))
    chosen = StudyState(state) if state in FILTERS[1:] else None
    page = worklist(session, viewer, state=chosen, after=read_cursor(after) if after else None, limit=PAGE)
    following = write_cursor(page.next) if page.next else None
    return _show(request, session, viewer, page.studies, state=state, after=following, live=after is None)


@router.post("/search")
def search(
    entry: Browser, request: Request, session: Look, text: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Patients by HN or any part of their name; sent in the body, as addresses are written to logs."""
    viewer = _reader(entry.chosen())
    if not viewer.may(Permission.READ_IDENTITY):
        raise NotAllowed(f"the role {viewer.role.value!r} does not search for patients")
    found = find_patients(session, viewer, text, limit=PAGE)
    return _show(request, session, viewer, found, text=text.strip(), live=False)


def _reader(viewer: Viewer) -> Viewer:
    if not viewer.may(Permission.READ_STUDIES):
        raise NotAllowed(f"the role {viewer.role.value!r} does not include the worklist")
    return viewer


def _show(
    request: Request,
    session: Session,
    viewer: Viewer,
    studies: Sequence[Study],
    *,
    state: str = "",
    text: str = "",
    after: str | None = None,
    live: bool,
) -> Response:
    thai = words_of(request).language is Language.TH
    names = hospital_names(session, thai=thai)
    silent = {hcode for hcode, row in modes(session).items() if row.mode is Mode.SILENT}
    ids = [study.id for study in studies]
    flags = flags_of(session, ids)
    rows = [
        Row(
            study,
            flags[study.id],
            names.get(study.hcode or "", study.hcode or ""),
            study.patient_name.replace("^", " ").replace("=", " · ").strip(),
            study.reviewed_at is None and study.state in UNREAD,
            study.hcode in silent,
        )
        for study in studies
    ]
    note_read(request, session, viewer, "worklist.read", detail={"studies": ids})
    return render(
        request,
        "worklist.html",
        viewer,
        rows=rows,
        named=viewer.may(Permission.READ_IDENTITY),
        unread=sum(row.unread and row.study.state is StudyState.FLAGGED for row in rows),
        filters=FILTERS,
        state=state,
        text=text,
        after=after,
        live=live,
        address=_address,
    )


def _address(**values: Any) -> str:
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/?{query}" if query else "/"
