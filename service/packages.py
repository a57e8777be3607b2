"""Package: letter, images, result and a FHIR document of one referral as a zip, written while it is sent.

Files are named by number, never by a patient. Images are as the hospital sent them; DICOM does not pack, so
nothing is compressed and a study of any size needs no memory.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from service.fhir.document import referral_document
from service.hospital_modes import Mode, mode_of
from service.imaging import instances_of
from service.letters import referral_letter
from service.referrals import Referral
from service.result_objects import objects_of
from service.storage import Storage
from service.studies import Study
from service.thai_time import THAILAND

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """What goes into the zip, read from the rows before it is sent."""

    letter: bytes
    document: dict[str, Any]
    files: Sequence[tuple[str, str]]
    """Name in the zip and storage key."""
    at: datetime


def read_package(
    session: Session, referral: Referral, storage: Storage, *, data: Path, address: str, at: datetime
) -> Package:
    """Read the rows.

    Args:
        session: A reading session.
        referral: In any state.
        storage: Where pictures are.
        data: The hub's data folder.
        address: What people type to reach the hub.
        at: When it is made.
    """
    study = session.get_one(Study, referral.study_id)
    letter = referral_letter(session, referral, storage, data=data, address=address, at=at)
    made = {row.sop_instance_uid for row in objects_of(session, study)}
    if mode_of(session, study.hcode) is not Mode.SILENT:
        made = set()
    instances = [each for each in instances_of(session, study) if each.sop_instance_uid not in made]
    series = list(dict.fromkeys(each.series_instance_uid for each in instances))
    names = [
        f"DICOM/{series.index(each.series_instance_uid) + 1:03d}/{number:05d}.dcm"
        for number, each in enumerate(instances, start=1)
    ]
    return Package(
        letter=letter,
        document=referral_document(session, referral, letter, base=f"{address}/fhir", at=at),
        files=list(zip(names, (each.storage_key for each in instances), strict=True)),
        at=at,
    )


def write_package(package: Package, storage: Storage) -> Iterator[bytes]:
    """The zip, piece by piece."""
    sink = _Sink()
    text = json.dumps(package.document, ensure_ascii=False, indent=1).encode()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("letter.pdf", package.letter), ("bundle.json", text)):
            archive.writestr(_entry(name, package.at), content)
            yield sink.take()
        for name, key in package.files:
            with storage.open(key) as source, archive.open(_entry(name, package.at), "w") as target:
                while piece := source.read(CHUNK):
                    target.write(piece)
                    yield sink.take()
    yield sink.take()


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    local = at.astimezone(THAILAND)
    return zipfile.ZipInfo(name, (local.year, local.month, local.day, local.hour, local.minute, local.second))


class _Sink(RawIOBase):
    """Takes what the archive writes until it is sent; it cannot seek, so sizes follow each file's data."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._pieces.append(bytes(content))
        return len(content)

    def take(self) -> bytes:
        """What has been written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
