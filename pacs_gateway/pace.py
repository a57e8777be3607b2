"""Pace: no more bytes a second than a weak link may be asked to carry. A token bucket."""

import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom import evt

PIECE = 8192
"""Bytes written at once, so that a large PDU does not go out in one burst."""
BURST_SECONDS = 0.25


class Pace:
    """Lets bytes through at a steady rate, over all connections together.

    Args:
        bytes_per_second: 0 lets everything through at once.
        clock: Seconds; only tests give another.
        sleep: Waits; only tests give another.
    """

    def __init__(
        self,
        bytes_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._room = max(bytes_per_second * BURST_SECONDS, PIECE)
        self._tokens = self._room
        self._clock, self._sleep = clock, sleep
        self._seen = clock()
        self._lock = threading.Lock()
        self.taken = 0
        """Bytes let through so far."""

    def take(self, count: int) -> None:
        """Wait until `count` bytes may go."""
        with self._lock:
            self.taken += count
            if not self._rate:
                return
            now = self._clock()
            self._tokens = min(self._room, self._tokens + (now - self._seen) * self._rate) - count
            self._seen = now
            wait = -self._tokens / self._rate
        if wait > 0:
            self._sleep(wait)

    def handlers(self) -> list[tuple[Any, Callable[[evt.Event], None]]]:
        """What makes a pynetdicom association keep the pace: `send(handlers=...)`."""
        return [(evt.EVT_CONN_OPEN, self._harness)]

    def _harness(self, event: evt.Event) -> None:
        transport = event.assoc.dul.socket
        if transport is None:
            return
        unpaced = transport.send

        def send(bytestream: bytes) -> None:
            for start in range(0, len(bytestream), PIECE):
                piece = bytestream[start : start + PIECE]
                self.take(len(piece))
                unpaced(piece)

        transport.send = send  # type: ignore[method-assign]
