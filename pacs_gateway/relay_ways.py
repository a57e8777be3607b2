"""The two ways from a relay to its hub: C-STORE and storage commitment, or STOW-RS, which commits at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pacs_gateway.commitment import NotTold, request_commitment
from pacs_gateway.headers import read_header
from pacs_gateway.pace import Pace
from pacs_gateway.peers import Peer, PeerUnreachable
from pacs_gateway.sender import SendOutcome, SendResult, send
from pacs_gateway.upload import ServerUnreachable, WebServer, upload

Progress = Callable[[SendResult], None]
REQUEST_BYTES = 1_000_000
"""A request that breaks is sent again as a whole, so it holds no more than this, or one instance."""


class HubUnreachable(ValueError):
    """The hub was not reached, or did not take the request; the text says why."""


class Way(Protocol):
    """How instances get to the hub."""

    commits_at_once: bool
    """Whether stored means kept for good; otherwise the hub is asked."""

    def send(self, paths: Sequence[Path], progress: Progress) -> list[SendResult]:
        """Send files; `progress` hears of each as it is answered.

        Raises:
            HubUnreachable: nothing could be sent.
        """

    def ask(self, references: Sequence[tuple[str, str]], transaction_uid: str) -> None:
        """Have the hub commit; its report comes to the relay's listener.

        Raises:
            HubUnreachable: it could not be asked.
        """


class DicomWay:
    """Over an association, plain or TLS."""

    commits_at_once = False

    def __init__(self, hub: Peer, *, pace: Pace, calling_ae: str) -> None:
        self._hub, self._pace, self._calling_ae = hub, pace, calling_ae

    def send(self, paths: Sequence[Path], progress: Progress) -> list[SendResult]:
        """See `Way.send`."""
        try:
            return send(
                paths,
                self._hub,
                calling_ae=self._calling_ae,
                attempts=1,
                progress=progress,
                handlers=self._pace.handlers(),
            )
        except PeerUnreachable as error:
            raise HubUnreachable(str(error)) from error

    def ask(self, references: Sequence[tuple[str, str]], transaction_uid: str) -> None:
        """See `Way.ask`."""
        try:
            request_commitment(
                self._hub, references, transaction_uid=transaction_uid, calling_ae=self._calling_ae
            )
        except (PeerUnreachable, NotTold) as error:
            raise HubUnreachable(str(error)) from error


class WebWay:
    """Over HTTPS: needs no way back to the hospital, so it works behind any router."""

    commits_at_once = True

    def __init__(self, server: WebServer, *, pace: Pace) -> None:
        self._server, self._pace = server, pace

    def send(self, paths: Sequence[Path], progress: Progress) -> list[SendResult]:
        """See `Way.send`; in several requests of limited size."""
        results: list[SendResult] = []
        for group in _groups(paths):
            files = [(path, read_header(path).sop_instance_uid) for path in group]
            try:
                said = upload(files, self._server, pace=self._pace.take)
            except ServerUnreachable as error:
                if not results:
                    raise HubUnreachable(str(error)) from error
                said, trouble = {}, str(error)
            else:
                trouble = "the hub says nothing of it"
            answered = [_result(path, uid, said.get(uid), trouble) for path, uid in files]
            for each in answered:
                progress(each)
            results += answered
            if not said:
                break
        return results

    def ask(self, references: Sequence[tuple[str, str]], transaction_uid: str) -> None:
        """Nothing is asked: what the hub says it stored it keeps."""


def _result(path: Path, uid: str, reason: int | None, trouble: str) -> SendResult:
    if reason is None:
        return SendResult(path, SendOutcome.LOST, None, trouble, uid)
    if reason == 0:
        return SendResult(path, SendOutcome.SENT, 0, "", uid)
    return SendResult(path, SendOutcome.REFUSED, reason, f"status {reason:04X}", uid)


def _groups(paths: Sequence[Path]) -> list[list[Path]]:
    groups: list[list[Path]] = []
    room = 0
    for path in paths:
        size = path.stat().st_size
        if not groups or size > room:
            groups.append([])
            room = REQUEST_BYTES
        groups[-1].append(path)
        room -= size
    return groups
