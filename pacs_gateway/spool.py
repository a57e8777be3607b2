"""The inbox's files: written aside, made durable under their hash, found again after a crash.

owners/<token>/            one folder per process, locked while it lives; in it half-written and blank files
instances/<2>/<sha256>     durable Part 10 files, named by the hash of their data set
quarantine/                bytes that were refused, for diagnosis
"""

import contextlib
import fcntl
import itertools
import logging
import os
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pacs_gateway.blanks import Blanks
from pacs_gateway.disk import is_filled_in_place, names_follow_files, sync_folder
from pacs_gateway.seal import BLANK_SUFFIX, Seal, restore

log = logging.getLogger(__name__)

QUARANTINE_FILES = 500
QUARANTINE_BYTES = 2 << 30
"""Beyond either the oldest go first."""
DEFAULT_RESERVE = 1 << 30
DEFAULT_INSTANCE_LIMIT = 4 << 30


class NoRoom(ValueError):
    """The disk is too full to promise that an instance will be kept."""


class TooLarge(ValueError):
    """One instance exceeds what may be received."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file that an instance is written to."""

    path: Path
    descriptor: int
    blank_bytes: int = 0
    """So many of its bytes have their place on the disk already."""

    def is_sealed(self, size: int) -> bool:
        """Whether `size` bytes of it are made durable by a seal, and not by a new size and name."""
        return size <= self.blank_bytes


