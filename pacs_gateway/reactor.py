"""Keep pynetdicom's reactor thread away from the answers that a sender waits for.

pynetdicom 3.0 pauses that thread around each request, but looks at a flag that the thread sets before it
waits: a thread just past the wait takes the answer off the queue, and the sender waits for its time-out (one
study in some sixty here). So the thread is held once for all requests, and only when it is known to wait.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom.association import Association

HOLD_SECONDS = 5.0


class _Checkpoint(threading.Event):
    """An event that says when somebody waits for it, and opens only when let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().wait(timeout)

    def set(self) -> None:
        """Not yet: pynetdicom sets it after each request."""

    def let_go(self) -> None:
        super().set()


@contextmanager
def reactor_held(association: Association) -> Iterator[None]:
    """Hold the reactor thread of an established association while requests are sent over it."""
    before, checkpoint = association._reactor_checkpoint, _Checkpoint()
    association._reactor_checkpoint = checkpoint
    try:
        # it comes by every millisecond, unless the association has ended
        checkpoint.reached.wait(HOLD_SECONDS)
        yield
    finally:
        association._reactor_checkpoint = before
        checkpoint.let_go()
