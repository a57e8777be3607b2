"""Labels over HTTP: a reader's next case, blind; drafts, reads, and the adjudicator's queue."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from labeling.completeness import Images
from labeling.labels import Label
from service.accounts import Viewer
from service.adjudications import find_dispute
from service.api.access import LabelReader, Look, Number, Work, note_read
from service.api.bodies import read_whole
from service.api.drawings import drawn_slice
from service.api.problems import responses
from service.assignments import Assignment, find_assignment, next_case, progress
from service.case_images import check_blind, images_of, slices_of
from service.case_keys import open_research_key
from service.cases import Case
from service.db import session_scope
from service.errors import NotFound
from service.masks import LARGEST, check_masks, keep_mask, masks_of, overlay
from service.reads import draft_of, newest_reads, parse_label, save_draft, save_label
from service.studies import Study

PNG = {"requestBody": {"required": True, "content": {"image/png": {}}}}

router = APIRouter(prefix="/api/v1", tags=["labels"], responses=responses(401, 403, 404, 422, 503))


SliceNumber = Annotated[int, Path(ge=1, le=10_000)]
WindowText = Annotated[str, Query(pattern=r"^-?\d{1,4},\d{1,4}$", description="centre,width in HU")]
BRAIN = "40,80"


class SlicesOut(BaseModel):
    """The slices of a case, bottom to top, under pseudonymous UIDs."""

    sop_uids: Sequence[str]
    rows: int
    columns: int


class TurnOut(BaseModel):
    """A read to be made: nothing of hospital, date, AI, other readers, or why it is read."""

    number: int
    done: int
    total: int
    slices: SlicesOut
    draft: Label | None


class DraftOut(BaseModel):
    """What is kept of a read that is not handed in."""

    saved_at: datetime


class ReadOut(BaseModel):
    """A read that was handed in."""

    number: int
    supersedes: int | None
    at: datetime


class MaskOut(BaseModel):
    """A mask that is kept; a region of kind `seg` names it so."""

    mask: str


@router.get("/labels/next", responses={204: {"description": "everything is read"}})
def read_next(request: Request, viewer: LabelReader, session: Look) -> Any:
    """The viewer's next case; 204 when all are read."""
    turn = next_case(session, viewer)
    if turn is None:
        return Response(status_code=204)
    answer = _turn_out(request, session, viewer.username, turn)
    note_read(request, session, viewer, "case.show", study_id=_study(session, turn), detail={"read": turn.id})
    return answer


@router.get("/labels/{number}")
def read_turn(request: Request, number: Number, viewer: LabelReader, session: Look) -> TurnOut:
    """One of the viewer's own cases, read or not."""
    turn = find_assignment(session, viewer, number)
    answer = _turn_out(request, session, viewer.username, turn)
    note_read(request, session, viewer, "case.show", study_id=_study(session, turn), detail={"read": turn.id})
    return answer


@router.get("/labels/{number}/slices/{n}.webp", response_class=Response)
def draw_slice(
    request: Request,
    number: Number,
    n: SliceNumber,
    viewer: LabelReader,
    session: Look,
    window: WindowText = BRAIN,
) -> Response:
    """Slice N from the bottom as a picture of 512 pixels a side: pixels only, nothing of the header."""
    turn = find_assignment(session, viewer, number)
    return picture_of(request, session, viewer, turn.case_id, n, window)


@router.put("/labels/{number}/draft", responses=responses(409))
def keep_draft(number: Number, body: dict[str, Any], viewer: LabelReader, session: Work) -> DraftOut:
    """Keep what was entered so far; it may be incomplete."""
    return DraftOut(saved_at=save_draft(session, viewer, number, body).at)


@router.post("/labels/{number}/masks", status_code=201, responses=responses(413), openapi_extra=PNG)
async def keep_painted(request: Request, number: Number, viewer: LabelReader) -> MaskOut:
    """Keep what was painted onto one slice: a PNG of its size, whose alpha or white is the finding."""
    content = await read_whole(request, LARGEST)
    return await run_in_threadpool(keep_sent_mask, request, viewer, number, content, disputed=False)


