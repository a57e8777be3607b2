"""A model package that comes as a zip over the network: on disk, unpacked within limits, and proven apart.

The engines that prove a package need 400 MB and half a minute, so a process of its own does that, and the
API stays as light as it is. One package at a time is taken in.
"""

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

from sqlalchemy import Engine, select

from model.stroke import StrokeType
from model.weights import MANIFEST
from service.accounts import Viewer
from service.db import session_scope
from service.errors import BadRequest, Busy, HubError, TooLarge
from service.models import Model, register_model
from service.placements import check_places

LARGEST = 1 << 30
"""Bytes of a zip; the shipped package has 8 MB."""
LARGEST_UNPACKED = 4 << 30
MOST_FILES = 1000
PROVE_SECONDS = 600.0
REFUSED = 3
"""Exit status of the process that proves: the package is at fault, and its last words say how."""
FOLDER, LOCK = "models", ".arriving.lock"
NOT_READ = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@contextmanager
def landing(data: Path) -> Iterator[Path]:
    """A folder in HUB_DATA for one package on its way in; it is gone afterwards.

    Raises:
        Busy: another package is being taken in.
    """
    place = data / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    handle = os.open(place / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another package is being taken in; try again in a minute") from None
        with tempfile.TemporaryDirectory(dir=place, prefix=".arriving-") as scratch:
            yield Path(scratch)
    finally:
        os.close(handle)


class Packed:
    """The bytes of a zip, as they come, and no more than may be."""

    def __init__(self, path: Path, data: Path, reserve: int) -> None:
        self.path = path
        self._file = path.open("wb")
        self._room = min(LARGEST, max(0, shutil.disk_usage(data).free - reserve) // 2)
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Take a piece.

        Raises:
            TooLarge: the zip has more than LARGEST bytes, or more than half of what the disk may still take.
        """
        self._size += len(chunk)
        if self._size > self._room:
            raise TooLarge(f"a package of more than {self._room} bytes")
        self._file.write(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def unpack(packed: Path, folder: Path) -> Path:
    """Unpack a zip; return the folder of the package in it: the top, or the one folder at the top.

    Raises:
        BadRequest: it is no zip, damaged, too large, or a name in it leads elsewhere; or there is no package.
    """
    try:
        with zipfile.ZipFile(packed) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            _check(members)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except NOT_READ as error:
        raise BadRequest(f"the package is no zip that can be read: {error}") from None
    found = [folder, *(each for each in sorted(folder.iterdir()) if each.is_dir())]
    for place in found:
        if (place / MANIFEST).is_file():
            return place
    raise BadRequest(f"the zip holds no {MANIFEST}, neither at its top nor in a folder there")


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES:
        raise BadRequest(f"the zip holds {len(members)} files; {MOST_FILES} is the most")
    whole = sum(each.file_size for each in members)
    if whole > LARGEST_UNPACKED:
        raise BadRequest(f"the zip unpacks to {whole} bytes; {LARGEST_UNPACKED} is the most")
    for each in members:
        name = PurePosixPath(each.filename)
        link = stat.S_ISLNK(each.external_attr >> 16)
        if name.is_absolute() or ".." in name.parts or "\\" in each.filename or "\0" in each.filename or link:
            raise BadRequest(f"the zip holds {each.filename!r}, which leads elsewhere")


def prove_apart(folder: Path, data: Path) -> dict[str, Any]:
    """`model_packages.take_in` in a process of its own; what `models.register_model` takes.

    Raises:
        BadRequest: the package is refused; the text says why.
    """
    command = [sys.executable, "-m", "service.model_packages", str(folder), str(data)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROVE_SECONDS, cwd=Path(__file__).parent.parent
        )
    except subprocess.TimeoutExpired:
        raise BadRequest(f"the package is refused: not proven within {PROVE_SECONDS:.0f} s") from None
    if done.returncode == REFUSED:
        raise BadRequest(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0:
        raise BadRequest(f"the package is refused: the process that proves it ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"assessed": [StrokeType(each) for each in found["assessed"]]}


def register_zip(engine: Engine, viewer: Viewer, packed: Path, data: Path) -> str:
    """Take in the package of a zip that lies in a `landing`; the digest of what is registered then.

    Raises:
        BadRequest: it is refused; the text says why, and nothing of it stays. NotAllowed: the viewer
        has a say at one hospital alone. AlreadyExists: another package has this name; nothing of it stays.
    """
    with session_scope(engine, write=False) as session:
        check_places(session, viewer, [])
    folder = packed.with_suffix("")
    folder.mkdir()
    taken = prove_apart(unpack(packed, folder), data)  # with no session open
    return register_taken(engine, viewer, data, taken).digest


def register_taken(engine: Engine, viewer: Viewer, data: Path, taken: dict[str, Any]) -> Model:
    """Write down a package that was proven; one that is refused now does not stay in the hub's data.

    Raises:
        AlreadyExists: another package has this name.
    """
    try:
        with session_scope(engine) as session:
            return register_model(session, viewer, **taken)
    except HubError:
        with session_scope(engine, write=False) as session:
            ours = session.scalar(select(Model.id).where(Model.folder == taken["folder"])) is None
        if ours:
            shutil.rmtree(data / taken["folder"], ignore_errors=True)
        raise


def copy_all(source: BinaryIO, packed: Packed) -> None:
    """Everything that a file of a form holds."""
    while chunk := source.read(1 << 20):
        packed.write(chunk)
