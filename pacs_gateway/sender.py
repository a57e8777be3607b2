"""Send DICOM files to a peer by C-STORE, as they are stored, over one association or several."""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.association import Association

from pacs_gateway.headers import read_header
from pacs_gateway.peers import (
    CALLING_AE,
    NothingAccepted,
    Peer,
    PeerUnreachable,
    associate,
    echo,
    finish,
    implicit_context,
)

__all__ = ["Peer", "PeerUnreachable", "SendOutcome", "SendResult", "echo", "send"]
from pacs_gateway.reactor import reactor_held

log = logging.getLogger(__name__)

_config.STORE_SEND_CHUNKED_DATASET = True  # files go out byte for byte, never decoded and encoded again

MOST_CONTEXTS = 128
"""PS3.8 7.1.1.13: context ids are the odd numbers up to 255."""
ATTEMPTS = 3
PAUSE_SECONDS = 1.0


class SendOutcome(StrEnum):
    """What became of one file."""

    SENT = "sent"
    WARNED = "warned"
    """Stored, with a warning status (B000, B006, B007)."""
    REFUSED = "refused"
    """The peer answered with a failure status."""
    NOT_ACCEPTED = "not_accepted"
    """The peer takes no such SOP class in this transfer syntax."""
    NOT_DICOM = "not_dicom"
    LOST = "lost"
    """No answer, however often the association was opened anew."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The end of one file's journey."""

    path: Path
    outcome: SendOutcome
    status: int | None
    text: str
    sop_instance_uid: str = ""

    @property
    def stored(self) -> bool:
        return self.outcome in (SendOutcome.SENT, SendOutcome.WARNED)


@dataclass(frozen=True, slots=True)
class _Item:
    path: Path
    sop_instance_uid: str
    context: tuple[str, str]
    """SOP class and transfer syntax."""


Progress = Callable[[SendResult], None]


def send(
    paths: Sequence[Path],
    peer: Peer,
    *,
    calling_ae: str = CALLING_AE,
    progress: Progress | None = None,
    associations: int = 1,
    attempts: int = ATTEMPTS,
    timeout_seconds: float = 60.0,
    handlers: Sequence[Any] = (),
) -> list[SendResult]:
    """Send files, and say of each what became of it, in the order given.

    Args:
        paths: Part 10 files; anything else among them is reported and left out.
        peer: whom to send to.
        calling_ae: our own title.
        progress: called with each result as it comes, from several threads.
        associations: how many at once; files are dealt out in turn.
        attempts: how often an association is opened anew after it was lost.
        timeout_seconds: for the peer to answer.
        handlers: pynetdicom's (event, handler) pairs for each association.

    Raises:
        PeerUnreachable: not even the first association could be opened.
    """
    results: dict[Path, SendResult] = {}

    def done(result: SendResult) -> None:
        results[result.path] = result
        if progress is not None:
            progress(result)

    items = _items(dict.fromkeys(paths), done)
    shares = [share for share in (items[number::associations] for number in range(associations)) if share]
    unreachable: list[PeerUnreachable] = []

    def work(share: list[_Item]) -> None:
        try:
            _send_share(share, peer, calling_ae, done, attempts, timeout_seconds, handlers)
        except PeerUnreachable as error:
            unreachable.append(error)
            for item in share:
                if item.path not in results:
                    done(SendResult(item.path, SendOutcome.LOST, None, str(error), item.sop_instance_uid))

    threads = [threading.Thread(target=work, args=(share,), name="dicom-send") for share in shares[1:]]
    for thread in threads:
        thread.start()
    if shares:
        work(shares[0])
    for thread in threads:
        thread.join()
    if (
        unreachable
        and len(unreachable) == len(shares)
        and not any(r.status is not None for r in results.values())
    ):
        raise unreachable[0]
    return [results[path] for path in paths]


def _items(paths: Iterable[Path], done: Progress) -> list[_Item]:
    items = []
    for path in paths:
        try:
            header = read_header(path)
        except (ValueError, OSError) as error:
            done(SendResult(path, SendOutcome.NOT_DICOM, None, str(error)))
            continue
        context = (header.sop_class_uid, header.transfer_syntax_uid)
        items.append(_Item(path, header.sop_instance_uid, context))
    return items


def _send_share(
    share: list[_Item],
    peer: Peer,
    calling_ae: str,
    done: Progress,
    attempts: int,
    timeout_seconds: float,
    handlers: Sequence[Any],
) -> None:
    """Send one association's files; after a loss go on with what has no answer yet."""
    left = list(share)
    failures = 0
    while left:
        contexts = list(dict.fromkeys(item.context for item in left))[: MOST_CONTEXTS // 2]
        batch = [item for item in left if item.context in contexts]
        try:
            association, connection = associate(
                peer, calling_ae, contexts, timeout_seconds, handlers=handlers
            )
        except NothingAccepted:
            for item in batch:
                done(_not_accepted(item))
            left = [item for item in left if item not in batch]
            continue
        except PeerUnreachable:
            failures += 1
            if failures >= attempts:
                raise
            _pause(failures)
            continue
        answered = _send_over(association, connection, batch, done)
        left = [item for item in left if item.path not in answered]
        if len(answered) == len(batch):
            continue
        failures = 1 if answered else failures + 1
        if failures >= attempts:
            raise PeerUnreachable(f"{peer} broke the association {failures} times without an answer")
        log.warning("association lost, opening another", extra={"peer": str(peer), "left": len(left)})
        _pause(failures)


def _pause(failures: int) -> None:
    threading.Event().wait(PAUSE_SECONDS * 2 ** (failures - 1))


def _send_over(
    association: Association, connection: socket.socket | None, batch: list[_Item], done: Progress
) -> set[Path]:
    answered: set[Path] = set()
    accepted = {
        (context.abstract_syntax, context.transfer_syntax[0]) for context in association.accepted_contexts
    }
    try:
        with reactor_held(association):
            for item in batch:
                if item.context in accepted:
                    result = _send_one(association, item, item.path)
                elif implicit_context(item.context) in accepted:
                    result = _send_one(association, item, dcmread(item.path))
                else:
                    result = _not_accepted(item)
                if result is None:
                    return answered
                answered.add(item.path)
                done(result)
    finally:
        finish(association, connection)
    return answered


def _not_accepted(item: _Item) -> SendResult:
    sop_class, syntax = (UID(uid).name for uid in item.context)
    text = f"the peer does not accept {sop_class} in {syntax}"
    return SendResult(item.path, SendOutcome.NOT_ACCEPTED, None, text, item.sop_instance_uid)


def _send_one(association: Association, item: _Item, content: Path | Dataset) -> SendResult | None:
    """One C-STORE; None where the association was lost on the way."""
    try:
        answer = association.send_c_store(content)
    except (RuntimeError, ValueError, OSError, AttributeError) as error:
        if not association.is_established:
            return None
        return SendResult(item.path, SendOutcome.REFUSED, None, f"not sent: {error}", item.sop_instance_uid)
    status = getattr(answer, "Status", None)
    if status is None:
        return None
    comment = str(getattr(answer, "ErrorComment", "") or "")
    text = f"status {status:04X} {comment}".strip()
    if status == 0:
        return SendResult(item.path, SendOutcome.SENT, status, "", item.sop_instance_uid)
    warned = status & 0xF000 == 0xB000  # PS3.7 annex C.3
    outcome = SendOutcome.WARNED if warned else SendOutcome.REFUSED
    return SendResult(item.path, outcome, status, text, item.sop_instance_uid)
