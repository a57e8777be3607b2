"""Blank files: their blocks lie on the disk already, and an image costs its bytes but no journal's commit.

A new file is durable when the file system has committed its inode, its blocks and its name, which takes as
long as the bytes themselves. A blank was written with zeros and synced while nobody was sending; filling it
changes bytes alone, and `fdatasync` is enough. `seal` tells how a filled one is known after a power cut.
"""

import contextlib
import itertools
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pacs_gateway.disk import sync_folder
from pacs_gateway.seal import BLANK_SUFFIX

log = logging.getLogger(__name__)

PAGE = 4096
FIRST_BYTES = 129 * PAGE
"""Until sizes are known: a slice of 512 x 512 with 4 kB for its header."""
MOST_BYTES = 320 * PAGE
"""No blank is larger; a larger instance grows the file and is synced whole."""
REMEMBERED = 64
"""Instances by whose sizes blanks are cut: giving back a block too many costs a fifth of a sync."""
QUIET_SECONDS = 1.0
"""Blanks are made when nobody has taken one for so long: senders need the disk more."""
BATCH = 16
"""Made at a time; the commit of the first one's sync carries the others."""
RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Blank:
    """A file of so many zeros, all of them on the disk."""

    path: Path
    size: int


class Blanks:
    """A store of blank files, filled up by a thread of its own while it is quiet.

    Args:
        folder: where they lie; nobody else writes `.blank` files there.
        count: how many are kept ready.
        has_room: whether the disk can spare so many bytes.
    """

    def __init__(self, folder: Path, count: int, has_room: Callable[[int], bool]) -> None:
        self._folder = folder
        self._count = count
        self._has_room = has_room
        self._names = itertools.count()
        self._ready: deque[Blank] = deque()
        self._sizes: deque[int] = deque(maxlen=REMEMBERED)
        self._taken_at = float("-inf")
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_filled, name="blank-files", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def size(self) -> int:
        """Of a blank that fits most of the last instances, bytes."""
        seen = Counter(tuple(self._sizes)).most_common(1)
        return seen[0][0] if seen else FIRST_BYTES

    def take(self) -> Blank | None:
        """A blank, which is the caller's from now on; None where none is left."""
        self._taken_at = time.monotonic()
        try:
            return self._ready.popleft()
        except IndexError:
            return None
        finally:
            self._wanted.set()

    def learn(self, size: int) -> None:
        """Note the size of a file that was written."""
        if size <= MOST_BYTES:
            self._sizes.append(-(-size // PAGE) * PAGE)

    def close(self) -> None:
        """Make no more; those that are left stay in the folder."""
        self._stopped.set()
        self._wanted.set()
        self._thread.join()

    def _keep_filled(self) -> None:
        while not self._stopped.is_set():
            self._wanted.clear()
            size, ready = self.size, tuple(self._ready)
            missing = self._count - len(ready)
            if missing <= 0 and all(blank.size == size for blank in ready):
                self._wanted.wait()
                continue
            busy = QUIET_SECONDS - (time.monotonic() - self._taken_at)
            if busy > 0:
                self._stopped.wait(busy)
            elif not (self._make(min(missing, BATCH), size) if missing > 0 else self._fit(size)):
                self._stopped.wait(RETRY_SECONDS)

    def _make(self, count: int, size: int) -> bool:
        """Whether so many were made; without them instances go to new files, as they would anyway."""
        made = [Blank(self._folder / f"{next(self._names)}{BLANK_SUFFIX}", 0) for _ in range(count)]
        return self._write(made, size)

    def _fit(self, size: int) -> bool:
        """Give some that have another size this one."""
        odd: list[Blank] = []
        for _ in range(len(self._ready)):
            try:
                blank = self._ready.popleft()
            except IndexError:
                break
            if blank.size == size or len(odd) == BATCH:
                self._ready.append(blank)
            else:
                odd.append(blank)
        return self._write(odd, size)

    def _write(self, blanks: list[Blank], size: int) -> bool:
        try:
            if not self._has_room(sum(size - blank.size for blank in blanks)):
                raise OSError("the disk has no room to spare")
            _write_zeros(blanks, size)
            sync_folder(self._folder)
            sync_folder(self._folder.parent)
        except OSError as error:
            log.warning("no blank files could be made: %s", error)
            for blank in blanks:
                with contextlib.suppress(OSError):
                    blank.path.unlink(missing_ok=True)
            return False
        self._ready.extend(Blank(blank.path, size) for blank in blanks)
        return True


def _write_zeros(blanks: list[Blank], size: int) -> None:
    """Bring files to this size, and onto the disk."""
    descriptors = []
    try:
        for blank in blanks:
            descriptor = os.open(blank.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            descriptors.append(descriptor)
            os.ftruncate(descriptor, min(size, blank.size))
            written = blank.size
            while written < size:
                written += os.pwrite(descriptor, bytes(size - written), written)
        for descriptor in descriptors:
            os.fsync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
