"""The seal of a file that was filled in place: how much of it counts, and what that must hash to.

It lies in the preamble, which PS3.10 7.1 leaves to whoever writes the file. A blank that is sealed is durable
under its working name, before its length and its final name are; after a power cut it is found by that name,
and one that was torn is known by its hash.
"""

import hashlib
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from pacs_gateway.elements import Buffer
from pacs_gateway.part10 import read_meta

MAGIC = b"HUBSEAL1"
BLANK_SUFFIX = ".blank"
_LAYOUT = Struct("<8sQ32s")


@dataclass(frozen=True, slots=True)
class Seal:
    """What a blank was filled with."""

    size: int
    """Bytes of the file that count, preamble and meta group among them."""
    sha256: str
    """Of the data set."""

    def packed(self) -> bytes:
        return _LAYOUT.pack(MAGIC, self.size, bytes.fromhex(self.sha256))


def read_seal(data: Buffer) -> Seal | None:
    """The seal in a file's preamble; None where there is none."""
    if len(data) < _LAYOUT.size:
        return None
    magic, size, sha256 = _LAYOUT.unpack(bytes(data[: _LAYOUT.size]))
    return Seal(size, sha256.hex()) if magic == MAGIC and size <= len(data) else None


def is_whole(path: Path) -> bool:
    """Whether a published file holds the data set its name promises; after a power cut it may not."""
    return restore(path) == path.name


def restore(path: Path) -> str | None:
    """The hash of a file's data set; of a sealed one after its length was set right.

    None where it is no file of ours, was never sealed though it was a blank, or was torn.
    """
    try:
        with path.open("r+b") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                seal = read_seal(data)
                if seal is None and path.suffix == BLANK_SUFFIX:
                    return None
                size = len(data) if seal is None else seal.size
                sha256 = _hash_of(data, size)
            if seal is not None and seal.sha256 == sha256:
                os.ftruncate(file.fileno(), size)
    except (OSError, ValueError):
        return None
    return sha256 if seal is None or seal.sha256 == sha256 else None


def _hash_of(data: mmap.mmap, size: int) -> str:
    offset = read_meta(data).data_set_offset
    view = memoryview(data)[offset:size]
    try:
        return hashlib.sha256(view).hexdigest()
    finally:
        view.release()
