import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pacs_gateway.arrivals import Ending, Outcome
from pacs_gateway.blanks import BATCH, FIRST_BYTES, MOST_BYTES, PAGE, Blanks
from pacs_gateway.headers import Sender
from pacs_gateway.inbox import Inbox
from pacs_gateway.part10 import read_meta
from pacs_gateway.seal import Seal, is_whole, read_seal
from tests.pacs import await_condition, write_slice, write_study

ROOT = Path(__file__).parents[2]
PIXELS = {"Rows": 512, "Columns": 512, "PixelData": bytes(range(256)) * 2048}


@pytest.fixture(autouse=True)
def any_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks are filled in the same way everywhere; where it gains nothing they are not made."""
    monkeypatch.setattr("pacs_gateway.spool.is_filled_in_place", lambda root: True)


@pytest.fixture
def prepared(open_inbox: Callable[..., Inbox]) -> Inbox:
    inbox = open_inbox(blanks=3)
    await_condition(lambda: inbox.num_blanks == 3, "blank files")
    return inbox


def add(inbox: Inbox, paths: list[Path], sender: Sender) -> list[Outcome]:
    association = inbox.open_association(sender)
    outcomes = [inbox.add_part10(path, sender, association_id=association) for path in paths]
    inbox.close_association(association, Ending.RELEASED)
    return outcomes


def blanks_in(root: Path) -> list[Path]:
    return sorted(root.glob("owners/*/*.blank"))


def kept_in(root: Path) -> list[Path]:
    return sorted(path for path in (root / "instances").rglob("*") if path.is_file())


def data_set_of(path: Path) -> bytes:
    content = path.read_bytes()
    return content[read_meta(content).data_set_offset :]


class TestFilling:
    def test_an_instance_in_a_blank_is_kept_as_sent(
        self, prepared: Inbox, sender: Sender, tmp_path: Path
    ) -> None:
        path = write_slice(tmp_path, **PIXELS)
        add(prepared, [path], sender)
        (kept,) = kept_in(prepared.root)
        assert data_set_of(kept) == data_set_of(path)
        assert read_seal(kept.read_bytes()) == Seal(kept.stat().st_size, kept.name)
        assert is_whole(kept)
        assert len(blanks_in(prepared.root)) == 2

    def test_one_larger_than_a_blank_is_kept_as_sent(
        self, prepared: Inbox, sender: Sender, tmp_path: Path
    ) -> None:
        path = write_slice(tmp_path, **PIXELS | {"Rows": 1024, "PixelData": bytes(range(256)) * 4096})
        add(prepared, [path], sender)
        (kept,) = kept_in(prepared.root)
        assert kept.stat().st_size > FIRST_BYTES
        assert data_set_of(kept) == data_set_of(path)
        assert read_seal(kept.read_bytes()) is None

    def test_without_blanks_left_new_files_are_made(
        self, prepared: Inbox, sender: Sender, tmp_path: Path
    ) -> None:
        outcomes = add(prepared, write_study(tmp_path, slices=8), sender)
        assert outcomes == [Outcome.STORED] * 8
        assert all(is_whole(kept) for kept in kept_in(prepared.root))

    def test_the_same_again_changes_nothing(self, prepared: Inbox, sender: Sender, tmp_path: Path) -> None:
        path = write_slice(tmp_path)
        assert add(prepared, [path, path], sender) == [Outcome.STORED, Outcome.DUPLICATE]
        assert len(kept_in(prepared.root)) == 1

    def test_refused_bytes_are_kept_without_the_blank_behind_them(
        self, prepared: Inbox, sender: Sender
    ) -> None:
        association = prepared.open_association(sender)
        incoming = prepared.incoming(
            sender, sop_class_uid="1", sop_instance_uid="2", transfer_syntax_uid="1.2"
        )
        incoming.write(memoryview(b"no data set"))
        prepared.refuse(association, sop_instance_uid="2", status=0xC000, reason="no", incoming=incoming)
        (aside,) = (prepared.root / "quarantine").iterdir()
        assert data_set_of(aside) == b"no data set"


class TestMaking:
    def test_they_are_made_again_once_it_is_quiet(self, tmp_path: Path) -> None:
        blanks = Blanks(tmp_path, 2, lambda size: True)
        await_condition(lambda: len(blanks) == 2, "blank files")
        taken = blanks.take()
        assert taken is not None
        assert taken.path in tmp_path.iterdir()
        await_condition(lambda: len(blanks) == 2, "blank files made again")
        blanks.close()
        assert {path.stat().st_size for path in tmp_path.iterdir()} == {FIRST_BYTES}

    def test_they_are_cut_to_the_size_of_most_instances(self, tmp_path: Path) -> None:
        blanks = Blanks(tmp_path, 3, lambda size: True)
        await_condition(lambda: len(blanks) == 3, "blank files")
        for size in (200_000, 131 * PAGE - 10, MOST_BYTES + 1, 131 * PAGE - 20):
            blanks.learn(size)
        blanks.take()
        sizes = lambda: [path.stat().st_size for path in tmp_path.iterdir()]  # noqa: E731
        await_condition(lambda: sorted(sizes()) == [FIRST_BYTES] + [131 * PAGE] * 3, "larger blank files")
        for _ in range(3):
            blanks.learn(200_000)
        blanks.take()
        await_condition(lambda: sizes().count(49 * PAGE) == 3, "smaller blank files")
        blanks.close()

    def test_more_than_a_batch(self, tmp_path: Path) -> None:
        blanks = Blanks(tmp_path, BATCH + 1, lambda size: True)
        await_condition(lambda: len(blanks) == BATCH + 1, "blank files")
        blanks.close()

    def test_none_are_made_where_the_disk_has_no_room(self, tmp_path: Path) -> None:
        asked: list[int] = []
        blanks = Blanks(tmp_path, 2, lambda size: bool(asked.append(size)))
        await_condition(lambda: asked, "the question for room")
        blanks.close()
        assert asked == [2 * FIRST_BYTES]
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_told_once_and_does_no_harm(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        blanks = Blanks(tmp_path / "absent", 2, lambda size: True)
        await_condition(lambda: "no blank files" in caplog.text, "the warning")
        assert blanks.take() is None
        blanks.close()

    def test_none_are_left_when_the_inbox_is_closed(self, prepared: Inbox) -> None:
        prepared.close()
        assert list((prepared.root / "owners").iterdir()) == []

    def test_an_inbox_makes_none_unless_told(self, inbox: Inbox) -> None:
        assert inbox.num_blanks == 0


KILLED = """
import os, sys
from pathlib import Path
from pacs_gateway import spool
from pacs_gateway.headers import Sender
from pacs_gateway.inbox import Inbox
spool.is_filled_in_place = lambda root: True
inbox = Inbox(Path(sys.argv[1]), reserve_bytes=0, blanks=2)
while inbox.num_blanks < 2:
    os.sched_yield()
