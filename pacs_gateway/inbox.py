"""The inbox: every instance received, durable before Success, until the hub has taken its study.

Any number of listeners, workers and the API open the same folder at once. See `spool` for the files and
`index` for what is known of them; the files are the truth and the index can be rebuilt from them.
"""

import logging
import mmap
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Unpack

from pacs_gateway import handover, records, recovery
from pacs_gateway.announcements import Announcements, announced
from pacs_gateway.arrivals import ArrivedStudy, Ending, Narrowing, Outcome, Receipt, StudyProgress, digest_of
from pacs_gateway.callers import Sender
from pacs_gateway.commitments import Commitments
from pacs_gateway.completion import Completion, Waiting, gap_bucket
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.headers import scan_header
from pacs_gateway.incoming import Incoming
from pacs_gateway.index import Index
from pacs_gateway.offers import Offer
from pacs_gateway.part10 import NotPart10, read_meta
from pacs_gateway.spool import DEFAULT_INSTANCE_LIMIT, DEFAULT_RESERVE, Spool
from pacs_gateway.turned_away import TurnedAway
from pacs_gateway.verdict import StudyVerdict, verdict_of

log = logging.getLogger(__name__)

CHUNK = 1 << 20
GAPS_PER_WRITE = 64


class Inbox:
    """One inbox folder, opened by this process.

    Args:
        root: the folder; made where it is not there.
        reserve_bytes: below this much free disk, instances are refused.
        instance_limit: the largest instance taken, bytes.
        blanks: blank files kept ready for instances; for whoever receives many, see `blanks`.
        clock: seconds since the epoch; only tests give another.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve_bytes: int = DEFAULT_RESERVE,
        instance_limit: int = DEFAULT_INSTANCE_LIMIT,
        blanks: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.reserve_bytes = reserve_bytes
        self._clock = clock
        self._closed = False
        self._spool = Spool(root, reserve_bytes=reserve_bytes, instance_limit=instance_limit, blanks=blanks)
        self._index = Index(root / "index.sqlite3")
        self.commitments = Commitments(self._index, self._spool.path_of, clock)
        self.turned_away = TurnedAway(self._index, self._spool.owner, clock)
        self.announcements = Announcements(self._index, clock)
        self._gaps: Counter[tuple[str, int]] = Counter()
        with self._spool.recovering():
            recovery.bury_the_dead(self._spool, self._index, self._clock())
            recovery.index_strays(self._spool, self._index)

    # Receiving

    @property
    def num_blanks(self) -> int:
        """Blank files that are ready."""
        return self._spool.num_blanks

    def open_association(self, sender: Sender, offer: Offer = ()) -> int:
        """Note that somebody began to send; instances and receipts hang on the number returned."""
        now, owner = self._clock(), self._spool.owner
        return self._index.write(lambda db: records.open_association(db, owner, sender, now, offer))

    def close_association(self, association_id: int, ending: Ending, detail: str = "") -> None:
        """Note how it ended, and why where it was aborted; closing twice changes nothing."""
        now = self._clock()

        def close(db: sqlite3.Connection) -> None:
            records.close_association(db, association_id, ending, now, detail)
            self._write_gaps(db)

        self._index.write(close)

    def incoming(
        self, sender: Sender, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Incoming:
        """Begin to receive one instance.

        Raises:
            NoRoom: the disk is too full.
            OSError: no file could be opened.
        """
        return Incoming(
            self._spool,
            sender,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )

    def prepare(self) -> None:
        """Use the time until the next instance comes to make room for it."""
        self._spool.prepare()

    def keep(self, association_id: int, sender: Sender, incoming: Incoming) -> Outcome:
        """Make a received instance durable, then indexed; only then may Success be said.

        The caller releases `incoming`, after the answer where somebody waits for it.

        Raises:
            UnreadableDataSet, SopMismatch: see `Incoming.publish`.
            OSError, sqlite3.Error: it is not durable, or not indexed.
        """
        published = incoming.publish()
        now = self._clock()

        def record(db: sqlite3.Connection) -> records.Recorded:
            recorded = records.record_instance(
                db, association_id, published.header, published.sha256, published.size, now
            )
            bucket = None if recorded.gap_seconds is None else gap_bucket(recorded.gap_seconds)
            if bucket is not None:
                self._gaps[handover.name_of(sender), bucket] += 1
                if self._gaps.total() >= GAPS_PER_WRITE:
                    self._write_gaps(db)
            return recorded

        recorded = self._index.write(record)
        if recorded.discarded:
            incoming.discard()
        return recorded.outcome

    def refuse(
        self,
        association_id: int,
        *,
        sop_instance_uid: str,
        status: int,
        reason: str,
        incoming: Incoming | None,
    ) -> None:
        """Write the receipt of an instance that was not taken; its bytes, if any came, go to quarantine."""
        header = incoming.header if incoming is not None else None
        kept = incoming.keep_aside() if incoming is not None else None
        if incoming is not None:
            incoming.release()
        now = self._clock()
        self._index.write(
            lambda db: records.record_refusal(
                db,
                association_id,
                study_instance_uid="" if header is None else header.study_instance_uid,
                sop_instance_uid=sop_instance_uid,
                status=status,
                reason=reason,
                quarantined=None if kept is None else kept.name,
                now=now,
            )
        )

    def add_part10(self, path: Path, sender: Sender, *, association_id: int | None = None) -> Outcome:
        """Take a Part 10 file from elsewhere than an association: an upload, a folder, STOW.

        Args:
            path: the file, which is copied.
            sender: who brings it.
            association_id: of `open_association`, where several files belong together.

        Raises:
            UnreadableDataSet: no Part 10 file, or one that ends early.
            NoRoom, OSError, sqlite3.Error: it could not be kept.
        """
        number = self.open_association(sender) if association_id is None else association_id
        try:
            return self._add_part10(path, sender, number)
        finally:
            if association_id is None:
                self.close_association(number, Ending.RELEASED)

    def _add_part10(self, path: Path, sender: Sender, association_id: int) -> Outcome:
        if path.stat().st_size == 0:
            raise NotPart10("the file is empty")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = read_meta(data)
            header = scan_header(data, meta.transfer_syntax_uid, start=meta.data_set_offset)
            incoming = self.incoming(
                sender,
                sop_class_uid=header.sop_class_uid,
                sop_instance_uid=header.sop_instance_uid,
                transfer_syntax_uid=meta.transfer_syntax_uid,
            )
            try:
                for start in range(meta.data_set_offset, len(data), CHUNK):
                    incoming.write(memoryview(data[start : start + CHUNK]))
                return self.keep(association_id, sender, incoming)
            finally:
                incoming.release()

    def _write_gaps(self, db: sqlite3.Connection) -> None:
        if self._gaps:
            gaps, self._gaps = self._gaps, Counter()
            records.add_gaps(db, gaps.items())

    # Handing over

    def ready_studies(self, now: datetime | None = None) -> list[ArrivedStudy]:
        """Studies that are complete and that the hub has not taken as they are now, oldest first."""
        self.sweep()
        seconds = self._clock() if now is None else now.timestamp()
        ready = []
        for study in self._index.read(handover.pending_studies):
            verdict = study.verdict(seconds)
            if isinstance(verdict, Completion):
                try:
                    ready.append(handover.arrived(study, verdict, self._spool.path_of))
                except (OSError, UnreadableDataSet):
                    # its neighbours go on; it stays pending and is tried again
                    log.exception("a complete study cannot be read", extra={"instances": len(study.rows)})
        return ready

    def receiving(self, now: datetime | None = None) -> list[StudyProgress]:
        """Studies still coming in, oldest first."""
        seconds = self._clock() if now is None else now.timestamp()
        pending = self._index.read(handover.pending_studies)
        return [handover.progress(study) for study in pending if isinstance(study.verdict(seconds), Waiting)]

    def pending(self) -> list[handover.PendingStudy]:
        """Every study not handed over yet, complete or not, oldest first."""
        return self._index.read(handover.pending_studies)

    def path_of(self, sha256: str) -> Path:
        """Where an instance's file lies."""
        return self._spool.path_of(sha256)

    def hand_over(self, study_instance_uid: str, digest: str) -> None:
        """The hub has the study with this digest durably. Anything that came since keeps it pending."""
        now = self._clock()

        def take(db: sqlite3.Connection) -> None:
            rows = records.instances_of(db, study_instance_uid)
            if digest_of(row[0] for row in rows) == digest:
                records.take_study(db, study_instance_uid, len(rows), digest, now)

        self._index.write(take, to_disk=True)

    def discard_taken(self, *, before: datetime) -> int:
        """Delete the files of studies taken before then; a re-send is still known as a duplicate."""
        moment = before.timestamp()
        discarded = self._index.write(lambda db: records.discard_taken(db, moment), to_disk=True)
        for sha256 in discarded:
            self._spool.path_of(sha256).unlink(missing_ok=True)
        return len(discarded)

    def receipts(self, *, limit: int = 1000, **narrowed: Unpack[Narrowing]) -> list[Receipt]:
        """What every association delivered of every study, newest first, narrowed by what is given."""
        return self._index.read(
            lambda db: handover.receipts(db, self._spool.quarantine, narrowed, limit=limit)
        )

    def verdict(self, study_instance_uid: str) -> StudyVerdict:
        """Whether a study is whole as far as it is here, by its slices and by its sender's count."""

        def judge(db: sqlite3.Connection) -> StudyVerdict:
            rows = records.instances_of(db, study_instance_uid)
            told = announced(db, study_instance_uid)
            return verdict_of([records.unpack_header(row[-1]) for row in rows], announced=told)

        return self._index.read(judge)

    # Clearing up after others

    def sweep(self) -> None:
        """Close the associations of processes that died, and index what they had made durable."""
        with self._spool.recovering():
            if recovery.bury_the_dead(self._spool, self._index, self._clock()):
                recovery.index_strays(self._spool, self._index)

    def close(self) -> None:
        """Let go of the folder; what is in it stays. Twice does no harm."""
        if self._closed:
            return
        self._closed = True
        self._index.write(self._write_gaps)
        self._index.close()
        self._spool.close()
