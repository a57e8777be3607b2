"""The inbox's files: written aside, made durable under their hash, found again after a crash.

owners/<token>/            one folder per process, locked while it lives; its half-written files are in it
instances/<2>/<sha256>     durable Part 10 files, named by the hash of their data set
quarantine/                bytes that were refused, for diagnosis
"""

import contextlib
import fcntl
import hashlib
import itertools
import mmap
import os
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacs_gateway.part10 import read_meta

NAMES_FOLLOW = frozenset({"ext4", "xfs", "btrfs", "f2fs"})
QUARANTINE_FILES = 500
"""The oldest go first beyond this many."""
DEFAULT_RESERVE = 1 << 30
DEFAULT_INSTANCE_LIMIT = 4 << 30


class NoRoom(ValueError):
    """The disk is too full to promise that an instance will be kept."""


class TooLarge(ValueError):
    """One instance exceeds what may be received."""


class Spool:
    """Folders of one inbox, and this process's place in them."""

    def __init__(
        self, root: Path, *, reserve_bytes: int, instance_limit: int = DEFAULT_INSTANCE_LIMIT
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
        _sync_folder(self.instances)
        self._names_follow = names_follow_files(root)
        self._prepared: deque[tuple[Path, int]] = deque()
        self._folder = self.owners / self.owner
        with self.recovering():
            self._folder.mkdir()
            self._lock = _try_lock(self._folder / "lock")
        assert self._lock is not None

    def path_of(self, sha256: str) -> Path:
        return self.instances / sha256[:2] / sha256

    def prepare(self) -> None:
        """Make the file that the next instance goes to, while its sender is still reading it."""
        if not self._prepared:
            with contextlib.suppress(OSError):  # what is wrong is said to whoever needs the file
                self._prepared.append(self._new_part())

    def take_part(self) -> tuple[Path, int]:
        """A file to write to and its descriptor; both are the caller's from now on."""
        try:
            return self._prepared.pop()
        except IndexError:
            return self._new_part()

    def _new_part(self) -> tuple[Path, int]:
        path = self._folder / f"{next(self._names)}.part"
        return path, os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def check_room(self) -> None:
        """Refuse before the disk is full, so that what is acknowledged can be kept.

        Raises:
            NoRoom: less than `reserve_bytes` are free.
        """
        stat = os.statvfs(self.root)
        free = stat.f_bavail * stat.f_frsize
        if free < self.reserve_bytes:
            raise NoRoom(f"{free} bytes free, {self.reserve_bytes} are kept in reserve")

    def publish(self, part: Path, descriptor: int, sha256: str) -> Path:
        """Make a written file durable under its hash; whoever else published it first did so as well."""
        path = self.path_of(sha256)
        try:
            os.link(part, path)
            os.fsync(descriptor)
        except FileExistsError:
            # the other one may still be on its way to the disk, and both senders will be told Success
            with path.open("rb") as other:
                os.fsync(other.fileno())
        if not self._names_follow:
            _sync_folder(path.parent)
        return path

    def keep_aside(self, part: Path) -> Path | None:
        """Move refused bytes to quarantine; None where even that fails."""
        kept = self.quarantine / f"{secrets.token_hex(12)}.bin"
        try:
            part.replace(kept)
            files = sorted(self.quarantine.iterdir(), key=lambda file: file.stat().st_mtime)
            for old in files[:-QUARANTINE_FILES]:
                old.unlink(missing_ok=True)
        except OSError:
            part.unlink(missing_ok=True)
            return None
        return kept

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """One process at a time comes, or clears up after another."""
        with (self.root / "recover.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def dead_owners(self) -> list[str]:
        """Clear the folders of processes that have ended, and name them. Call inside `recovering`."""
        dead = []
        for folder in self.owners.iterdir():
            if folder == self._folder:
                continue
            lock = _try_lock(folder / "lock")
            if lock is not None:
                dead.append(folder.name)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
        return dead

    def unindexed(self, known: set[str]) -> Iterator[Path]:
        """Durable files the index does not know; those another process is just indexing are left out."""
        for shelf in sorted(self.instances.iterdir()):
            for path in shelf.iterdir():
                if path.name not in known and path.stat().st_nlink == 1:
                    yield path

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        assert self._lock is not None
        for descriptor in (self._lock, *(descriptor for _, descriptor in self._prepared)):
            os.close(descriptor)


def is_whole(path: Path) -> bool:
    """Whether a published file holds the data set its name promises; a power cut can leave one that does not."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            offset = read_meta(data).data_set_offset
            view = memoryview(data)[offset:]
            try:
                return hashlib.sha256(view).hexdigest() == path.name
            finally:
                view.release()
    except (OSError, ValueError):
        return False


def names_follow_files(root: Path) -> bool:
    """Whether fsync of a file that was just linked makes the new name durable too.

    These file systems log the name and the inode together; elsewhere the folder needs a sync of its own,
    which on a busy disk costs as much again.
    """
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return False
    kinds = {fields[4]: fields[fields.index("-") + 1] for fields in mounts}
    place = root.resolve()
    mount = next((str(folder) for folder in (place, *place.parents) if str(folder) in kinds), "")
    return kinds.get(mount) in NAMES_FOLLOW


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
