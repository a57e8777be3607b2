"""The reader's page, blind, and the adjudicator's, with what the readers said beside the same form."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from labeling.completeness import NEEDS_EXTENT
from labeling.labels import (
    KINDS,
    Age,
    Issue,
    Label,
    Presence,
    Region,
    RoiKind,
    Territory,
    Triage,
    Vessel,
    findings_of,
)
from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.adjudication_drafts import adjudication_draft_of
from service.adjudications import disputes
from service.api.access import Browser, Look, Number, note_read
from service.api.caution import WITH_VIEWER
from service.assignments import Assignment, find_assignment, next_case, progress
from service.case_images import images_of, thickness_of
from service.case_keys import open_research_key
from service.cases import Case
from service.reading_copies import Desk
from service.reads import draft_of, dump_label, newest_reads, parse_label
from service.viewer import PREFIX
from service.web.page import render

router = APIRouter(include_in_schema=False)

SITES = (
    "basal_ganglia",
    "thalamus",
    "frontal",
    "parietal",
    "temporal",
    "occipital",
    "cerebellum",
    "brainstem",
)
"""Of blood; a read names one with its side, such as L_basal_ganglia."""
OTHERS = ("tumour", "fracture")
SIDES = ("R", "L")
"""As one looks at the patient: the right side is on the left of the picture."""


class Spot(NamedTuple):
    """Where a region of ASPECTS is drawn on the patient's left, in a head of 100 x 130 about (0, 0)."""

    region: Region
    level: int
    """0 at the ganglia, 1 above them."""
    x: int
    y: int
    rx: int
    ry: int


class Said(NamedTuple):
    """One reader's read beside another's."""

    letter: str
    label: Label
    findings: Mapping[StrokeType, Presence]
    extents: Mapping[StrokeType, tuple[int, int]]
    """First and last slice by number, from the bottom."""
    marked: Sequence[int]
    """Slices that are called telling, or have something drawn on them."""
    draft: Mapping[str, Any]
    """The read as the beginning of a decision; what was painted stays the reader's."""


SPOTS = (
    Spot(Region.C, 0, 10, -27, 7, 9),
    Spot(Region.L, 0, 20, 0, 6, 13),
    Spot(Region.IC, 0, 8, 4, 5, 15),
    Spot(Region.I, 0, 32, 0, 5, 15),
    Spot(Region.M1, 0, 31, -34, 11, 11),
    Spot(Region.M2, 0, 44, 0, 7, 17),
    Spot(Region.M3, 0, 30, 34, 12, 12),
    Spot(Region.M4, 1, 24, -32, 13, 14),
    Spot(Region.M5, 1, 32, 1, 13, 15),
    Spot(Region.M6, 1, 25, 34, 13, 14),
)


@router.get("/label")
def show_next(entry: Browser, request: Request, session: Look) -> Response:
    """The next case of the reader's own list, or that all are read."""
    viewer = entry.chosen().must(Permission.LABEL)
    return _show(request, session, viewer, next_case(session, viewer))


@router.get("/label/{number}")
def show_one(number: Number, entry: Browser, request: Request, session: Look) -> Response:
    """One of the reader's own cases, to be read or corrected."""
    viewer = entry.chosen().must(Permission.LABEL)
    return _show(request, session, viewer, find_assignment(session, viewer, number))


