"""A lock on a file: one process of a machine does the work, the others wait to take over."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path, stop: threading.Event) -> Iterator[bool]:
    """Hold the lock; False when `stop` was set before it came free."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        while not stop.is_set():
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stop.wait(1.0)
            else:
                yield True
                return
        yield False
    finally:
        os.close(handle)