@router.get("/labels/{number}/masks/{name}.png", response_class=Response)
def draw_mask(
    request: Request,
    number: Number,
    name: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    viewer: LabelReader,
    session: Look,
) -> Response:
    """A mask of the viewer's own draft or read, to be laid over its slice."""
    turn = find_assignment(session, viewer, number)
    if name not in _own_masks(session, turn):
        raise NotFound(f"this read has no mask {name[:12]}...")
    return Response(overlay(request.app.state.storage, name), media_type="image/png")


@router.post("/labels/{number}", status_code=201, responses=responses(409))
def hand_in(
    request: Request, number: Number, body: dict[str, Any], viewer: LabelReader, session: Work
) -> ReadOut:
    """Hand in a read of the schema r8-ncct-1.0; again corrects it, and both stay."""
    turn = find_assignment(session, viewer, number)
    images = images_for(request, session, turn.case_id)
    check_masks(parse_label(body), request.app.state.storage)
    read = save_label(session, viewer, number, body, images)
    return ReadOut(number=read.id, supersedes=read.supersedes, at=read.at)


def keep_sent_mask(
    request: Request, viewer: Viewer, number: Number, content: bytes, *, disputed: bool
) -> MaskOut:
    """Keep what was painted onto a slice of a read, or of a case that waits for an adjudicator."""
    with session_scope(request.app.state.engine, write=False) as session:
        if disputed:
            case_id = find_dispute(session, viewer, number).case.id
        else:
            case_id = find_assignment(session, viewer, number).case_id
        images = images_for(request, session, case_id)
    storage = request.app.state.storage
    return MaskOut(mask=keep_mask(storage, content, rows=images.rows, columns=images.columns))


def _own_masks(session: Session, turn: Assignment) -> frozenset[str]:
    draft = draft_of(session, turn)
    own = [read.label for read in newest_reads(session, [turn.case_id]) if read.assignment_id == turn.id]
    labels = [*own, *([draft.label] if draft else [])]
    return frozenset().union(*(masks_of(parse_label(label)) for label in labels))


def _turn_out(request: Request, session: Session, reader: str, turn: Assignment) -> TurnOut:
    own = progress(session, reader=reader)[0]
    draft = draft_of(session, turn)
    return TurnOut(
        number=turn.id,
        done=own.done,
        total=own.total,
        slices=plain_slices(images_for(request, session, turn.case_id)),
        draft=parse_label(draft.label) if draft else None,
    )


def picture_of(
    request: Request, session: Session, viewer: Viewer, case_id: int, n: int, window: str
) -> Response:
    """Slice N of a case as a picture, and in the audit."""
    case = session.get_one(Case, case_id)
    study, slices = session.get_one(Study, case.study_id), slices_of(session, case)
    if n > len(slices):
        raise NotFound(f"slice {n} of {len(slices)}")
    check_blind(request.app.state.storage, slices[n - 1])
    series, instance, _ = slices[n - 1]
    centre, width = map(float, window.split(","))
    drawn = drawn_slice(
        session, request.app.state.storage, study, series, instance, window=(centre, max(width, 1.0))
    )
    note_read(request, session, viewer, "case.slice", study_id=study.id, detail={"case": case_id, "slice": n})
    return Response(drawn, media_type="image/webp")


def images_for(request: Request, session: Session, case_id: int) -> Images:
    """The slices of a case, under the pseudonyms that readers see."""
    key = open_research_key(request.app.state.settings)
    return images_of(session, session.get_one(Case, case_id), request.app.state.storage, key)


def plain_slices(images: Images) -> SlicesOut:
    """Slices as JSON."""
    return SlicesOut(sop_uids=images.sop_uids, rows=images.rows, columns=images.columns)


def _study(session: Session, turn: Assignment) -> int:
    return session.get_one(Case, turn.case_id).study_id
