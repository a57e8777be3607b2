"""Send DICOM files to a peer by C-STORE, as they are stored, over one association or several."""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_gateway.headers import read_header
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.upper_layer import MAX_PDU

log = logging.getLogger(__name__)

_config.STORE_SEND_CHUNKED_DATASET = True  # files go out byte for byte, never decoded and encoded again

MOST_CONTEXTS = 128
"""PS3.8 7.1.1.13: context ids are the odd numbers up to 255."""
ATTEMPTS = 3
PAUSE_SECONDS = 1.0
LAST_WORDS_SECONDS = 5.0
CALLING_AE = "IMAGINGHUB"


class PeerUnreachable(ValueError):
    """No association: nobody answers, or the peer rejects us; the text says which."""


class _NothingAccepted(PeerUnreachable):
    """The peer took the association but none of its presentation contexts."""


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
class Peer:
    """Another application entity."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


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


def echo(peer: Peer, *, calling_ae: str = CALLING_AE, timeout_seconds: float = 10.0) -> None:
    """Verify that the peer answers C-ECHO.

    Raises:
        PeerUnreachable: it does not.
    """
    association, connection = _associate(peer, calling_ae, [(Verification, "")], timeout_seconds)
    try:
        status = association.send_c_echo()
    finally:
        _finish(association, connection)
    if getattr(status, "Status", None) != 0:
        raise PeerUnreachable(f"{peer} did not answer C-ECHO with success")


def send(
    paths: Sequence[Path],
    peer: Peer,
    *,
    calling_ae: str = CALLING_AE,
    progress: Progress | None = None,
    associations: int = 1,
    attempts: int = ATTEMPTS,
    timeout_seconds: float = 60.0,
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
            _send_share(share, peer, calling_ae, done, attempts, timeout_seconds)
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
    if unreachable and len(unreachable) == len(shares) and not any(r.status is not None for r in results.values()):
        raise unreachable[0]
    return [results[path] for path in paths]


def _items(paths: Sequence[Path] | dict[Path, None], done: Progress) -> list[_Item]:
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
    share: list[_Item], peer: Peer, calling_ae: str, done: Progress, attempts: int, timeout_seconds: float
) -> None:
    """Send one association's files; after a loss go on with what has no answer yet."""
    left = list(share)
    failures = 0
    while left:
        contexts = list(dict.fromkeys(item.context for item in left))[: MOST_CONTEXTS // 2]
        batch = [item for item in left if item.context in contexts]
        try:
            association, connection = _associate(peer, calling_ae, contexts, timeout_seconds)
        except _NothingAccepted:
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
    answered = set()
    accepted = {(context.abstract_syntax, context.transfer_syntax[0]) for context in association.accepted_contexts}
    try:
        for item in batch:
            if item.context in accepted:
                result = _send_one(association, item, item.path)
            elif _implicit(item.context) in accepted:
                result = _send_one(association, item, dcmread(item.path))
            else:
                result = _not_accepted(item)
            if result is None:
                return answered
            answered.add(item.path)
            done(result)
    finally:
        _finish(association, connection)
    return answered


def _not_accepted(item: _Item) -> SendResult:
    sop_class, syntax = (UID(uid).name for uid in item.context)
    text = f"the peer does not accept {sop_class} in {syntax}"
    return SendResult(item.path, SendOutcome.NOT_ACCEPTED, None, text, item.sop_instance_uid)


def _implicit(context: tuple[str, str]) -> tuple[str, str] | None:
    """Old peers know implicit VR only; explicit little endian is the one syntax that is rewritten for them."""
    return (context[0], ImplicitVRLittleEndian) if context[1] == ExplicitVRLittleEndian else None


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


def _associate(
    peer: Peer, calling_ae: str, contexts: Sequence[tuple[str, str]], seconds: float
) -> tuple[Association, socket.socket | None]:
    """An established association and the connection under it."""
    connections: list[socket.socket] = []

    def opened(event: evt.Event) -> None:
        connection = event.assoc.dul.socket.socket
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)

    _knock(peer, seconds)
    ae = AE(ae_title=calling_ae)
    ae.maximum_pdu_size = MAX_PDU
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = seconds
    for sop_class, syntax in contexts:
        ae.requested_contexts = [*ae.requested_contexts, build_context(sop_class, syntax or None)]
        implicit = _implicit((sop_class, syntax))
        if implicit is not None and implicit not in contexts:
            ae.requested_contexts = [*ae.requested_contexts, build_context(*implicit)]
    association = ae.associate(
        peer.host, peer.port, ae_title=peer.ae_title, max_pdu=MAX_PDU, evt_handlers=[(evt.EVT_CONN_OPEN, opened)]
    )
    connection = connections[0] if connections else None
    if association.is_established:
        return association, connection
    _finish(association, connection)
    answer: Any = association.acceptor.primitive
    if answer is not None and answer.result == 0:
        raise _NothingAccepted(f"{peer} accepts nothing of what is to be sent")
    if association.is_rejected:
        raise PeerUnreachable(f"{peer} rejects {calling_ae}: {answer.reason_str if answer else 'no reason given'}")
    raise PeerUnreachable(f"{peer} aborts the association")


def _knock(peer: Peer, seconds: float) -> None:
    """Find out whether anybody listens: pynetdicom leaves its socket open and says nothing of the reason."""
    try:
        socket.create_connection((peer.host, peer.port), timeout=seconds).close()
    except OSError as error:
        raise PeerUnreachable(f"{peer} cannot be reached: {error}") from error


def _finish(association: Association, connection: socket.socket | None) -> None:
    """Release, or abort what cannot be released; pynetdicom leaves the socket of a lost association open."""
    if association.is_established:
        association.release()
    else:
        association.abort()
    association.join(LAST_WORDS_SECONDS)
    if connection is not None:
        connection.close()
