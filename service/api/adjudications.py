"""Adjudications over HTTP: the cases that wait, what was entered so far, and the decision."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from labeling.labels import Label
from model.stroke import StrokeType
from service.adjudication_drafts import (
    adjudication_draft_of,
    drop_adjudication_drafts,
    save_adjudication_draft,
)
from service.adjudications import Dispute, adjudicate, disputes, find_dispute
from service.api.access import LabelReader, Look, Number, Work, note_read
from service.api.bodies import read_whole
from service.api.labels import (
    BRAIN,
    PNG,
    DraftOut,
    MaskOut,
    SliceNumber,
    SlicesOut,
    WindowText,
    images_for,
    keep_sent_mask,
    picture_of,
    plain_slices,
)
from service.api.problems import responses
from service.errors import NotFound
from service.masks import LARGEST, check_masks, masks_of, overlay
from service.reads import parse_label

router = APIRouter(prefix="/api/v1", tags=["labels"], responses=responses(401, 403, 404, 422, 503))


class DisputeOut(BaseModel):
    """A case on which readers differ, with what each said and not who they are."""

    number: int
    disputed: list[StrokeType]
    soft: dict[StrokeType, float]
    reads: list[Label]
    slices: SlicesOut


class AdjudicationIn(BaseModel):
    """What an adjudicator decides."""

    model_config = ConfigDict(extra="forbid")

    label: dict[str, Any]
    comment: str = Field(default="", max_length=2000)


class AdjudicationOut(BaseModel):
    """A decision."""

    number: int
    case: int
    at: datetime


@router.get("/adjudications/{number}/slices/{n}.webp", response_class=Response)
def draw_disputed_slice(
    request: Request,
    number: Number,
    n: SliceNumber,
    viewer: LabelReader,
    session: Look,
    window: WindowText = BRAIN,
) -> Response:
    """Slice N of a case that waits for the viewer as adjudicator."""
    return picture_of(request, session, viewer, find_dispute(session, viewer, number).case.id, n, window)


@router.post("/adjudications/{number}/masks", status_code=201, responses=responses(413), openapi_extra=PNG)
async def keep_disputed_mask(request: Request, number: Number, viewer: LabelReader) -> MaskOut:
    """The same for a case that waits for the viewer as adjudicator."""
    content = await read_whole(request, LARGEST)
    return await run_in_threadpool(keep_sent_mask, request, viewer, number, content, disputed=True)


@router.get("/adjudications")
def list_disputes(request: Request, viewer: LabelReader, session: Look) -> Sequence[DisputeOut]:
    """Cases that wait for the viewer as adjudicator, the oldest first."""
    found = disputes(session, viewer)
    answer = [_dispute_out(request, session, each) for each in found]
    note_read(request, session, viewer, "case.disputes", detail={"cases": [d.case.id for d in found]})
    return answer


@router.get("/adjudications/{number}")
def read_dispute(request: Request, number: Number, viewer: LabelReader, session: Look) -> DisputeOut:
    """One case that waits for the viewer as adjudicator."""
    found = find_dispute(session, viewer, number)
    answer = _dispute_out(request, session, found)
    note_read(request, session, viewer, "case.dispute", study_id=found.case.study_id, detail={"case": number})
    return answer


@router.put("/adjudications/{number}/draft")
def keep_disputed_draft(number: Number, body: dict[str, Any], viewer: LabelReader, session: Work) -> DraftOut:
    """Keep what the viewer has entered so far of a case that waits for them as adjudicator."""
    return DraftOut(saved_at=save_adjudication_draft(session, viewer, number, body).at)


@router.get("/adjudications/{number}/masks/{name}.png", response_class=Response)
def draw_disputed_mask(
    request: Request,
    number: Number,
    name: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    viewer: LabelReader,
    session: Look,
) -> Response:
    """A mask of the viewer's own draft, to be laid over its slice."""
    find_dispute(session, viewer, number)
    draft = adjudication_draft_of(session, viewer, number)
    if draft is None or name not in masks_of(parse_label(draft.label)):
        raise NotFound(f"this draft has no mask {name[:12]}...")
    return Response(overlay(request.app.state.storage, name), media_type="image/png")


@router.post("/adjudications/{number}", status_code=201)
def decide(
    request: Request, number: Number, body: AdjudicationIn, viewer: LabelReader, session: Work
) -> AdjudicationOut:
    """Decide a case on which readers differ."""
    find_dispute(session, viewer, number)
    images = images_for(request, session, number)
    check_masks(parse_label(body.label), request.app.state.storage)
    made = adjudicate(session, viewer, number, body.label, images, comment=body.comment)
    drop_adjudication_drafts(session, number)
    return AdjudicationOut(number=made.id, case=number, at=made.at)


def _dispute_out(request: Request, session: Session, dispute: Dispute) -> DisputeOut:
    return DisputeOut(
        number=dispute.case.id,
        disputed=list(dispute.consensus.disputed),
        soft=dict(dispute.consensus.soft),
        reads=[parse_label(read.label) for read in dispute.reads],
        slices=plain_slices(images_for(request, session, dispute.case.id)),
    )
