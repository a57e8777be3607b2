"""The thread that tells who asked what is committed; of all processes of an inbox one tells at a time."""

import fcntl
import logging
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Sequence

from pacs_gateway.callers import Sender
from pacs_gateway.commitment import Verdict, report_commitments
from pacs_gateway.commitments import CommitmentRequest
from pacs_gateway.inbox import Inbox
from pacs_gateway.partners import Partners
from pacs_gateway.peers import Peer, PeerUnreachable

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Reporter:
    """Started and stopped with the listener; what it has not told, the next one tells."""

    def __init__(self, inbox: Inbox, partners: Partners) -> None:
        self._inbox = inbox
        self._partners = partners
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="commitment-reports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the report under way."""
        self._stopping = True
        self._inbox.commitments.asked.set()
        self._thread.join()

    def _run(self) -> None:
        handle = os.open(self._inbox.root / "reporter.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while not self._stopping:
                if _alone(handle):
                    self._round()
                self._inbox.commitments.asked.wait(LOOK_SECONDS)
                self._inbox.commitments.asked.clear()
        finally:
            os.close(handle)

    def _round(self) -> None:
        try:
            if self._partners.refresh():
                self._inbox.commitments.hurry()
            groups: dict[tuple[Peer, str], list[CommitmentRequest]] = defaultdict(list)
            for request in self._inbox.commitments.due():
                if (partner := self._partner(request)) is not None:
                    groups[partner, request.called_ae].append(request)
            for (partner, called_ae), requests in groups.items():
                if self._stopping:
                    return
                self._tell(partner, called_ae, requests)
        except (OSError, sqlite3.Error):
            log.exception("a round of commitment reports failed")

    def _partner(self, request: CommitmentRequest) -> Peer | None:
        sender = Sender(request.calling_ae, request.called_ae, request.address, request.hcode)
        partner = self._partners.find(sender)
        if partner is None:
            error = f"no partner in commitment with the AE title {request.calling_ae!r} is listed"
            self._not_told(request, error)
        return partner

    def _tell(self, partner: Peer, our_title: str, requests: Sequence[CommitmentRequest]) -> None:
        """Everything that is due to one partner, over one association."""
        commitments = self._inbox.commitments
        verdicts = [
            Verdict(request.transaction_uid, *commitments.judge(request.references)) for request in requests
        ]
        left = list(zip(requests, verdicts, strict=True))
        try:
            for error in report_commitments(partner, verdicts, calling_ae=our_title):
                request, verdict = left.pop(0)
                if error is None:
                    number, failed = request.number, len(verdict.failed)
                    commitments.told(number, committed=len(verdict.committed), failed=failed)
                    log.info("commitment reported", extra=_about(request) | {"failed": failed})
                else:
                    self._not_told(request, str(error))
        except PeerUnreachable as error:
            for request, _ in left:
                self._not_told(request, str(error))

    def _not_told(self, request: CommitmentRequest, error: str) -> None:
        log.warning("commitment not reported: %s", error, extra=_about(request))
        self._inbox.commitments.not_told(request, error)


def _about(request: CommitmentRequest) -> dict[str, object]:
    return {"calling_ae": request.calling_ae, "instances": len(request.references)}


def _alone(handle: int) -> bool:
    """Whether this process is the one that tells; once it is, it stays so until it ends."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
