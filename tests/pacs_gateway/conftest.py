"""An inbox, a listener on a free port and the real studies, for the gateway's tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pacs_gateway.callers import Callers
from pacs_gateway.headers import Sender
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener


class Clock:
    """Time that only moves when told."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sender() -> Sender:
    return Sender("UDON_CT1", "IMAGINGHUB", "10.8.0.5", "10671")


@pytest.fixture
def open_inbox(tmp_path: Path) -> Iterator[Callable[..., Inbox]]:
    """Opens the test's inbox, as often as wanted; all are closed at the end."""
    with ExitStack() as stack:

        def open_one(**options: Any) -> Inbox:
            inbox = Inbox(tmp_path / "inbox", **{"reserve_bytes": 0, **options})
            stack.callback(inbox.close)
            return inbox

        yield open_one


@pytest.fixture
def inbox(open_inbox: Callable[..., Inbox]) -> Inbox:
    return open_inbox()


@pytest.fixture
def listen(
    tmp_path: Path, open_inbox: Callable[..., Inbox]
) -> Iterator[Callable[..., tuple[Inbox, Listener]]]:
    """Starts a listener on a free port that lets anybody in, unless told otherwise."""
    with ExitStack() as stack:

        def start(inbox: Inbox | None = None, **options: Any) -> tuple[Inbox, Listener]:
            inbox = inbox or open_inbox()
            options = {"host": "127.0.0.1", "port": 0, "learn": True, "grace_seconds": 5.0, **options}
            listener = Listener(inbox, Callers(tmp_path / "callers.json"), **options)
            listener.start()
            stack.callback(listener.stop)
            return inbox, listener

        yield start


@pytest.fixture(scope="session")
def real_studies() -> Path:
    """The folder of real studies; tests that need it are skipped where it is not."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("HUB_TEST_DATA", root.parent / "shared" / "data")) / "dicom"
    if not folder.is_dir():
        pytest.skip(f"no real head CT in {folder}")
    return folder
