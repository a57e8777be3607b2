"""From rows to studies: which have arrived, which are still coming in, and who delivered what."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from pacs_gateway import records
from pacs_gateway.announcements import announced
from pacs_gateway.arrivals import (
    ArrivedStudy,
    Ending,
    Narrowing,
    Receipt,
    ReceivedInstance,
    RefusedInstance,
    StudyProgress,
    digest_of,
)
from pacs_gateway.callers import Sender
from pacs_gateway.completion import Announced, Completion, Waiting, judge, kept_word, learned_quiet
from pacs_gateway.identity import read_identity
from pacs_gateway.offers import unpack_offer

PathOf = Callable[[str], Path]
"""Where the file of a sha256 lies."""


@dataclass(frozen=True, slots=True)
class PendingStudy:
    """A study with instances that the hub has not taken, as the index knows it."""

    study_instance_uid: str
    first_at: float
    last_at: float
    senders: tuple[Sender, ...]
    associations: int
    open_associations: int
    quiet_seconds: float
    duplicates: int
    conflicts: int
    announced: Announced | None
    rows: list[Any]

    def verdict(self, now: float) -> Completion | Waiting:
        seconds_quiet = max(0.0, now - self.last_at)
        kept = kept_word(self.announced, open_associations=self.open_associations)
        if kept is None and self.open_associations and seconds_quiet < self.quiet_seconds:
            return Waiting(self.quiet_seconds - seconds_quiet)  # spares unpacking the headers
        return judge(
            [records.unpack_header(row[-1]) for row in self.rows],
            open_associations=self.open_associations,
            associations=self.associations,
            seconds_quiet=seconds_quiet,
            quiet_seconds=self.quiet_seconds,
            announced=self.announced,
        )


def pending_studies(db: Connection) -> list[PendingStudy]:
    """Everything pending, from one snapshot, oldest first."""
    return [_pending(db, uid, first_at, last_at) for uid, first_at, last_at in records.pending_studies(db)]


def _pending(db: Connection, uid: str, first_at: float, last_at: float) -> PendingStudy:
    associations = records.associations_of(db, uid)
    senders = tuple(dict.fromkeys(sender for _, sender, _ in associations))
    duplicates, conflicts = records.totals_of(db, uid)
    return PendingStudy(
        study_instance_uid=uid,
        first_at=first_at,
        last_at=last_at,
        senders=senders,
        associations=len(associations),
        open_associations=sum(is_open for _, _, is_open in associations),
        quiet_seconds=max(learned_quiet(records.gaps_of(db, name_of(sender))) for sender in senders),
        duplicates=duplicates,
        conflicts=conflicts,
        announced=announced(db, uid),
        rows=records.instances_of(db, uid),
    )


def name_of(sender: Sender) -> str:
    """What the pace of a sender is remembered under."""
    return f"{sender.calling_ae}@{sender.address}"


def arrived(study: PendingStudy, completion: Completion, path_of: PathOf) -> ArrivedStudy:
    """The study as it is handed over; identity is read from its first instance."""
    instances = sorted((_instance(row, path_of) for row in study.rows), key=_reading_order)
    present = next((one for one in instances if one.path.exists()), instances[0])
    return ArrivedStudy(
        study_instance_uid=study.study_instance_uid,
        identity=read_identity(present.path, study.senders[0]),
        senders=study.senders,
        instances=tuple(instances),
        duplicates=study.duplicates,
        conflicts=study.conflicts,
        completion=completion,
        first_received_at=moment(study.first_at),
        last_received_at=moment(study.last_at),
        digest=digest_of(one.sha256 for one in instances),
    )


def progress(study: PendingStudy) -> StudyProgress:
    """The study as a worklist shows it while it is coming in."""
    return StudyProgress(
        study_instance_uid=study.study_instance_uid,
        senders=study.senders,
        instances=len(study.rows),
        open_associations=study.open_associations,
        first_received_at=moment(study.first_at),
        last_received_at=moment(study.last_at),
    )


def _instance(row: Any, path_of: PathOf) -> ReceivedInstance:
    sha256, received_at, size, conflict, header = row
    return ReceivedInstance(
        header=records.unpack_header(header),
        path=path_of(sha256),
        size=size,
        sha256=sha256,
        received_at=moment(received_at),
        conflict=bool(conflict),
    )


def _reading_order(instance: ReceivedInstance) -> tuple[int, str, int, str]:
    header = instance.header
    return (
        header.series_number or 0,
        header.series_instance_uid,
        header.instance_number or 0,
        instance.sha256,
    )


_TERMS = {
    "study_instance_uid": "r.study_instance_uid = ?",
    "association_id": "a.id = ?",
    "hcode": "a.hcode = ?",
    "calling_ae": "a.calling_ae = ?",
    "since": "a.opened_at >= ?",
    "until": "a.opened_at < ?",
}


def receipts(
    db: Connection,
    quarantine: Path,
    narrowed: Narrowing,
    *,
    limit: int,
) -> list[Receipt]:
    """Receipts newest association first, narrowed by what is given."""
    terms = {_TERMS[name]: value for name, value in narrowed.items() if value is not None}
    values = tuple(value.timestamp() if isinstance(value, datetime) else value for value in terms.values())
    rows = records.receipt_rows(db, " AND ".join(terms) or "1", values, limit)
    return [_receipt(db, row, quarantine) for row in rows]


def _receipt(db: Connection, row: Any, quarantine: Path) -> Receipt:
    number, *sender, opened_at, closed_at, ending, detail, offer, study = row[:12]
    counts = row[12:]
    refusals = records.refusal_rows(db, number, study) if counts[3] else []
    return Receipt(
        association_id=number,
        sender=Sender(*sender),
        opened_at=moment(opened_at),
        closed_at=None if closed_at is None else moment(closed_at),
        ending=None if ending is None else Ending(ending),
        study_instance_uid=study,
        offered=sum(counts),
        stored=counts[0],
        duplicate=counts[1],
        conflict=counts[2],
        refused=counts[3],
        refusals=tuple(_refusal(refusal, quarantine) for refusal in refusals),
        detail=detail,
        offer=unpack_offer(offer),
    )


def _refusal(row: Any, quarantine: Path) -> RefusedInstance:
    association_id, study, sop_instance_uid, status, reason, quarantined, refused_at = row
    return RefusedInstance(
        association_id=association_id,
        study_instance_uid=study,
        sop_instance_uid=sop_instance_uid,
        status=status,
        reason=reason,
        quarantined=None if quarantined is None else quarantine / quarantined,
        refused_at=moment(refused_at),
    )


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
