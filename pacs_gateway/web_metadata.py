"""A STOW-RS request whose metadata are JSON and whose pixels are parts of their own. PS3.18 10.5, 8.6.1.2.

Parts go to disk as they come. When the body has ended, each instance is written as a data set, its pixels
copied as they were sent, and takes the way of every other: durable and indexed before the answer says so.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any

from pydicom.uid import ExplicitVRLittleEndian

from pacs_gateway import status
from pacs_gateway.arrivals import Ending, Outcome
from pacs_gateway.callers import Sender
from pacs_gateway.dimse import C_STORE_RQ, Command
from pacs_gateway.frames import MEDIA_TYPES, OCTETS
from pacs_gateway.inbox import Inbox
from pacs_gateway.json_data_set import (
    PIXELS,
    BadAttribute,
    Pixels,
    first_value,
    inline_pixels,
    write_data_set,
)
from pacs_gateway.multipart import BadMultipart, Multipart, PartBegin, PartEnd, read_media_type
from pacs_gateway.store import Answer, Store
from pacs_gateway.web_store import PartResult

JSON = "application/dicom+json"
LONGEST_METADATA = 64 << 20
PIECE = 1 << 20
SOP_CLASS, SOP_INSTANCE = "00080016", "00080018"
USUAL_SYNTAX = {
    OCTETS: str(ExplicitVRLittleEndian),
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
}
"""Where a part names no transfer syntax. PS3.18 table 8.7.3-5."""


@dataclass(slots=True)
class _Bulk:
    """The parts of one address, in the order in which they came."""

    syntax: str
    parts: list[IO[bytes]] = field(default_factory=list)


class MetadataStore:
    """Fed with the body; after `finish` the `results` hold a line for every instance of the metadata.

    Args:
        inbox: where instances are kept.
        sender: on whose behalf.
        boundary: of a multipart body; None where the body is metadata alone.
        study_instance_uid: the only study that is taken; empty for any.

    Raises:
        BadMultipart: no boundary to be found by.
    """

    def __init__(
        self, inbox: Inbox, sender: Sender, *, boundary: str | None, study_instance_uid: str = ""
    ) -> None:
        self.results: list[PartResult] = []
        self._multipart = None if boundary is None else Multipart(boundary)
        self._inbox, self._sender, self._within = inbox, sender, study_instance_uid
        self._files = ExitStack()
        self._bulk: dict[str, _Bulk] = {}
        self._wrong: dict[str, str] = {}
        """Media types that no pixels come in, by address."""
        self._metadata = b""
        self._into: IO[bytes] | None = None
        self._is_metadata = boundary is None
        self._full: Answer | None = None
        self._association = inbox.open_association(sender)
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            BadMultipart: the body is not made of parts, or its metadata exceed 64 MiB.
        """
        if self._multipart is None:
            self._write(data)
            return
        for event in self._multipart.feed(data):
            if isinstance(event, PartBegin):
                self._begin(event)
            elif isinstance(event, PartEnd):
                self._into, self._is_metadata = None, False
            else:
                self._write(event.content)

    def finish(self) -> None:
        """The body has ended: now the instances are kept.

        Raises:
            BadMultipart: it ends inside a part, or its metadata are not the DICOM JSON model.
        """
        if self._multipart is not None:
            self._multipart.close()
        for attributes in self._instances():
            self.results.append(self._keep(attributes))
        self.close(Ending.RELEASED)

    def close(self, ending: Ending = Ending.LOST) -> None:
        """Let go of everything. Twice does no harm."""
        if not self._ended:
            self._ended = True
            self._files.close()
            self._inbox.close_association(self._association, ending)

    def _begin(self, part: PartBegin) -> None:
        media = read_media_type(part.headers.get("content-type", ""))
        address = part.headers.get("content-location", "")
        self._is_metadata = media.name in (JSON, "application/json")
        if self._is_metadata:
            return
        syntax = media.parameters.get("transfer-syntax") or USUAL_SYNTAX.get(media.name, "")
        expected = MEDIA_TYPES.get(syntax, OCTETS)
        if media.name != expected or not syntax:
            self._wrong[address] = media.name
            return
        if shutil.disk_usage(self._inbox.root).free < self._inbox.reserve_bytes:
            self._full = Answer(status.OUT_OF_RESOURCES, "no room for the bulk data")
            return
        self._into = TemporaryFile(dir=self._inbox.root)  # noqa: SIM115 - until the body has ended
        self._files.callback(self._into.close)
        self._bulk.setdefault(address, _Bulk(syntax)).parts.append(self._into)

    def _write(self, content: bytes) -> None:
        if self._is_metadata:
            if len(self._metadata) + len(content) > LONGEST_METADATA:
                raise BadMultipart(f"the metadata exceed {LONGEST_METADATA} bytes")
            self._metadata += content
        elif self._into is not None:
            try:
                self._into.write(content)
            except OSError as error:
                self._full = Answer(status.OUT_OF_RESOURCES, str(error))

    def _instances(self) -> list[dict[str, Any]]:
        try:
            found = json.loads(self._metadata)
        except (ValueError, RecursionError):
            raise BadMultipart("the metadata are no JSON") from None
        found = found if isinstance(found, list) else [found]
        if not found or not all(isinstance(each, dict) for each in found):
            raise BadMultipart("the metadata are no list of instances in the DICOM JSON model")
        return found

    def _keep(self, attributes: dict[str, Any]) -> PartResult:
        uids = first_value(attributes, SOP_CLASS), first_value(attributes, SOP_INSTANCE)
        if self._full is not None:
            return self._refuse(uids, self._full)
        store: Store | None = None
        try:
            pixels = self._pixels(attributes)
            store = self._open(uids, ExplicitVRLittleEndian if pixels is None else pixels.syntax)
            for piece in write_data_set(attributes, pixels, self._value):
                store.write(memoryview(piece))
        except BadAttribute as error:
            if store is not None:
                store.abandon()
            return self._refuse(uids, Answer(status.CANNOT_UNDERSTAND, str(error)), error.wrong_type)
        answer, header = store.finish(), store.header
        store.abandon()
        return PartResult(
            answer,
            store.outcome,
            *uids,
            study_instance_uid=header.study_instance_uid if header else "",
            series_instance_uid=header.series_instance_uid if header else "",
        )

    def _open(self, uids: tuple[str, str], syntax: str) -> Store:
        command = Command(C_STORE_RQ, 0, *uids, has_data_set=True)
        return Store(self._inbox, self._association, self._sender, command, syntax, within=self._within)

    def _refuse(self, uids: tuple[str, str], answer: Answer, wrong_type: bool = False) -> PartResult:
        self._inbox.refuse(
            self._association,
            sop_instance_uid=uids[1],
            status=answer.status,
            reason=answer.comment,
            incoming=None,
        )
        return PartResult(answer, Outcome.REFUSED, *uids, wrong_type=wrong_type)

    def _pixels(self, attributes: dict[str, Any]) -> Pixels | None:
        """The pixels of an instance, where their parts came."""
        attribute = attributes.get(PIXELS)
        if not isinstance(attribute, dict) or "BulkDataURI" not in attribute:
            return inline_pixels(attribute)
        bulk = self._found(str(attribute["BulkDataURI"]), "PixelData")
        return Pixels(bulk.syntax, [_pieces(part) for part in bulk.parts], [_size(p) for p in bulk.parts])

    def _value(self, address: str, name: str) -> bytes:
        """Another value that came as a part."""
        return b"".join(piece for part in self._found(address, name).parts for piece in _pieces(part))

    def _found(self, address: str, name: str) -> _Bulk:
        if address in self._wrong:
            media = self._wrong[address]
            raise BadAttribute(f"{name} comes as {media or 'no media type'}, not {OCTETS}", wrong_type=True)
        if address not in self._bulk:
            raise BadAttribute(f"{name}: no part has its BulkDataURI as Content-Location")
        return self._bulk[address]


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE):
        yield piece


def _size(file: IO[bytes]) -> int:
    return file.seek(0, 2)
