"""Relay: takes studies on a hospital's LAN and brings them to the hub over a weak link, losing nothing.

Compressed without loss, stroke first, within a bandwidth, instance by instance: what the hub has said it
stored is not sent again, and what it has not committed to is not let go of, however often anything goes down.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pacs_gateway.arrivals import digest_of
from pacs_gateway.commitment import new_transaction_uid
from pacs_gateway.completion import Completion
from pacs_gateway.compress import Compression, NotCompressed, compress
from pacs_gateway.handover import PendingStudy, moment
from pacs_gateway.inbox import Inbox
from pacs_gateway.records import unpack_header
from pacs_gateway.relay_ledger import Ledger, Parcel
from pacs_gateway.relay_ways import HubUnreachable, Way
from pacs_gateway.sender import SendOutcome, SendResult
from pacs_gateway.urgency import rank_of

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
BATCH = 16
"""Instances an association: a new study of higher rank waits for no more than these."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 120.0
ASK_AGAIN_SECONDS = 600.0
ASK_COUNT = 500
KEEP_SECONDS = 3600.0
"""How long files stay after the hub has committed, so that a re-send is still compared."""


class Relay:
    """Carries an inbox's instances to the hub.

    Args:
        inbox: Where the listener puts what it receives.
        folder: The relay's own: its book, and compressed copies on their way.
        way: To the hub.
        compression: How files are packed at first; what the hub does not take is given up for the next.
        clock: Seconds since the epoch; only tests give another.
    """

    def __init__(
        self,
        inbox: Inbox,
        folder: Path,
        way: Way,
        *,
        compression: Compression = Compression.J2K,
        clock: Callable[[], float] = time.time,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(folder / "relay.sqlite3")
        self._packed = folder / "packed"
        self._packed.mkdir(exist_ok=True)
        for stale in self._packed.glob("*"):
            if stale.suffix != f".{compression}":
                stale.unlink()
        self._inbox, self._way, self._clock = inbox, way, clock
        self._known = self.ledger.known()
        self._ranks: dict[str, int] = {}
        self.failures = 0
        self._not_before = 0.0
        self._compression: Compression | None = compression

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            try:
                busy = self.round()
            except Exception:  # one round must not end the relay; what was not sent stays in line
                log.exception("relay round failed")
                busy = False
            if not busy:
                stop.wait(POLL_SECONDS)

    def round(self) -> bool:
        """Note what came, send a batch, ask for commitments, let go; returns whether anything was sent."""
        pending = self._inbox.pending()
        self._note_arrivals(pending)
        self._take_reports()
        sent = self._clock() >= self._not_before and self._send_batch()
        if not sent:
            self._ask()
            self._let_go(pending)
        return sent

    def _note_arrivals(self, pending: list[PendingStudy]) -> None:
        for study in pending:
            fresh = [row for row in study.rows if row[0] not in self._known]
            if not fresh:
                continue
            entries = [(self._parcel(row), self._rank(row)) for row in fresh]
            self.ledger.add(entries)
            self._known |= {row[0] for row in fresh}

    def _parcel(self, row: Any) -> Parcel:
        header = unpack_header(row[4])
        return Parcel(
            row[0], header.study_instance_uid, header.sop_class_uid, header.sop_instance_uid, int(row[2])
        )

    def _rank(self, row: Any) -> int:
        header = unpack_header(row[4])
        if header.series_instance_uid not in self._ranks:
            self._ranks[header.series_instance_uid] = rank_of(self._inbox.path_of(row[0]))
        return self._ranks[header.series_instance_uid]

    def _send_batch(self) -> bool:
        parcels = {self._file(each): each for each in self.ledger.next(BATCH)}
        if not parcels:
            return False
        try:
            results = self._way.send(list(parcels), lambda result: self._note(parcels[result.path], result))
        except HubUnreachable as error:
            self._back_off(str(error))
            return False
        trouble = next((each.text for each in results if _may_pass(each)), None)
        if trouble is not None:
            self._back_off(trouble)
        return trouble is None

    def _note(self, parcel: Parcel, result: SendResult) -> None:
        """Write down at once what became of an instance, so that a broken link costs one instance."""
        if result.stored:
            self.failures = 0
            self.ledger.note_sent(
                parcel.sha256, result.path.stat().st_size, committed=self._way.commits_at_once
            )
            if result.path.parent == self._packed:
                result.path.unlink(missing_ok=True)
        elif result.outcome is SendOutcome.NOT_ACCEPTED and result.path.parent == self._packed:
            self._give_up(result.path.suffix)
            result.path.unlink(missing_ok=True)
        elif not _may_pass(result):
            log.error("the hub refuses an instance", extra={"why": result.text})
            self.ledger.note_refused(parcel.sha256, result.text)

    def _give_up(self, suffix: str) -> None:
        """The hub does not take what is packed so: from now on the next, and at last everything as it is."""
        if suffix == f".{self._compression}":
            self._compression = Compression.J2K if self._compression is Compression.HTJ2K else None

    def _back_off(self, why: str) -> None:
        self.failures += 1
        wait = min(FIRST_WAIT * 2.0 ** min(self.failures - 1, 10), LONGEST_WAIT) * random.uniform(1.0, 1.25)
        self._not_before = self._clock() + wait
        log.warning("the hub is not reached", extra={"why": why, "failures": self.failures, "wait_s": wait})

    def _file(self, parcel: Parcel) -> Path:
        """The compressed copy, or the file itself where it does not get smaller without loss."""
        source = self._inbox.path_of(parcel.sha256)
        if self._compression is None:
            return source
        packed = self._packed / f"{parcel.sha256}.{self._compression}"
        if packed.exists():
            return packed
        try:
            compress(source, packed, self._compression)
        except NotCompressed as reason:
            log.debug("sent as it is", extra={"why": str(reason)})
            return source
        return packed

    def _ask(self) -> None:
        """Have the hub commit to what it stored; asked anew when it has not answered in ten minutes."""
        now = self._clock()
        parcels = self.ledger.unasked(now - ASK_AGAIN_SECONDS, ASK_COUNT)
        if not parcels or now < self._not_before:
            return
        transaction_uid = new_transaction_uid()
        self.ledger.note_asked(
            parcels, transaction_uid, now
        )  # first: the report may be there before the answer
        references = [(each.sop_class, each.sop_instance) for each in parcels]
        try:
            self._way.ask(references, transaction_uid)
        except HubUnreachable as error:
            self.ledger.note_asked(parcels, "", 0.0)
            self._back_off(str(error))

    def _take_reports(self) -> None:
        for report in self._inbox.commitments.reports():
            failed = [uid for uid, _ in report.failed]
            self.ledger.note_report(report.transaction_uid, report.committed, failed)
            self._inbox.commitments.take_report(report.number)

    def _let_go(self, pending: list[PendingStudy]) -> None:
        """Hand over what is complete and committed to the last instance; its files go an hour later."""
        now = self._clock()
        for study in pending:
            uids = {unpack_header(row[4]).study_instance_uid for row in study.rows}
            if any(self.ledger.open_of(uid) for uid in uids):
                continue
            if isinstance(study.verdict(now), Completion):
                self._inbox.hand_over(study.study_instance_uid, digest_of(row[0] for row in study.rows))
                log.info("study is with the hub", extra={"instances": len(study.rows)})
        self._inbox.discard_taken(before=moment(now - KEEP_SECONDS))


def _may_pass(result: SendResult) -> bool:
    """Lost on the way, or the hub had no room: another time it may go well."""
    return result.outcome is SendOutcome.LOST or (result.status or 0) & 0xFF00 == 0xA700
