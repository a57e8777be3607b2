"""Batches of cases over HTTP: a CSV in, what became of every row out, and the empty CSV to start from."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from labeling.batch import template
from service.api.access import Bringer
from service.api.bodies import read_whole
from service.api.problems import responses
from service.case_batches import LARGEST, RowOutcome, admit_batch
from service.case_keys import open_research_key
from service.case_states import CaseState

router = APIRouter(prefix="/api/v1/cases", tags=["cases"], responses=responses(401, 403, 413, 422, 503))

CSV = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


class RowOut(BaseModel):
    """What became of one row; either case and state, or code and reasons."""

    row: int
    """As the spreadsheet counts: the header is row 1."""
    study: str
    case: int | None = None
    state: CaseState | None = None
    code: str | None = None
    th: str | None = None
    en: str | None = None


class BatchOut(BaseModel):
    """What became of a batch."""

    accepted: int
    refused: int
    kept: bool
    """False where it was only checked."""
    rows: Sequence[RowOut]


@router.get("/batch.csv", response_class=Response)
def read_template(viewer: Bringer) -> Response:
    """The empty batch: its header names the columns."""
    headers = {"Content-Disposition": 'attachment; filename="cases.csv"'}
    return Response(template(), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/batch", openapi_extra=CSV)
async def offer_batch(
    request: Request,
    viewer: Bringer,
    check: Annotated[bool, Query(description="say what would become of it, and keep nothing")] = False,
) -> BatchOut:
    """Answer for many studies at once; every row is screened at once, or has its reason."""
    content = await read_whole(request, LARGEST)
    app = request.app.state
    key = await run_in_threadpool(open_research_key, app.settings)
    found = await run_in_threadpool(admit_batch, app.engine, viewer, content, key, only_check=check)
    return batch_out(found, kept=not check)


def batch_out(outcomes: Sequence[RowOutcome], *, kept: bool) -> BatchOut:
    """What is answered."""
    rows = [
        RowOut(
            row=each.number,
            study=each.study_instance_uid,
            case=None if not kept else each.case,
            state=each.state,
            code=each.fault.code if each.fault else None,
            th=each.fault.text.th if each.fault else None,
            en=each.fault.text.en if each.fault else None,
        )
        for each in outcomes
    ]
    refused = sum(each.code is not None for each in rows)
    return BatchOut(accepted=len(rows) - refused, refused=refused, kept=kept, rows=rows)