sender = Sender("UDON_CT1", "IMAGINGHUB", "10.8.0.5", "10671")
half = inbox.incoming(sender, sop_class_uid="1", sop_instance_uid="2", transfer_syntax_uid="1.2")
half.write(memoryview(b"half of a data set"))
die = lambda *arguments, **options: os.kill(os.getpid(), 9)
setattr(os, sys.argv[3], die)
inbox.add_part10(Path(sys.argv[2]), sender)
"""


def die_at(call: str, root: Path, path: Path) -> None:
    """Receive one instance in another process, which is killed as it makes this call."""
    command = [sys.executable, "-c", KILLED, str(root), str(path), call]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert ended.returncode == -9, ended.stderr


class TestCrash:
    @pytest.mark.parametrize("call", ["fdatasync", "ftruncate", "link"])
    def test_a_sealed_blank_is_published_and_one_half_filled_is_not(
        self, call: str, open_inbox: Callable[..., Inbox], tmp_path: Path
    ) -> None:
        path = write_slice(tmp_path, **PIXELS)
        die_at(call, tmp_path / "inbox", path)
        assert len(blanks_in(tmp_path / "inbox")) == 2
        inbox = open_inbox()
        (kept,) = kept_in(inbox.root)
        assert data_set_of(kept) == data_set_of(path)
        assert blanks_in(inbox.root) == []
        told = [(r.stored, r.ending, r.sender.hcode) for r in inbox.receipts() if r.offered]
        assert told == [(1, Ending.KILLED, "10671")]

    def test_a_torn_one_is_removed(self, open_inbox: Callable[..., Inbox], tmp_path: Path) -> None:
        die_at("fdatasync", tmp_path / "inbox", write_slice(tmp_path, **PIXELS))
        (sealed,) = (path for path in blanks_in(tmp_path / "inbox") if read_seal(path.read_bytes()))
        with sealed.open("r+b") as file:
            file.seek(200_000)
            file.write(bytes(4096))
        inbox = open_inbox()
        assert kept_in(inbox.root) == []
        assert [r.offered for r in inbox.receipts()] == [0]

    def test_a_published_one_whose_length_was_lost_gets_it_back(
        self, open_inbox: Callable[..., Inbox], sender: Sender, tmp_path: Path
    ) -> None:
        path = write_slice(tmp_path)
        inbox = open_inbox(blanks=1)
        await_condition(lambda: inbox.num_blanks == 1, "a blank file")
        add(inbox, [path], sender)
        inbox.close()
        (kept,) = kept_in(inbox.root)
        os.truncate(kept, FIRST_BYTES)
        for file in inbox.root.glob("index.sqlite3*"):
            file.unlink()
        assert [r.stored for r in open_inbox().receipts()] == [1]
        assert data_set_of(kept) == data_set_of(path)


class TestName:
    @pytest.fixture
    def nameless(self, prepared: Inbox, sender: Sender, tmp_path: Path) -> Path:
        """An instance that was kept and could not be given its name; the shelf that it lacks."""
        path = write_slice(tmp_path, **PIXELS)
        shelf = prepared.root / "instances" / hashlib.sha256(data_set_of(path)).hexdigest()[:2]
        shelf.rmdir()
        assert add(prepared, [path], sender) == [Outcome.STORED]
        assert kept_in(prepared.root) == []
        return shelf

    def test_it_is_named_as_the_inbox_is_closed(
        self, nameless: Path, prepared: Inbox, open_inbox: Callable[..., Inbox]
    ) -> None:
        nameless.mkdir()
        prepared.close()
        assert [is_whole(kept) for kept in kept_in(prepared.root)] == [True]
        assert list((prepared.root / "owners").iterdir()) == []

    def test_it_waits_for_whoever_opens_the_inbox_next(
        self, nameless: Path, prepared: Inbox, open_inbox: Callable[..., Inbox]
    ) -> None:
        prepared.close()
        assert kept_in(prepared.root) == []
        inbox = open_inbox()  # which makes the shelf again
        assert [is_whole(kept) for kept in kept_in(inbox.root)] == [True]
        assert sum(receipt.stored for receipt in inbox.receipts()) == 1
        assert blanks_in(inbox.root) == []
