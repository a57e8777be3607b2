"""Receipts: what each hospital's machines offered, and what became of it; read from the gateway's inbox."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from pacs_gateway.arrivals import Receipt
from pacs_gateway.inbox import Inbox
from pacs_gateway.verdict import StudyVerdict
from service.accounts import Viewer
from service.spreadsheets import harmless
from service.thai_time import THAILAND

COLUMNS = (
    "association_id",
    "calling_ae",
    "called_ae",
    "address",
    "hospital",
    "opened_at",
    "closed_at",
    "ending",
    "detail",
    "certificate",
    "study_instance_uid",
    "offered",
    "stored",
    "duplicate",
    "conflict",
    "refused",
    "refusals",
    "complete",
    "verdict",
    "verdict_text",
    "missing",
    "expected",
    "contexts_offered",
    "contexts_rejected",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which receipts somebody asked for; None narrows nothing."""

    study: str | None = None
    hospital: str | None = None
    sender: str | None = None
    """Calling AE title."""
    day: date | None = None
    """On which the association was opened, by Thailand's clocks."""
    since: datetime | None = None
    limit: int = 100


def receipts(inbox: Inbox, viewer: Viewer, asked: Asked) -> list[Receipt]:
    """What was received, newest first, of the viewer's own hospital or of the region."""
    hcode = asked.hospital
    if not viewer.sees_region:
        if viewer.hcode is None or asked.hospital not in (None, viewer.hcode):
            return []
        hcode = viewer.hcode
    since, until = asked.since, None
    if asked.day is not None:
        begin = datetime.combine(asked.day, time(), THAILAND)
        since, until = max(begin, asked.since or begin), begin + timedelta(days=1)
    return inbox.receipts(
        study_instance_uid=asked.study,
        hcode=hcode,
        calling_ae=asked.sender,
        since=since,
        until=until,
        limit=asked.limit,
    )


def with_verdicts(inbox: Inbox, found: Sequence[Receipt]) -> list[dict[str, Any]]:
    """Receipts as plain values, each with what is said of its study as a whole."""
    verdicts = {uid: inbox.verdict(uid) for uid in {each.study_instance_uid for each in found} if uid}
    return [receipt_columns(each, verdicts.get(each.study_instance_uid)) for each in found]


def receipt_columns(receipt: Receipt, verdict: StudyVerdict | None) -> dict[str, Any]:
    """A receipt as plain values, without the paths of quarantined files."""
    return {
        "complete": None if verdict is None else verdict.complete,
        "verdict": None if verdict is None else verdict.code.value,
        "verdict_text": "" if verdict is None else verdict.text,
        "missing": [] if verdict is None else list(verdict.missing),
        "expected": None if verdict is None else verdict.expected,
        "contexts_offered": len(receipt.offer),
        "contexts_rejected": [
            {"abstract_syntax": each.abstract_syntax, "name": each.name}
            for each in receipt.offer
            if not each.accepted
        ],
        "association_id": receipt.association_id,
        "calling_ae": receipt.sender.calling_ae,
        "called_ae": receipt.sender.called_ae,
        "address": receipt.sender.address,
        "hospital": receipt.sender.hcode,
        "opened_at": receipt.opened_at.isoformat(),
        "closed_at": receipt.closed_at.isoformat() if receipt.closed_at else None,
        "ending": receipt.ending.value if receipt.ending else None,
        "detail": receipt.detail,
        "certificate": receipt.sender.certificate,
        "study_instance_uid": receipt.study_instance_uid,
        "offered": receipt.offered,
        "stored": receipt.stored,
        "duplicate": receipt.duplicate,
        "conflict": receipt.conflict,
        "refused": receipt.refused,
        "refusals": [
            {
                "sop_instance_uid": each.sop_instance_uid,
                "status": f"0x{each.status:04X}",
                "reason": each.reason,
                "refused_at": each.refused_at.isoformat(),
            }
            for each in receipt.refusals
        ],
    }


def receipts_csv(found: Sequence[dict[str, Any]]) -> str:
    """The rows of `with_verdicts` as a table that a spreadsheet opens; the refusals of one share a cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in found:
        columns = dict(row)
        columns["refusals"] = "; ".join(f"{each['status']} {each['reason']}" for each in row["refusals"])
        columns["missing"] = "; ".join(row["missing"])
        columns["contexts_rejected"] = "; ".join(each["name"] for each in row["contexts_rejected"])
        writer.writerow({name: harmless(value) for name, value in columns.items()})
    return text.getvalue()
