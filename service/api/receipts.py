"""GET receipts: what a hospital's machines sent, and why anything was refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from service.api.access import Look, ReceiptReader, note_read
from service.api.problems import responses
from service.receipts import receipt_columns, receipts, receipts_csv

router = APIRouter(prefix="/api/v1", tags=["receipts"], responses=responses(401, 403, 422, 503))

StudyUid = Annotated[str | None, Query(max_length=64)]
Since = Annotated[AwareDatetime | None, Query(description="association opened then or later")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/receipts")
def list_receipts(
    request: Request,
    viewer: ReceiptReader,
    session: Look,
    study: StudyUid = None,
    since: Since = None,
    limit: Limit = 100,
) -> dict[str, list[dict[str, Any]]]:
    """What was offered, stored, already there, in conflict or refused; newest first."""
    found = receipts(request.app.state.inbox(), viewer, study_instance_uid=study, since=since, limit=limit)
    note_read(request, session, viewer, "receipts.read", detail={"receipts": len(found)})
    return {"receipts": [receipt_columns(each) for each in found]}


@router.get(
    "/receipts.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "The same as a table"}},
)
def list_receipts_csv(
    request: Request,
    viewer: ReceiptReader,
    session: Look,
    study: StudyUid = None,
    since: Since = None,
    limit: Limit = 1000,
) -> Response:
    """The same as a table that a spreadsheet opens."""
    found = receipts(request.app.state.inbox(), viewer, study_instance_uid=study, since=since, limit=limit)
    note_read(request, session, viewer, "receipts.read", detail={"receipts": len(found)})
    headers = {"Content-Disposition": 'attachment; filename="receipts.csv"'}
    return Response(receipts_csv(found), media_type="text/csv", headers=headers)
