"""The token bucket: a steady rate, a small burst, over all threads together, and over a real association."""

import threading
import time
from pathlib import Path

import pytest

from pacs_gateway.pace import PIECE, Pace
from pacs_gateway.peers import Peer
from pacs_gateway.sender import send
from tests.pacs import small_pacs, write_study


class Slept:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds


def test_rate_is_kept_after_a_small_burst() -> None:
    slept = Slept()
    pace = Pace(100_000, clock=lambda: slept.now, sleep=slept.sleep)
    for _ in range(1000):
        pace.take(1000)
    assert slept.now - 100.0 == pytest.approx(10.0 - 0.25, abs=0.05)
    assert pace.taken == 1_000_000


def test_time_that_nobody_used_is_not_saved_up() -> None:
    slept = Slept()
    pace = Pace(100_000, clock=lambda: slept.now, sleep=slept.sleep)
    slept.now += 3600
    pace.take(200_000)
    assert slept.now - 3700.0 == pytest.approx(2.0 - 0.25, abs=0.01)


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(0, sleep=lambda _: pytest.fail("slept"))
    pace.take(10**9)


def test_an_association_keeps_the_pace(tmp_path: Path) -> None:
    paths = write_study(tmp_path, slices=8, side=64)
    size = sum(path.stat().st_size for path in paths)
    pace = Pace(size, sleep=time.sleep)
    with small_pacs() as pacs:
        started = time.monotonic()
        results = send(paths, Peer("SMALLPACS", "127.0.0.1", pacs.port), handlers=pace.handlers())
        took = time.monotonic() - started
    assert all(result.stored for result in results)
    assert pace.taken > 0.9 * size
    assert took > 0.4, "a second's worth of bytes, less the burst"
    assert size > PIECE * 8
