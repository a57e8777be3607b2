"""GET receipts: what a hospital's machines sent, why anything was refused, and whether a study came whole."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime

from service.api.access import Look, ReceiptReader, note_read
from service.api.problems import responses
from service.receipts import Asked, receipts, receipts_csv, with_verdicts

router = APIRouter(prefix="/api/v1", tags=["receipts"], responses=responses(401, 403, 422, 503))

StudyUid = Annotated[str | None, Query(max_length=64)]
Hospital = Annotated[str | None, Query(max_length=9, description="hospital code")]
Sender = Annotated[str | None, Query(max_length=16, description="calling AE title")]
Day = Annotated[date | None, Query(description="day in Thailand on which the association was opened")]
Since = Annotated[AwareDatetime | None, Query(description="association opened then or later")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def what_is_asked(
    study: StudyUid = None,
    hospital: Hospital = None,
    sender: Sender = None,
    day: Day = None,
    since: Since = None,
    limit: Limit = 100,
) -> Asked:
    """The query of both routes."""
    return Asked(study=study, hospital=hospital, sender=sender, day=day, since=since, limit=limit)


Wanted = Annotated[Asked, Depends(what_is_asked)]


def _read(request: Request, viewer: ReceiptReader, session: Look, asked: Asked) -> list[dict[str, Any]]:
    inbox = request.app.state.inbox()
    found = with_verdicts(inbox, receipts(inbox, viewer, asked))
    note_read(request, session, viewer, "receipts.read", detail={"receipts": len(found)})
    return found


@router.get("/receipts")
def list_receipts(
    request: Request, viewer: ReceiptReader, session: Look, asked: Wanted
) -> dict[str, list[dict[str, Any]]]:
    """What was offered, stored, already there, in conflict or refused, with a verdict; newest first."""
    return {"receipts": _read(request, viewer, session, asked)}


@router.get(
    "/receipts.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "The same as a table"}},
)
def list_receipts_csv(request: Request, viewer: ReceiptReader, session: Look, asked: Wanted) -> Response:
    """The same as a table that a spreadsheet opens."""
    headers = {"Content-Disposition": 'attachment; filename="receipts.csv"'}
    return Response(
        receipts_csv(_read(request, viewer, session, asked)), media_type="text/csv", headers=headers
    )
