"""AnonymousFiles: images without the patient on their way into a data set; a freeze cut short keeps them."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from labeling.manifest import sha256_of
from pacs_gateway.deidentify import deidentify
from pacs_gateway.part10 import IMPLEMENTATION_VERSION_NAME
from pacs_gateway.pseudonyms import Key
from service.errors import AlreadyExists, HubError
from service.storage import Storage


@dataclass(frozen=True, slots=True)
class Made:
    """One file of a data set to be."""

    path: Path
    digest: str
    """SHA-256."""


class AnonymousFiles:
    """Makes the images of one case after the other anonymous, and knows those that an earlier try has made.

    Args:
        folder: Where they lie; nobody else works in it.
        storage: Where the studies' files are.
        key: The secret behind the pseudonyms.
    """

    def __init__(self, folder: Path, storage: Storage, key: Key) -> None:
        self.folder = folder
        self._storage = storage
        self._key = key

    def of(self, case: str, keys: Sequence[str], hcode: str) -> dict[str, Made]:
        """The images of a case by their name in the data set; empty where none may leave care.

        Those of an earlier try are taken where they are of the same files, by the same key and version, and
        still what they were: after a power cut one may be empty.

        Args:
            case: Its pseudonym.
            keys: Of its files in the storage.
            hcode: The hospital whose HN PatientID is.
        """
        record = self.folder / f"{case}.json"
        made_of = self._made_of(keys, hcode)
        if (known := self._known(record, made_of)) is not None:
            return known
        shutil.rmtree(self.folder / case, ignore_errors=True)
        made = {
            f"{case}/{path.name}": Made(path, sha256_of(path)) for path in self._written(case, keys, hcode)
        }
        files = {name: [str(each.path.relative_to(self.folder)), each.digest] for name, each in made.items()}
        record.write_text(json.dumps({"of": made_of, "files": files}), encoding="utf-8")
        return made

    def _written(self, case: str, keys: Sequence[str], hcode: str) -> tuple[Path, ...]:
        paths = (self._storage.path(each) for each in keys)
        # they are copied into the set, and synced there
        return deidentify(paths, self.folder / case, key=self._key, hcode=hcode, durable=False).written

    def _made_of(self, keys: Sequence[str], hcode: str) -> str:
        """What the images follow from, without telling anything of it."""
        parts = [IMPLEMENTATION_VERSION_NAME, self._key.uid("anonymous"), hcode, *keys]
        return sha256("\0".join(parts).encode()).hexdigest()

    def _known(self, record: Path, made_of: str) -> dict[str, Made] | None:
        try:
            said = json.loads(record.read_text(encoding="utf-8"))
            if said["of"] != made_of:
                return None
            made = {name: Made(self.folder / path, digest) for name, (path, digest) in said["files"].items()}
            whole = all(sha256_of(each.path) == each.digest for each in made.values())
        except (OSError, ValueError, KeyError):
            return None
        return made if whole else None


@contextmanager
def anonymous_files(place: Path, name: str, storage: Storage, key: Key) -> Iterator[AnonymousFiles]:
    """A folder for the images of one data set to be, held alone; what a killed try has left in it is there.

    It is taken away at the end, and where the hub refuses to freeze; on any other error it stays, for the
    same freeze to go on with.

    Args:
        place: The folder of the data set's folder, and so on the same file system.
        name: Of the data set's folder.
        storage: Where the studies' files are.
        key: The secret behind the pseudonyms.

    Raises:
        AlreadyExists: somebody else is freezing it now.
    """
    folder = place / f".anonymous-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder, name)
        for half in place.glob(f".{name}.*"):  # what a killed try was about to rename
            shutil.rmtree(half)
        try:
            yield AnonymousFiles(folder, storage, key)
        except HubError:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, name: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = folder.stat().st_ino == os.fstat(handle).st_ino
    except (BlockingIOError, FileNotFoundError):
        ours = False
    if not ours:  # held by another, or just taken away by one who held it
        raise AlreadyExists(f"{name} is being frozen at this moment; wait for it to end")
