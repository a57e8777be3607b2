"""One instance on its way in: streamed to a file and hashed as it comes, then kept or refused."""

import hashlib
import json
import logging
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from pacs_gateway.callers import Sender
from pacs_gateway.elements import UnreadableDataSet, Values, scan_opening
from pacs_gateway.headers import HEADER_TAGS, InstanceHeader, header_of, scan_header
from pacs_gateway.part10 import FileMeta, build_meta
from pacs_gateway.spool import Part, Spool, TooLarge

log = logging.getLogger(__name__)


class SopMismatch(ValueError):
    """The data set is another SOP class or instance than the command announced."""


@dataclass(frozen=True, slots=True)
class Published:
    """A durable file, not yet indexed."""

    header: InstanceHeader
    path: Path
    size: int
    sha256: str


class Incoming:
    """A file being received. Write to it, then `publish`, then `release`; `release` alone throws it away."""

    def __init__(
        self,
        spool: Spool,
        sender: Sender,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
    ) -> None:
        spool.check_room()
        self.sop_class_uid = sop_class_uid
        self.sop_instance_uid = sop_instance_uid
        self.transfer_syntax_uid = transfer_syntax_uid
        self.header: InstanceHeader | None = None
        self._examined = False
        self._spool = spool
        self._meta = build_meta(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sending_ae=sender.calling_ae,
            receiving_ae=sender.called_ae,
            private_information=pack_origin(sender),
        )
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._opening: tuple[Values, int] | None = None
        self._published: Published | None = None
        self._part: Part | None = spool.take_part()

    def write(self, fragment: memoryview) -> None:
        """Append a piece of the data set.

        Raises:
            TooLarge: beyond the limit for one instance.
            OSError: the disk would not take it.
        """
        if not fragment:
            return  # PS3.8 annex E allows an empty one; the meta group goes before the first byte, once
        if not self._size:
            self._write(memoryview(self._meta))
            # read while the sender is still sending: what is left to do at the end is what it waits for
            self._opening = scan_opening(fragment, self.transfer_syntax_uid, HEADER_TAGS)
        self._size += len(fragment)
        if self._size > self._spool.instance_limit:
            raise TooLarge(f"instance of more than {self._spool.instance_limit} bytes")
        self._write(fragment)
        self._sha256.update(fragment)

    def _write(self, data: memoryview) -> None:
        assert self._part is not None
        written = os.write(self._part.descriptor, data)
        while written < len(data):
            written += os.write(self._part.descriptor, data[written:])

    def examine(self) -> InstanceHeader:
        """Check that the data set is whole and what was announced.

        Raises:
            UnreadableDataSet: not a data set of this transfer syntax, or cut off.
            SopMismatch: not what was announced.
        """
        if not self._size:
            raise UnreadableDataSet("the data set is empty")
        self.header = self._read_header()
        if self.header.sop_instance_uid != self.sop_instance_uid:
            raise SopMismatch("SOP Instance UID of the data set differs from the command's")
        if self.header.sop_class_uid != self.sop_class_uid:
            raise SopMismatch("SOP Class UID of the data set differs from the command's")
        self._examined = True
        return self.header

    def _read_header(self) -> InstanceHeader:
        if self._opening is not None and self._opening[1] == self._size:
            return header_of(self._opening[0], self.transfer_syntax_uid)
        assert self._part is not None
        # a blank is longer than what was written to it
        with mmap.mmap(self._part.descriptor, self._file_size, access=mmap.ACCESS_READ) as data:
            return scan_header(data, self.transfer_syntax_uid, start=len(self._meta))

    def publish(self) -> Published:
        """Examine it, unless that was done, and make it durable.

        Raises:
            UnreadableDataSet, SopMismatch: see `examine`.
            OSError: it could not be made durable.
        """
        header = self.header if self._examined and self.header else self.examine()
        sha256 = self._sha256.hexdigest()
        assert self._part is not None
        path = self._spool.publish(self._part, sha256, self._file_size)
        self._published = Published(header, path, self._file_size, sha256)
        return self._published

    def discard(self) -> None:
        """Take back what was published: its study is no longer kept here."""
        if self._published is not None:
            self._published.path.unlink(missing_ok=True)
            self._published = None

    @property
    def _file_size(self) -> int:
        """Bytes written: what counts of the file."""
        return len(self._meta) + self._size if self._size else 0

    def keep_aside(self) -> Path | None:
        """Move what came to quarantine, where it was refused; None where that fails."""
        return None if self._part is None else self._spool.keep_aside(self._part, self._file_size)

    def release(self) -> None:
        """Let go of the working name; a published file stays, under its own."""
        part, self._part = self._part, None
        if part is None:
            return
        if self._published is None:
            self._spool.let_go(part)
            return
        try:
            self._spool.settle(part, self._published.sha256, self._published.size)
        except OSError:
            # it is durable all the same, and found by its seal as soon as this process has ended
            log.exception("an instance keeps its working name", extra={"sha256": self._published.sha256})


def pack_origin(sender: Sender) -> bytes:
    """What the meta group's own attributes cannot hold of a sender, so that the index can be rebuilt."""
    origin = {"address": sender.address, "hcode": sender.hcode}
    if sender.certificate:
        origin["certificate"] = sender.certificate
    return json.dumps(origin).encode()


def origin_of(meta: FileMeta) -> Sender:
    """The sender a file of ours came from, as far as its meta group tells."""
    try:
        origin = json.loads(meta.private_information or b"{}")
        address, hcode = str(origin.get("address", "")), origin.get("hcode")
        certificate = str(origin.get("certificate", ""))
    except (ValueError, AttributeError):
        address, hcode, certificate = "", None, ""
    hcode = None if hcode is None else str(hcode)
    return Sender(meta.sending_ae, meta.receiving_ae, address, hcode, certificate)
