"""The bytes of uploads on disk: appended in order, and synced before anybody is told."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from service.errors import Busy, ChecksumMismatch, DiskFull, NotFound, OffsetMismatch, TooLarge


class UploadFiles:
    """A folder with one file an upload, named by its token.

    Args:
        data: The hub's data folder; the uploads' own within it is made when the first comes.
        reserve_bytes: Room that stays free.
    """

    def __init__(self, data: Path, *, reserve_bytes: int) -> None:
        self._folder = data / "uploads"
        self._reserve = reserve_bytes

    def path(self, token: str) -> Path:
        """Where the bytes are."""
        return self._folder / f"{token}.part"

    def begin(self, token: str, size: int) -> None:
        """Make an empty file.

        Raises:
            DiskFull: there is no room for so many bytes.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free - self._reserve
        if free < size:
            raise DiskFull(f"there is room for {max(0, free)} bytes, and the file has {size}")
        with self.path(token).open("xb") as file:
            os.fsync(file.fileno())
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def offset(self, token: str) -> int:
        """How many bytes are here; 0 where the file is gone."""
        try:
            return self.path(token).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def appending(
        self, token: str, at: int, size: int, *, sha256: bytes | None = None
    ) -> Iterator["Appending"]:
        """Take bytes from an offset on; what came is synced at the end, even where the line broke.

        Args:
            token: Of the upload.
            at: Where the sender says that it goes on.
            size: Of the whole file.
            sha256: Of what is to come now; where it is another, nothing of it stays.

        Raises:
            NotFound: the bytes are gone.
            Busy: somebody else is sending to this upload.
            OffsetMismatch: another number of bytes is here.
            ChecksumMismatch: the bytes are not those that were announced.
        """
        with self._open(token) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("somebody else is sending to this upload") from None
            here = file.seek(0, os.SEEK_END)
            if here != at:
                raise OffsetMismatch(f"{here} bytes are here, not {at}")
            appending = Appending(file, at, size)
            try:
                yield appending
            finally:
                if sha256 is not None and appending.digest() != sha256:
                    file.truncate(at)
                file.flush()
                os.fsync(file.fileno())
            if sha256 is not None and appending.digest() != sha256:
                raise ChecksumMismatch("the bytes are not those that were announced; send them again")

    def _open(self, token: str) -> BinaryIO:
        try:
            return self.path(token).open("r+b")
        except FileNotFoundError:
            raise NotFound("the bytes of this upload are gone; begin it again") from None

    def remove(self, token: str) -> None:
        """Delete the bytes; twice does no harm."""
        self.path(token).unlink(missing_ok=True)


class Appending:
    """Bytes going to the end of one file."""

    def __init__(self, file: BinaryIO, at: int, size: int) -> None:
        self._file = file
        self._size = size
        self._hash = hashlib.sha256()
        self.offset = at

    def write(self, data: bytes) -> None:
        """Add some.

        Raises:
            TooLarge: more than were announced; none of these stay.
        """
        if self.offset + len(data) > self._size:
            raise TooLarge(f"more than the {self._size} bytes that were announced")
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)

    def digest(self) -> bytes:
        """SHA-256 of what was added."""
        return self._hash.digest()
