"""A listener that hears broken DICOM goes on: it answers, holds nothing open, keeps what was whole."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults import data_set
from benchmarks.fuzz import broken, conversations, fuzz
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.peers import Peer, echo
from pacs_gateway.sender import send
from tests.pacs import await_condition, write_study
from tests.pacs_gateway.conftest import listen, open_inbox  # noqa: F401


def test_broken_conversations_leave_the_listener_whole(
    listen: Callable[..., tuple[Inbox, Listener]],  # noqa: F811
    tmp_path: Path,
) -> None:
    inbox, listener = listen(idle_seconds=2.0)
    peer = Peer("IMAGINGHUB", "127.0.0.1", listener.port)
    first, second, *after = write_study(tmp_path / "study", slices=4)
    before = [first, second]
    assert all(each.stored for each in send(before, peer))
    assert fuzz(listener.port, data_set(before[0]), seconds=3, seed=7) > 10
    await_condition(
        lambda: all(each.closed_at for each in inbox.receipts(limit=10_000)), "every association has ended"
    )
    echo(peer)
    assert all(each.stored for each in send(after, peer))
    assert sum(each.stored for each in inbox.receipts(study_instance_uid="1.2.3.1")) == 4


def test_the_fuzzer_breaks_most_of_what_it_says() -> None:
    dice, whole = random.Random(3), conversations(bytes(100))
    changed = [broken(each, dice) != each for each in whole * 50]
    assert sum(changed) > 0.9 * len(changed)


def test_a_listener_remembers_no_warning() -> None:
    """Python keeps each text that it warned of, and a sloppy scanner makes up a new one each time."""
    warn = (
        "import pydicom.valuerep as v\n"
        "from pacs_gateway.listener_process import hush_pydicom\n"
        "hush_pydicom()\n"
        "from pydicom.dataset import Dataset\n"
        "for n in range(100): setattr(Dataset(), 'StudyInstanceUID', f'1.2.x{n}')\n"
        "print(len(getattr(v, '__warningregistry__', {})))"
    )
    done = subprocess.run([sys.executable, "-c", warn], capture_output=True, text=True, check=True)
    assert (int(done.stdout) <= 1, done.stderr) == (True, "")
