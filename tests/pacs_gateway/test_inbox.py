import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from pacs_gateway import recovery
from pacs_gateway.arrivals import Ending, Outcome, digest_of
from pacs_gateway.completion import CompletionCode
from pacs_gateway.headers import NotPart10, Sender, read_header
from pacs_gateway.inbox import Inbox
from pacs_gateway.part10 import read_meta
from pacs_gateway.spool import NoRoom, Spool, TooLarge
from tests.pacs import await_condition, write_slice, write_study
from tests.pacs_gateway.conftest import Clock

ROOT = Path(__file__).parents[2]


def add(inbox: Inbox, paths: list[Path], sender: Sender) -> list[Outcome]:
    association = inbox.open_association(sender)
    outcomes = [inbox.add_part10(path, sender, association_id=association) for path in paths]
    inbox.close_association(association, Ending.RELEASED)
    return outcomes


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


class TestAdd:
    def test_data_set_bytes_are_kept_as_sent(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        path = write_slice(tmp_path, PatientName="สมชาย^ใจดี".encode("cp874"))
        add(inbox, [path], sender)
        (kept,) = files_in(inbox.root / "instances")
        sent, stored = path.read_bytes(), kept.read_bytes()
        assert stored[read_meta(stored).data_set_offset :] == sent[read_meta(sent).data_set_offset :]
        meta = dcmread(kept, stop_before_pixels=True).file_meta
        assert meta.SendingApplicationEntityTitle == "UDON_CT1"
        assert meta.MediaStorageSOPInstanceUID == read_header(path).sop_instance_uid

    def test_file_names_say_nothing(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        add(inbox, [write_slice(tmp_path)], sender)
        (kept,) = files_in(inbox.root / "instances")
        assert len(kept.name) == 64
        assert set(kept.name) <= set("0123456789abcdef")

    def test_the_same_again_changes_nothing(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        paths = write_study(tmp_path)
        add(inbox, paths, sender)
        before = inbox.ready_studies()[0]
        assert set(add(inbox, paths, sender)) == {Outcome.DUPLICATE}
        after = inbox.ready_studies()[0]
        assert (after.digest, after.instances, after.last_received_at) == (
            before.digest,
            before.instances,
            before.last_received_at,
        )
        assert (before.duplicates, after.duplicates) == (0, 30)

    def test_same_uid_other_bytes_are_both_kept(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        paths = [*write_study(tmp_path), write_slice(tmp_path, pixel=1)]
        assert add(inbox, paths, sender)[-1] == Outcome.CONFLICT
        study = inbox.ready_studies()[0]
        assert (len(study.instances), study.conflicts) == (31, 1)
        assert [one.conflict for one in study.instances if one.sop_instance_uid == "1.2.3.1.1.1"].count(
            True
        ) == 1
        assert add(inbox, paths[-1:], sender) == [Outcome.DUPLICATE]

    def test_low_disk_refuses(self, open_inbox: Callable[..., Inbox], sender: Sender, tmp_path: Path) -> None:
        with pytest.raises(NoRoom, match="bytes free"):
            open_inbox(reserve_bytes=1 << 60).add_part10(write_slice(tmp_path), sender)

    def test_too_large_is_refused(
        self, open_inbox: Callable[..., Inbox], sender: Sender, tmp_path: Path
    ) -> None:
        inbox = open_inbox(instance_limit=100)
        with pytest.raises(TooLarge):
            inbox.add_part10(write_slice(tmp_path), sender)
        assert files_in(inbox.root / "instances") == []

    def test_other_files_are_named_as_such(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        (tmp_path / "letter.txt").write_text("Dear colleague")
        with pytest.raises(NotPart10):
            inbox.add_part10(tmp_path / "letter.txt", sender)

    def test_many_threads_double_nothing(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        paths = write_study(tmp_path)
        outcomes: list[Outcome] = []
        threads = [
            threading.Thread(target=lambda: outcomes.extend(add(inbox, paths, sender))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (outcomes.count(Outcome.STORED), outcomes.count(Outcome.DUPLICATE)) == (30, 90)
        assert len(files_in(inbox.root / "instances")) == 30
        assert files_in(inbox.root / "owners") == []


class TestReadyStudies:
    def test_hand_over_is_idempotent(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        add(inbox, write_study(tmp_path), sender)
        (study,) = inbox.ready_studies()
        assert study.completion.code == CompletionCode.HEAD_COVERED
        assert (study.identity.hcode, study.identity.patient_id, study.senders) == ("10671", "HN1", (sender,))
        assert [one.header.instance_number for one in study.instances] == list(range(1, 31))
        for _ in range(2):
            inbox.hand_over(study.study_instance_uid, study.digest)
            assert inbox.ready_studies() == []
            assert inbox.receiving() == []

    def test_late_slices_reopen(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        paths = write_study(tmp_path, slices=32)
        add(inbox, paths[:30], sender)
        (first,) = inbox.ready_studies()
        inbox.hand_over(first.study_instance_uid, first.digest)
        add(inbox, paths[30:], sender)
        (second,) = inbox.ready_studies()
        assert len(second.instances) == 32
        assert second.digest != first.digest

    def test_what_came_during_the_hand_over_stays_pending(
        self, inbox: Inbox, sender: Sender, tmp_path: Path
    ) -> None:
        paths = write_study(tmp_path, slices=32)
        add(inbox, paths[:30], sender)
        (first,) = inbox.ready_studies()
        add(inbox, paths[30:], sender)
        inbox.hand_over(first.study_instance_uid, first.digest)
        assert len(inbox.ready_studies()) == 1

    def test_one_slice_is_ready_after_quiet(
        self, open_inbox: Callable[..., Inbox], clock: Clock, sender: Sender, tmp_path: Path
    ) -> None:
        inbox = open_inbox(clock=clock)
        add(inbox, [write_slice(tmp_path)], sender)
        assert inbox.ready_studies() == []
        assert [study.instances for study in inbox.receiving()] == [1]
        clock.pass_by(10)
        (study,) = inbox.ready_studies()
        assert study.completion.code == CompletionCode.QUIET
        assert inbox.ready_studies(datetime.fromtimestamp(clock() - 5, UTC)) == []

    def test_the_quiet_time_is_learned(
        self, open_inbox: Callable[..., Inbox], clock: Clock, sender: Sender, tmp_path: Path
    ) -> None:
        inbox = open_inbox(clock=clock)
        for path in write_study(tmp_path, slices=90, modality="MR"):
            clock.pass_by(0.1)
            add(inbox, [path], sender)
        clock.pass_by(2.5)
        assert inbox.ready_studies() == []
        clock.pass_by(0.6)
        assert len(inbox.ready_studies()) == 1

    def test_an_association_left_open_delays_until_quiet(
        self, open_inbox: Callable[..., Inbox], clock: Clock, sender: Sender, tmp_path: Path
    ) -> None:
        inbox = open_inbox(clock=clock)
        association = inbox.open_association(sender)
        for path in write_study(tmp_path):
            inbox.add_part10(path, sender, association_id=association)
        assert inbox.ready_studies() == []
        assert inbox.receiving()[0].open_associations == 1
        clock.pass_by(10)
        assert len(inbox.ready_studies()) == 1

    def test_discarded_studies_are_still_known(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        paths = write_study(tmp_path)
        add(inbox, paths, sender)
        (study,) = inbox.ready_studies()
        inbox.hand_over(study.study_instance_uid, study.digest)
        assert inbox.discard_taken(before=datetime.now(UTC) - timedelta(days=1)) == 0
        assert inbox.discard_taken(before=datetime.now(UTC) + timedelta(seconds=1)) == 30
        assert files_in(inbox.root / "instances") == []
        assert set(add(inbox, paths, sender)) == {Outcome.DUPLICATE}
        assert files_in(inbox.root / "instances") == []
        assert inbox.ready_studies() == []

    @given(st.permutations(["a", "b", "c", "d"]))
    def test_digest_is_of_the_set(self, order: list[str]) -> None:
        assert digest_of(order) == digest_of("abcd")
        assert digest_of(order[:3]) != digest_of("abcd")


class TestReceipts:
    def test_by_association_and_study(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        paths = write_study(tmp_path, study="1.2.3.1") + write_study(tmp_path, study="1.2.3.2", slices=3)
        add(inbox, paths, sender)
        add(inbox, paths[:5], sender)
        assert [
            (r.association_id, r.study_instance_uid, r.offered, r.stored, r.duplicate)
            for r in inbox.receipts()
        ] == [
            (2, "1.2.3.1", 5, 0, 5),
            (1, "1.2.3.1", 30, 30, 0),
            (1, "1.2.3.2", 3, 3, 0),
        ]
        assert [r.offered for r in inbox.receipts(study_instance_uid="1.2.3.2")] == [3]
        assert [r.offered for r in inbox.receipts(association_id=2)] == [5]
        assert inbox.receipts(since=datetime.now(UTC) + timedelta(hours=1)) == []
        assert all(r.sender == sender and r.ending == Ending.RELEASED for r in inbox.receipts())


KILLED = """
import os, sys
from pathlib import Path
from pacs_gateway.headers import Sender
from pacs_gateway.inbox import Inbox
from pacs_gateway.index import Index
inbox = Inbox(Path(sys.argv[1]), reserve_bytes=0)
sender = Sender("UDON_CT1", "IMAGINGHUB", "10.8.0.5", "10671")
association = inbox.open_association(sender)
inbox.add_part10(Path(sys.argv[2]), sender, association_id=association)
half = inbox.incoming(sender, sop_class_uid="1", sop_instance_uid="2", transfer_syntax_uid="1.2")
half.write(memoryview(b"half of a data set"))
Index.write = lambda *arguments, **options: os.kill(os.getpid(), 9)
inbox.add_part10(Path(sys.argv[3]), sender, association_id=association)
"""


class TestCrash:
    def die_between_fsync_and_commit(self, root: Path, first: Path, second: Path) -> None:
        command = [sys.executable, "-c", KILLED, str(root), str(first), str(second)]
        ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
        assert ended.returncode == -9, ended.stderr

    def test_durable_files_are_indexed_and_half_written_ones_removed(
        self, open_inbox: Callable[..., Inbox], tmp_path: Path
    ) -> None:
        first, second = write_study(tmp_path, slices=2)
        self.die_between_fsync_and_commit(tmp_path / "inbox", first, second)
        assert len(files_in(tmp_path / "inbox" / "owners")) == 2
        inbox = open_inbox()
        assert files_in(inbox.root / "owners") == []
        assert [study.instances for study in inbox.receiving()] == [2]
        assert [(r.stored, r.ending, r.sender.hcode) for r in inbox.receipts()] == [
            (1, Ending.KILLED, "10671"),
            (1, Ending.KILLED, "10671"),
        ]

    def test_a_dead_process_is_noticed_by_one_that_lives(
        self, inbox: Inbox, open_inbox: Callable[..., Inbox], tmp_path: Path
    ) -> None:
        first, second = write_study(tmp_path, slices=2)
        self.die_between_fsync_and_commit(inbox.root, first, second)
        assert inbox.receiving()[0].open_associations == 1
        assert inbox.ready_studies() == []
        assert [(study.instances, study.open_associations) for study in inbox.receiving()] == [(2, 0)]

    def test_a_file_its_own_process_indexed_meanwhile_is_no_duplicate(
        self, inbox: Inbox, sender: Sender, tmp_path: Path
    ) -> None:
        add(inbox, write_study(tmp_path, slices=2), sender)

        class Before(Spool):
            def unindexed(self, known: set[str]) -> Iterator[Path]:
                """As if the folder had been compared with the index before the two came."""
                return super().unindexed(set())

        spool = Before(inbox.root, reserve_bytes=0)
        recovery.index_strays(spool, inbox._index)
        spool.close()
        assert [(r.stored, r.duplicate) for r in inbox.receipts()] == [(2, 0)]

    def test_the_index_can_be_lost(
        self, open_inbox: Callable[..., Inbox], sender: Sender, tmp_path: Path
    ) -> None:
        inbox = open_inbox()
        add(inbox, write_study(tmp_path), sender)
        (before,) = inbox.ready_studies()
        for file in inbox.root.glob("index.sqlite3*"):
            file.unlink()
        (after,) = await_condition(
            lambda: open_inbox().ready_studies(datetime.now(UTC) + timedelta(minutes=2)), "ready"
        )
        assert after.digest == before.digest
        assert after.identity == before.identity

    def test_a_file_that_is_not_what_its_name_says_is_removed(
        self, open_inbox: Callable[..., Inbox], sender: Sender, tmp_path: Path
    ) -> None:
        inbox = open_inbox()
        add(inbox, [write_slice(tmp_path)], sender)
        (kept,) = files_in(inbox.root / "instances")
        torn = kept.with_name("0" * 64)
        torn.write_bytes(kept.read_bytes()[:-100] + bytes(100))
        open_inbox()
        assert files_in(inbox.root / "instances") == [kept]

    def test_a_process_still_alive_keeps_its_files(
        self, open_inbox: Callable[..., Inbox], sender: Sender
    ) -> None:
        inbox = open_inbox()
        half = inbox.incoming(sender, sop_class_uid="1", sop_instance_uid="2", transfer_syntax_uid="1.2")
        association = inbox.open_association(sender)
        open_inbox().sweep()
        assert files_in(inbox.root / "owners") != []
        assert inbox.receipts(association_id=association)[0].closed_at is None
        half.release()
