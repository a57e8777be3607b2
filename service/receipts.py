"""Receipts: what each hospital's machines offered, and what became of it; read from the gateway's inbox."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pacs_gateway.arrivals import Receipt
from pacs_gateway.inbox import Inbox
from service.accounts import Viewer
from service.spreadsheets import harmless

READ_AT_MOST = 10_000
"""Receipts looked through for one answer: the inbox knows senders, not who may see them."""

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
)


def receipts(
    inbox: Inbox,
    viewer: Viewer,
    *,
    study_instance_uid: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Receipt]:
    """What was received, newest first, of the viewer's own hospital or of the region."""
    found = inbox.receipts(study_instance_uid=study_instance_uid, since=since, limit=READ_AT_MOST)
    return [each for each in found if _visible(viewer, each)][:limit]


def receipt_columns(receipt: Receipt) -> dict[str, Any]:
    """A receipt as plain values, without the paths of quarantined files."""
    return {
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


def receipts_csv(found: Sequence[Receipt]) -> str:
    """Receipts as a table that a spreadsheet opens; the refusals of a receipt share one cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for receipt in found:
        columns = receipt_columns(receipt)
        columns["refusals"] = "; ".join(f"{each['status']} {each['reason']}" for each in columns["refusals"])
        writer.writerow({name: harmless(value) for name, value in columns.items()})
    return text.getvalue()


def _visible(viewer: Viewer, receipt: Receipt) -> bool:
    return viewer.sees_region or (viewer.hcode is not None and receipt.sender.hcode == viewer.hcode)
