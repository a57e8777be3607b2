"""The receipts page: what a hospital's machines sent, what became of it, and whether a study came whole."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from service.api.access import Look, ReceiptReader, note_read
from service.errors import BadRequest
from service.hospitals import hospital_names
from service.receipts import Asked, receipts, with_verdicts
from service.web.page import render, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

PAGE = 100


@dataclass(frozen=True, slots=True)
class Row:
    """What one association brought of one study, as the page shows it."""

    receipt: dict[str, Any]
    """As `service.receipts.receipt_columns` tells it; without any patient."""
    opened_at: datetime
    hospital: str
    reasons: Sequence[tuple[str, int]]
    """Why instances were refused, each once with its count, the most frequent first."""


@router.get("/receipts")
def show_receipts(
    request: Request,
    viewer: ReceiptReader,
    session: Look,
    day: Annotated[str, Query(max_length=10)] = "",
    sender: Annotated[str, Query(max_length=16)] = "",
) -> Response:
    """The newest receipts, of one day or one sender where asked; an empty field narrows nothing."""
    asked = Asked(day=_day(day), sender=sender.strip() or None, limit=PAGE)
    thai = words_of(request).language is Language.TH
    names = hospital_names(session, thai=thai)
    inbox = request.app.state.inbox()
    rows = [_row(each, names) for each in with_verdicts(inbox, receipts(inbox, viewer, asked))]
    note_read(request, session, viewer, "receipts.read", detail={"receipts": len(rows)})
    query = urlencode({name: value for name, value in (("day", day), ("sender", sender.strip())) if value})
    return render(
        request,
        "receipts.html",
        viewer,
        rows=rows,
        day=day,
        sender=sender,
        table=f"/api/v1/receipts.csv?{query}" if query else "/api/v1/receipts.csv",
        narrowed=bool(query),
        full=len(rows) == PAGE,
    )


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is no day; write it as 2026-11-22") from error


def _row(receipt: dict[str, Any], names: dict[str, str]) -> Row:
    hcode = receipt["hospital"] or ""
    return Row(
        receipt,
        datetime.fromisoformat(receipt["opened_at"]),
        names.get(hcode, hcode),
        Counter(each["reason"] for each in receipt["refusals"]).most_common(),
    )