class Spool:
    """Folders of one inbox, and this process's place in them.

    Args:
        root: the inbox's folder.
        reserve_bytes: below this much free disk, instances are refused.
        instance_limit: the largest instance taken, bytes.
        blanks: how many blank files are kept ready, where the file system lets them be filled in place.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve_bytes: int,
        instance_limit: int = DEFAULT_INSTANCE_LIMIT,
        blanks: int = 0,
    ) -> None:
        self.root = root
        self.reserve_bytes = reserve_bytes
        self.instance_limit = instance_limit
        self.owner = secrets.token_hex(8)
        self._names = itertools.count()
        self.instances = root / "instances"
        self.quarantine = root / "quarantine"
        self.owners = root / "owners"
        for folder in (self.instances, self.quarantine, self.owners):
            folder.mkdir(parents=True, exist_ok=True)
        for byte in range(256):
            (self.instances / f"{byte:02x}").mkdir(exist_ok=True)
        sync_folder(self.instances)
        self._names_follow = names_follow_files(root)
        self._prepared: deque[Part] = deque()
        self._folder = self.owners / self.owner
        with self.recovering():
            self._folder.mkdir()
            self._lock = _try_lock(self._folder / "lock")
        assert self._lock is not None
        self._blanks: Blanks | None = None
        if blanks and is_filled_in_place(root):
            self._blanks = Blanks(self._folder, blanks, self._has_room)

    @property
    def num_blanks(self) -> int:
        """Blank files that are ready."""
        return 0 if self._blanks is None else len(self._blanks)

    def path_of(self, sha256: str) -> Path:
        return self.instances / sha256[:2] / sha256

    def prepare(self) -> None:
        """Make the file that the next instance goes to, while its sender is still reading it."""
        if not self._prepared:
            with contextlib.suppress(OSError):  # what is wrong is said to whoever needs the file
                self._prepared.append(self._new_part())

    def take_part(self) -> Part:
        """A file to write to; it is the caller's from now on."""
        try:
            return self._prepared.pop()
        except IndexError:
            return self._new_part()

    def _new_part(self) -> Part:
        blank = None if self._blanks is None else self._blanks.take()
        if blank is not None:
            with contextlib.suppress(FileNotFoundError):
                return Part(blank.path, os.open(blank.path, os.O_RDWR | os.O_CLOEXEC), blank.size)
        path = self._folder / f"{next(self._names)}.part"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        return Part(path, descriptor)

    def check_room(self) -> None:
        """Refuse before the disk is full, so that what is acknowledged can be kept.

        Raises:
            NoRoom: less than `reserve_bytes` are free.
        """
        free = self._free_bytes()
        if free < self.reserve_bytes:
            raise NoRoom(f"{free} bytes free, {self.reserve_bytes} are kept in reserve")

    def _free_bytes(self) -> int:
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize

    def _has_room(self, size: int) -> bool:
        """Whether blank files may take so much: never of what is left for instances on a filling disk."""
        return self._free_bytes() - size > 2 * self.reserve_bytes

    def publish(self, part: Part, sha256: str, size: int) -> Path:
        """Make a written file of `size` bytes durable, and say where it will lie once it is settled.

        Whoever else published the same first made it durable as well.
        """
        path = self.path_of(sha256)
        if self._blanks is not None:
            self._blanks.learn(size)
        if part.is_sealed(size):
            os.pwrite(part.descriptor, Seal(size, sha256).packed(), 0)
            os.fdatasync(part.descriptor)
            return path
        if _link(part.path, path):
            os.fsync(part.descriptor)
        else:
            _sync_other(path)
        if not self._names_follow:
            sync_folder(path.parent)
        return path

    def settle(self, part: Part, sha256: str, size: int) -> None:
        """Give a durable file its size and its name, and let go of the working one.

        A sealed file needs neither to be found after a power cut, so its sender does not wait for them.

        Raises:
            OSError: it keeps its working name, and is published when this process has ended.
        """
        try:
            if part.is_sealed(size):
                os.ftruncate(part.descriptor, size)
                _link(part.path, self.path_of(sha256))
        finally:
            os.close(part.descriptor)
        part.path.unlink(missing_ok=True)

    def let_go(self, part: Part) -> None:
        """Remove a working name."""
        os.close(part.descriptor)
        part.path.unlink(missing_ok=True)

    def keep_aside(self, part: Part, size: int) -> Path | None:
        """Move refused bytes to quarantine; None where even that fails."""
        kept = self.quarantine / f"{secrets.token_hex(12)}.bin"
        try:
            os.ftruncate(part.descriptor, size)
            part.path.replace(kept)
            self._prune_quarantine()
        except OSError:
            part.path.unlink(missing_ok=True)
            return None
        return kept

    def _prune_quarantine(self) -> None:
        files = sorted(((file.stat().st_mtime, file) for file in self.quarantine.iterdir()), reverse=True)
        total = 0
        for number, (_, file) in enumerate(files):
            total += file.stat().st_size
            if number >= QUARANTINE_FILES or total > QUARANTINE_BYTES:
                file.unlink(missing_ok=True)

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """One process at a time comes, or clears up after another."""
        with (self.root / "recover.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def dead_owners(self) -> list[str]:
        """Clear the folders of processes that have ended, and name them. Inside `recovering`."""
        dead = []
        for folder in self.owners.iterdir():
            if folder == self._folder:
                continue
            lock = _try_lock(folder / "lock")
            if lock is not None:
                if self._adopt(folder):
                    dead.append(folder.name)
                    shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
        return dead

    def _adopt(self, folder: Path) -> bool:
        """Publish the sealed files of a process that ended before their names were durable, or made.

        Whether nothing is left in the folder that somebody was told is kept.
        """
        try:
            for path in folder.glob(f"*{BLANK_SUFFIX}"):
                sha256 = restore(path)
                if sha256 is None:
                    continue
                published = self.path_of(sha256)
                if _link(path, published):
                    log.warning("a sealed file was published", extra={"sha256": sha256})
                _sync_other(published)
        except OSError as error:
            log.error("sealed files cannot be published yet: %s", error, extra={"owner": folder.name})
            return False
        return True

    def unindexed(self, known: set[str]) -> Iterator[Path]:
        """Durable files the index does not know, but for those a live process is just indexing."""
        for shelf in sorted(self.instances.iterdir()):
            for path in shelf.iterdir():
                if path.name not in known and path.stat().st_nlink == 1:
                    yield path

    def close(self) -> None:
        if self._blanks is not None:
            self._blanks.close()
        if self._adopt(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)
        assert self._lock is not None
        for descriptor in (self._lock, *(part.descriptor for part in self._prepared)):
            os.close(descriptor)


def _link(part: Path, path: Path) -> bool:
    """Whether the name was free."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    return True


def _sync_other(path: Path) -> None:
    """The other one may still be on its way to the disk, and both senders will be told Success."""
    with path.open("rb") as other:
        os.fsync(other.fileno())


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