@router.get("/adjudicate")
def show_dispute(entry: Browser, request: Request, session: Look) -> Response:
    """The oldest case on which readers differ and that waits for the viewer; not who they are."""
    viewer = entry.chosen().must(Permission.LABEL)
    waiting = disputes(session, viewer)
    if not waiting:
        return render(
            request, "label.html", viewer, form=None, own=None, title="adjudicate.title", left=0, waiting=0
        )
    case = waiting[0].case
    form = _form_of(request, Desk.ADJUDICATIONS, case.id) | {"next": "/adjudicate", "judges": True}
    draft = adjudication_draft_of(session, viewer, case.id)
    entered = draft.label if draft else {}
    values = _form(request, session, case)
    uids = values["images"].sop_uids
    said = [
        _said(letter, parse_label(read.label), uids)
        for letter, read in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", waiting[0].reads, strict=False)
    ]
    spoken_of = [kind for kind in StrokeType if any(kind in each.findings for each in said)]
    values |= {"disputed": waiting[0].consensus.disputed, "said": said, "spoken_of": spoken_of}
    note_read(request, session, viewer, "case.dispute", study_id=case.study_id, detail={"case": case.id})
    heading: dict[str, Any] = {"title": "adjudicate.title", "own": None, "left": len(waiting), "waiting": 0}
    return _with_viewer(
        render(request, "label.html", viewer, form=form, entered=entered, **heading, **values)
    )


def _show(request: Request, session: Session, viewer: Viewer, turn: Assignment | None) -> Response:
    own = progress(session, reader=viewer.username)
    mine, waiting = own[0] if own else None, len(disputes(session, viewer))
    heading: dict[str, Any] = {"title": "label.title", "own": mine, "left": None, "waiting": waiting}
    if turn is None:
        return render(request, "label.html", viewer, form=None, **heading)
    case = session.get_one(Case, turn.case_id)
    form = _form_of(request, Desk.LABELS, turn.id) | {"next": "/label", "judges": False}
    values, entered = _form(request, session, case), _entered(session, turn)
    note_read(request, session, viewer, "case.show", study_id=case.study_id, detail={"read": turn.id})
    return _with_viewer(
        render(request, "label.html", viewer, form=form, entered=entered, **heading, **values)
    )


def _form_of(request: Request, desk: Desk, number: Number) -> dict[str, Any]:
    """Where the form sends to, and where OHIF lies for it; empty where the hub has none."""
    installed = (request.app.state.settings.viewer / "index.html").is_file()
    place = f"{desk.value}/{number}"
    return {"api": f"/api/v1/{place}", "viewer": f"{PREFIX}/{place}" if installed else ""}


def _said(letter: str, label: Label, uids: Sequence[str]) -> Said:
    at = {uid: number for number, uid in enumerate(uids, 1)}
    marks = {*label.key_slices, *(each.sop_uid for each in label.rois)}
    drawn = tuple(each for each in label.rois if each.kind is not RoiKind.MASK)
    return Said(
        letter,
        label,
        findings_of(label),
        {each.finding: (at.get(each.first, 0), at.get(each.last, 0)) for each in label.extents},
        sorted(at[uid] for uid in marks if uid in at),
        dump_label(replace(label, rois=drawn)),
    )


def _with_viewer(page: Response) -> Response:
    page.headers.update(WITH_VIEWER)
    return page


def _form(request: Request, session: Session, case: Case) -> dict[str, Any]:
    """What the form is made of."""
    key = open_research_key(request.app.state.settings)
    storage = request.app.state.storage
    return {
        "images": images_of(session, case, storage, key),
        "thick_mm": thickness_of(session, case, storage),
        "ages": list(Age),
        "sites": SITES,
        "others": OTHERS,
        "kinds": KINDS,
        "extents": [kind.value for kind in StrokeType if kind in NEEDS_EXTENT],
        "territories": list(Territory),
        "vessels": list(Vessel),
        "issues": list(Issue),
        "triages": list(Triage),
        "spots": SPOTS,
        "sides": SIDES,
        "disputed": (),
        "said": (),
        "spoken_of": (),
    }


def _entered(session: Session, turn: Assignment) -> dict[str, Any]:
    """The draft, else the read that was handed in, else nothing."""
    if draft := draft_of(session, turn):
        return draft.label
    handed_in = [read for read in newest_reads(session, [turn.case_id]) if read.assignment_id == turn.id]
    return handed_in[-1].label if handed_in else {}
