"""The self-test lane: an inbox of its own for whoever calls IMAGINGHUBTEST, and what each trial showed.

The hub never looks into it, so nothing of a trial reaches a worklist; it is emptied after a day.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from pacs_gateway import records
from pacs_gateway.arrivals import Ending, Receipt
from pacs_gateway.callers import Sender
from pacs_gateway.commitments import CommitmentRequest
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.identity import Identity, read_identity
from pacs_gateway.inbox import Inbox
from pacs_gateway.offers import Offer

TRIAL_AE_TITLE = "IMAGINGHUBTEST"
KEPT = timedelta(hours=24)
RECEIPTS_READ = 2000


@dataclass(frozen=True, slots=True)
class Trial:
    """One study that somebody pushed to try the link, or one association that brought none."""

    number: int
    """Of its first association."""
    sender: Sender
    opened_at: datetime
    closed_at: datetime | None
    """None while an association is open."""
    endings: tuple[Ending, ...]
    details: tuple[str, ...]
    offer: Offer
    study_instance_uid: str
    associations: int
    stored: int
    duplicate: int
    conflict: int
    refused: int
    reasons: tuple[str, ...]
    """Why instances were refused, each once."""
    headers: tuple[InstanceHeader, ...]
    identity: Identity | None
    commitments: tuple[CommitmentRequest, ...]
    """Storage commitment that was asked of the test lane by this machine, newest first."""
    megabytes: float
    """Of what was offered and not refused."""
    seconds: float
    """From opening the first association to the last instance or the end."""

    @property
    def offered(self) -> int:
        """Instances offered."""
        return self.stored + self.duplicate + self.conflict + self.refused


class TrialInbox(Inbox):
    """The lane beside an inbox.

    Args:
        beside: the inbox of studies.
    """

    def __init__(self, beside: Path, *, reserve_bytes: int, clock: Callable[[], float] | None = None) -> None:
        root = lane_beside(beside)
        if clock is None:
            super().__init__(root, reserve_bytes=reserve_bytes)
        else:
            super().__init__(root, reserve_bytes=reserve_bytes, clock=clock)

    def trials(self, *, hcode: str | None = None, limit: int = 100) -> list[Trial]:
        """Trials, newest first; of one hospital's machines where `hcode` is given."""
        groups: dict[tuple[object, ...], list[Receipt]] = defaultdict(list)
        for receipt in self.receipts(limit=RECEIPTS_READ):
            sender, study = receipt.sender, receipt.study_instance_uid
            if hcode is None or sender.hcode == hcode:
                alone = 0 if study else receipt.association_id
                groups[sender.calling_ae, sender.address, sender.hcode, study, alone].append(receipt)
        trials = [self._trial(found) for found in list(groups.values())[:limit]]
        return sorted(trials, key=lambda trial: trial.number, reverse=True)

    def _trial(self, found: list[Receipt]) -> Trial:
        newest, first = found[0], found[-1]
        study = first.study_instance_uid
        rows: list[Any] = self._index.read(lambda db: records.instances_of(db, study)) if study else []
        headers = tuple(records.unpack_header(row[-1]) for row in rows)
        open_still = any(receipt.closed_at is None for receipt in found)
        closed_at = None if open_still else max(each.closed_at for each in found if each.closed_at)
        kept = sum(each.stored + each.duplicate + each.conflict for each in found)
        mean = sum(row[2] for row in rows) / len(rows) if rows else 0.0
        last = max([row[1] for row in rows], default=newest.opened_at.timestamp())
        end = closed_at.timestamp() if closed_at else last
        return Trial(
            number=first.association_id,
            sender=newest.sender,
            opened_at=first.opened_at,
            closed_at=closed_at,
            endings=tuple(dict.fromkeys(each.ending for each in found if each.ending)),
            details=tuple(dict.fromkeys(each.detail for each in found if each.detail)),
            offer=newest.offer,
            study_instance_uid=study,
            associations=len(found),
            stored=sum(each.stored for each in found),
            duplicate=sum(each.duplicate for each in found),
            conflict=sum(each.conflict for each in found),
            refused=sum(each.refused for each in found),
            reasons=tuple(dict.fromkeys(no.reason for each in found for no in each.refusals)),
            headers=headers,
            identity=self._identity(rows, newest.sender),
            commitments=self._asked_of_us(newest.sender, headers),
            megabytes=kept * mean / 1e6,
            seconds=max(0.001, sum(_seconds(each, end) for each in found)),
        )

    def _identity(self, rows: list[Any], sender: Sender) -> Identity | None:
        for row in rows[:1]:
            try:
                return read_identity(self._spool.path_of(row[0]), sender)
            except (OSError, UnreadableDataSet):
                return None
        return None

    def _asked_of_us(
        self, sender: Sender, headers: tuple[InstanceHeader, ...]
    ) -> tuple[CommitmentRequest, ...]:
        here = {header.sop_instance_uid for header in headers}
        asked = self.commitments.requests(calling_ae=sender.calling_ae)
        return tuple(each for each in asked if here & {uid for _, uid in each.references})

    def purge(self, *, before: datetime) -> int:
        """Forget everything that began before then and has ended; how many files went."""
        moment = before.timestamp()

        def forget(db: Connection) -> list[str]:
            return records.forget_associations(db, moment)

        forgotten = self._index.write(forget, to_disk=True)
        for sha256 in forgotten:
            self._spool.path_of(sha256).unlink(missing_ok=True)
        for path in self._spool.quarantine.iterdir():
            if path.stat().st_mtime < moment:
                path.unlink(missing_ok=True)
        return len(forgotten)


def purge_trials(beside: Path, *, before: datetime) -> int:
    """Empty the lane beside an inbox of what began before then, where there is one."""
    if not lane_beside(beside).is_dir():
        return 0
    trials = TrialInbox(beside, reserve_bytes=0)
    try:
        return trials.purge(before=before)
    finally:
        trials.close()


def lane_beside(inbox_root: Path) -> Path:
    """The folder of the lane."""
    return inbox_root.with_name(f"{inbox_root.name}-selftest")


def _seconds(receipt: Receipt, end: float) -> float:
    closed = receipt.closed_at.timestamp() if receipt.closed_at else end
    return max(0.0, closed - receipt.opened_at.timestamp())
