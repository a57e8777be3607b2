"""The page of the audit: who saw and changed what, by person, patient, hospital, kind and time.

A patient is looked for by HN, which is sent in a form and never stands in an address.
"""

import csv
import io
import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import Administrator, Look, note_read
from service.audit import AuditEntry, verify_chain
from service.audit_search import FAMILIES, LONGEST_TABLE, Wanted, search_audit, studies_of_hn
from service.case_numbers import case_number
from service.hospitals import hospital_names
from service.spreadsheets import harmless
from service.web.fields import thai_moment
from service.web.page import render, words_of
from service.web.words import Language

PLACE = "/console/audit"
SHOWN = 100
LISTED = 8
router = APIRouter(prefix=PLACE, include_in_schema=False)

Line = Annotated[str, Form(max_length=100)]
Moment = Annotated[str, Form(max_length=20)]


def asked(
    actor: Line = "",
    hn: Line = "",
    hospital: Annotated[str, Form(pattern=r"^(\d{5})?$")] = "",
    what: Annotated[str, Form(max_length=20)] = "",
    since: Moment = "",
    until: Moment = "",
) -> dict[str, str]:
    """The fields of the form as they were sent."""
    return {
        "actor": actor.strip(),
        "hn": hn.strip(),
        "hospital": hospital,
        "what": what if what in FAMILIES else "",
        "since": since,
        "until": until,
    }


Asked = Annotated[dict[str, str], Depends(asked, scope="function")]


@router.get("")
def show_audit(request: Request, viewer: Administrator, session: Look) -> Response:
    """The newest entries, and the form."""
    return _show(request, session, viewer, asked(), None)


@router.post("")
def search(
    request: Request,
    viewer: Administrator,
    session: Look,
    fields: Asked,
    before: Annotated[int | None, Form(ge=1, le=2**53)] = None,
) -> Response:
    """What fits; further ones by the number of the last one seen."""
    return _show(request, session, viewer, fields, before)


@router.post("/table")
def table(request: Request, viewer: Administrator, session: Look, fields: Asked) -> Response:
    """The same as a table that a spreadsheet opens, newest first, at most `LONGEST_TABLE` lines."""
    wanted = _wanted(session, fields)
    found = search_audit(session, wanted, limit=LONGEST_TABLE)
    content = _csv(found)
    note_read(request, session, viewer, "audit.export", detail={"entries": len(found), **wanted.told()})
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/check")
def check(request: Request, viewer: Administrator, session: Look) -> Response:
    """Whether every entry follows from the one before."""
    chain = verify_chain(session)
    return _show(request, session, viewer, asked(), None, chain=chain)


def _show(
    request: Request,
    session: Session,
    viewer: Viewer,
    fields: dict[str, str],
    before: int | None,
    *,
    chain: Any = None,
) -> Response:
    wanted = _wanted(session, fields)
    found = search_audit(session, wanted, before=before, limit=SHOWN + 1)
    shown = found[:SHOWN]
    values: dict[str, Any] = {
        "entries": [
            (each, case_number(each.study_id) if each.study_id else "", _told(each)) for each in shown
        ],
        "fields": fields,
        "families": FAMILIES,
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "next": shown[-1].id if len(found) > SHOWN else None,
        "chain": chain,
        "longest": LONGEST_TABLE,
    }
    page = render(request, "audit.html", viewer, **values)
    action = "audit.verify" if chain else "audit.read"
    note_read(request, session, viewer, action, detail={"entries": len(shown), **wanted.told()})
    return page


def _told(entry: AuditEntry) -> dict[str, str]:
    """What the entry says beside its study; studies that it lists by case number, as the pages name them."""
    told = {}
    for name, value in entry.detail.items():
        if name == "studies" and isinstance(value, list):
            told[name] = ", ".join(case_number(each) for each in value[:LISTED])
            told[name] += f" (+{len(value) - LISTED})" if len(value) > LISTED else ""
        elif value not in (None, "", []):
            told[name] = str(value)
    return told


def _wanted(session: Session, fields: dict[str, str]) -> Wanted:
    return Wanted(
        actor=fields["actor"],
        studies=studies_of_hn(session, fields["hn"], fields["hospital"]) if fields["hn"] else None,
        hcode=fields["hospital"],
        family=fields["what"],
        since=thai_moment(fields["since"]) if fields["since"] else None,
        until=thai_moment(fields["until"]) if fields["until"] else None,
    )


def _csv(entries: Iterable[AuditEntry]) -> str:
    """Numbers, moments in UTC and closed words: no patient is named."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["number", "at", "actor", "action", "case", "detail"])
    for each in entries:
        case = case_number(each.study_id) if each.study_id else ""
        row = [each.id, each.at.isoformat(), each.actor, each.action, case, json.dumps(each.detail)]
        writer.writerow([harmless(cell) for cell in row])
    return text.getvalue()
