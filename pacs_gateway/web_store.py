"""One STOW-RS request: its parts streamed to the inbox, and what became of each. PS3.18 10.5."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from pacs_gateway import status
from pacs_gateway.arrivals import Ending, Outcome
from pacs_gateway.callers import Sender
from pacs_gateway.dimse import Command
from pacs_gateway.elements import PIXEL_DATA, Walk
from pacs_gateway.headers import SOP_CLASS_UID, SOP_INSTANCE_UID
from pacs_gateway.inbox import Inbox
from pacs_gateway.multipart import Multipart, PartBegin, PartEnd, read_media_type
from pacs_gateway.part10 import MAX_META, PREAMBLE, FileMeta, NotPart10, read_meta
from pacs_gateway.store import Answer, Store

DICOM = "application/dicom"
TAKEN = frozenset({"", DICOM, "application/octet-stream"})
"""Media types of a part; some senders name none, or not the right one, and send DICOM all the same."""
HEAD = 8 * 1024
"""The data set's own UIDs lie within this many bytes; they are believed before the file meta group's."""
SYNCED_AT_ONCE = 4
"""Parts whose bytes are on their way to the disk while the next arrives; their syncs share a flush."""
C_STORE_RQ = 0x0001
IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, slots=True)
class PartResult:
    """What became of one part; UIDs are empty as far as it could not be read."""

    answer: Answer
    outcome: Outcome
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    wrong_type: bool = False
    """Its media type is none that is taken."""


class WebStore:
    """Fed with the body; after `finish` or `close`, `results` holds a line for every part.

    Args:
        inbox: where instances are kept.
        sender: on whose behalf.
        boundary: of a multipart body; None where the body is one instance.
        study_instance_uid: the only study that is taken; empty for any.

    Raises:
        BadMultipart: no boundary to be found by.
    """

    def __init__(
        self, inbox: Inbox, sender: Sender, *, boundary: str | None, study_instance_uid: str = ""
    ) -> None:
        self.results: list[PartResult] = []
        self._multipart = None if boundary is None else Multipart(boundary)
        self._inbox = inbox
        self._sender = sender
        self._within = study_instance_uid
        self._ended = False
        self._pool = ThreadPoolExecutor(SYNCED_AT_ONCE)
        self._syncing: deque[Future[PartResult]] = deque()
        self._association = inbox.open_association(sender)
        self._part = self._new_part("") if boundary is None else None

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            BadMultipart: the body is not made of parts.
        """
        if self._multipart is None:
            assert self._part is not None
            self._part.write(data)
            return
        for event in self._multipart.feed(data):
            if isinstance(event, PartBegin):
                self._part = self._new_part(event.headers.get("content-type", ""))
            elif isinstance(event, PartEnd):
                self._end_part()
            elif self._part is not None:
                self._part.write(event.content)

    def finish(self) -> None:
        """The body has ended.

        Raises:
            BadMultipart: it ends inside a part, which is then not kept.
        """
        if self._multipart is not None:
            self._multipart.close()
        self._end_part()
        self.close(Ending.RELEASED)

    def close(self, ending: Ending = Ending.LOST) -> None:
        """Let go of everything; a part that has not ended is not kept. Twice does no harm."""
        if self._part is not None:
            self._part.abandon()
            self._part = None
        if not self._ended:
            self._ended = True
            self._settle(0)
            self._pool.shutdown()
            self._inbox.close_association(self._association, ending)

    def _new_part(self, media_type: str) -> "_Part":
        return _Part(self._inbox, self._association, self._sender, self._within, media_type)

    def _end_part(self) -> None:
        if self._part is not None:
            self._settle(SYNCED_AT_ONCE - 1)
            self._syncing.append(self._pool.submit(self._part.finish))
            self._part = None

    def _settle(self, most: int) -> None:
        """Wait until at most so many parts are on their way to the disk."""
        while len(self._syncing) > most:
            self.results.append(self._syncing.popleft().result())


class _Part:
    """One Part 10 file: its head is looked at, then everything goes to the inbox as it comes."""

    def __init__(
        self, inbox: Inbox, association_id: int, sender: Sender, within: str, media_type: str
    ) -> None:
        self._inbox, self._association_id, self._sender = inbox, association_id, sender
        self._within = within
        self._head = b""
        self._store: Store | None = None
        self._uids = ("", "")
        self._refused: Answer | None = None
        self._wrong_type = read_media_type(media_type).name not in TAKEN
        if self._wrong_type:
            self._refused = Answer(status.CANNOT_UNDERSTAND, "not application/dicom")

    def write(self, content: bytes) -> None:
        if self._refused is not None:
            return
        if self._store is not None:
            self._store.write(memoryview(content))
            return
        self._head += content
        if len(self._head) >= HEAD:
            self._open(last=len(self._head) > PREAMBLE + MAX_META)

    def finish(self) -> PartResult:
        if self._store is None and self._refused is None:
            self._open(last=True)
        if self._store is None:
            assert self._refused is not None
            self._receipt(self._refused)
            return PartResult(self._refused, Outcome.REFUSED, wrong_type=self._wrong_type)
        answer, header = self._store.finish(), self._store.header
        self._store.abandon()
        result = PartResult(answer, self._store.outcome, *self._uids)
        if header is not None:
            return replace(
                result,
                study_instance_uid=header.study_instance_uid,
                series_instance_uid=header.series_instance_uid,
            )
        return result

    def abandon(self) -> None:
        if self._store is not None:
            self._store.abandon()

    def _open(self, *, last: bool) -> None:
        """Begin to keep, once the file meta group is there; `last` when no more of the head will come."""
        try:
            meta = read_meta(self._head)
            if meta.data_set_offset + 8 > len(self._head):
                raise NotPart10("the file ends with its meta group")
        except NotPart10 as error:
            if last or self._head[PREAMBLE : PREAMBLE + 4] != b"DICM":
                self._refused = Answer(status.CANNOT_UNDERSTAND, f"not a DICOM file: {error}")
            return
        self._uids = _uids_of(self._head, meta)
        self._store = Store(
            self._inbox,
            self._association_id,
            self._sender,
            Command(C_STORE_RQ, 0, *self._uids, has_data_set=True),
            meta.transfer_syntax_uid,
            within=self._within,
        )
        self._store.write(memoryview(self._head)[meta.data_set_offset :])
        self._head = b""

    def _receipt(self, refused: Answer) -> None:
        self._inbox.refuse(
            self._association_id,
            sop_instance_uid="",
            status=refused.status,
            reason=refused.comment,
            incoming=None,
        )


def _uids_of(head: bytes, meta: FileMeta) -> tuple[str, str]:
    """SOP class and instance, of the data set where they can be read: meta groups are often out of date."""
    syntax = meta.transfer_syntax_uid
    found: dict[int, bytes] = {}
    if syntax != DEFLATED:
        walk = Walk(head, len(head), explicit=syntax != IMPLICIT, big=syntax == BIG, partial=True)
        found = walk.values(meta.data_set_offset, {SOP_CLASS_UID, SOP_INSTANCE_UID, PIXEL_DATA})
    own = (found.get(tag, b"").decode("latin-1").strip("\x00 ") for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID))
    sop_class_uid, sop_instance_uid = own
    return sop_class_uid or meta.sop_class_uid, sop_instance_uid or meta.sop_instance_uid
