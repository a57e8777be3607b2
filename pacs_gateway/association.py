"""One association as its provider lives it: negotiated, its messages answered, released."""

import contextlib
import logging
import socket
import sqlite3
import threading
from dataclasses import dataclass

from pacs_gateway import dimse, negotiation, status
from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Callers, Sender
from pacs_gateway.dimse import Command
from pacs_gateway.inbox import Inbox
from pacs_gateway.store import Answer, Store
from pacs_gateway.upper_layer import (
    A_ABORT,
    A_ASSOCIATE_RQ,
    A_RELEASE_RQ,
    INVALID_PARAMETER,
    LONGEST_ASSOCIATE,
    NOT_SPECIFIED,
    P_DATA_TF,
    RELEASE_RP,
    SERVICE_PROVIDER,
    SERVICE_USER,
    UNEXPECTED_PDU,
    ConnectionLost,
    PduStream,
    ProtocolError,
    fragments,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the listener allows its associations."""

    ae_title: str
    require_called_ae: bool
    idle_seconds: float


class Stopping(ValueError):
    """The listener stops; the association is aborted between two messages."""


class Association:
    """Runs in a thread of its own, over a connected socket."""

    def __init__(
        self, connection: socket.socket, address: str, *, inbox: Inbox, callers: Callers, policy: Policy
    ) -> None:
        self._socket = connection
        self._stream = PduStream(connection, idle_seconds=policy.idle_seconds)
        self._address = address
        self._inbox = inbox
        self._callers = callers
        self._policy = policy
        self._busy = threading.Lock()
        self._stopping = False
        self._agreed: dict[int, str] = {}
        self._peer_limit = 0
        self._sender: Sender | None = None
        self._number = 0
        self._command_bytes = bytearray()
        self._command: Command | None = None
        self._context_id = 0
        self._store: Store | None = None

    def run(self, *, room: bool) -> None:
        """Live the association to its end; `room` says whether the listener may take one more."""
        ending = Ending.LOST
        try:
            if self._negotiate(room):
                ending = self._serve()
        except ConnectionLost as error:
            # health checks of load balancers connect and say nothing
            level = logging.INFO if self._sender else logging.DEBUG
            log.log(level, "association lost: %s", error, extra=self._about())
        except ProtocolError as error:
            log.warning("association aborted: %s", error, extra=self._about())
            self._stream.abort(SERVICE_PROVIDER, error.reason)
            ending = Ending.ABORTED
        except Stopping:
            self._stream.abort(SERVICE_USER, NOT_SPECIFIED)
            ending = Ending.ABORTED
        except Exception:
            log.exception("association failed", extra=self._about())
            self._stream.abort(SERVICE_PROVIDER, NOT_SPECIFIED)
            ending = Ending.ABORTED
        finally:
            self._end(ending)

    def stop(self) -> None:
        """End it: at once where nothing is under way, else after the present message."""
        self._stopping = True
        if self._busy.acquire(blocking=False):
            self.cut()
            self._busy.release()

    def cut(self) -> None:
        """Wake the thread from its read; it can still send."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def _about(self) -> dict[str, object]:
        return {
            "association": self._number,
            "calling_ae": self._sender.calling_ae if self._sender else "",
            "address": self._address,
        }

    def _end(self, ending: Ending) -> None:
        if self._store is not None:
            self._store.abandon()
        try:
            if self._number:
                self._inbox.close_association(self._number, ending)
        except sqlite3.Error:
            log.exception("the end of an association was not recorded", extra=self._about())
        finally:
            self._socket.close()

    # Opening

    def _negotiate(self, room: bool) -> bool:
        pdu_type, content = self._stream.read(limit=LONGEST_ASSOCIATE)
        if pdu_type != A_ASSOCIATE_RQ:
            raise ProtocolError("no A-ASSOCIATE-RQ", UNEXPECTED_PDU)
        request = negotiation.decode_request(bytes(content))
        calling_ae, called_ae = str(request.calling_ae_title).strip(), str(request.called_ae_title).strip()
        self._sender = self._callers.recognise(calling_ae, called_ae, self._address)
        refusal = self._refusal(called_ae, room)
        if refusal is not None:
            log.warning(
                "association rejected",
                extra={"calling_ae": calling_ae, "address": self._address, "reason": refusal},
            )
            self._stream.write(negotiation.reject(*refusal))
            return False
        assert self._sender is not None
        self._peer_limit = request.maximum_length_received or 0
        answer, self._agreed = negotiation.accept(request)
        self._number = self._inbox.open_association(self._sender)
        self._stream.write(answer)
        return True

    def _refusal(self, called_ae: str, room: bool) -> tuple[int, int, int] | None:
        if self._sender is None:
            return negotiation.CALLING_AE_NOT_RECOGNISED
        if self._policy.require_called_ae and called_ae != self._policy.ae_title:
            return negotiation.CALLED_AE_NOT_RECOGNISED
        return None if room else negotiation.LOCAL_LIMIT_EXCEEDED

    # Messages

    def _serve(self) -> Ending:
        while True:
            try:
                pdu_type, content = self._stream.read()
            except ConnectionLost:
                if self._stopping:
                    raise Stopping from None
                raise
            if pdu_type == P_DATA_TF:
                self._take(content)
            elif pdu_type == A_RELEASE_RQ:
                self._stream.write(RELEASE_RP)
                return Ending.RELEASED
            elif pdu_type == A_ABORT:
                return Ending.ABORTED
            else:
                raise ProtocolError(f"PDU type {pdu_type:#04x} inside an association", UNEXPECTED_PDU)

    def _take(self, content: memoryview) -> None:
        for context_id, is_command, is_last, fragment in fragments(content):
            if context_id not in self._agreed:
                raise ProtocolError(f"presentation context {context_id} was not agreed", INVALID_PARAMETER)
            if is_command:
                self._take_command(context_id, fragment, is_last)
            else:
                self._take_data(fragment, is_last)

    def _take_command(self, context_id: int, fragment: memoryview, is_last: bool) -> None:
        if self._command is not None:
            raise ProtocolError("a command inside a data set", UNEXPECTED_PDU)
        if not self._command_bytes:
            self._busy.acquire()
        self._command_bytes += fragment
        if len(self._command_bytes) > dimse.COMMAND_LIMIT:
            raise ProtocolError(f"command set over {dimse.COMMAND_LIMIT} bytes", INVALID_PARAMETER)
        if not is_last:
            return
        try:
            self._command = dimse.decode_command(self._command_bytes)
        except dimse.BadCommand as error:
            raise ProtocolError(str(error), INVALID_PARAMETER) from error
        self._command_bytes.clear()
        self._context_id = context_id
        self._begin(self._command)

    def _begin(self, command: Command) -> None:
        if command.field == dimse.C_STORE_RQ:
            assert self._sender is not None
            syntax = self._agreed[self._context_id]
            self._store = Store(self._inbox, self._number, self._sender, command, syntax)
        if not command.has_data_set:
            self._finish(command)

    def _take_data(self, fragment: memoryview, is_last: bool) -> None:
        if self._command is None:
            raise ProtocolError("a data set without a command", UNEXPECTED_PDU)
        if self._store is not None:
            self._store.write(fragment)
        if is_last:
            self._finish(self._command)

    def _finish(self, command: Command) -> None:
        answer = self._answer(command)
        self._command = self._store = None
        if command.field != dimse.C_CANCEL_RQ:
            response = dimse.encode_response(command, answer.status, answer.comment)
            self._stream.write_command(self._context_id, response, limit=self._peer_limit)
        if command.field == dimse.C_STORE_RQ:
            self._inbox.prepare()
        self._busy.release()
        if self._stopping:
            raise Stopping

    def _answer(self, command: Command) -> Answer:
        if self._store is not None:
            return self._store.finish()
        if command.field == dimse.C_ECHO_RQ:
            return Answer(status.SUCCESS)
        return Answer(status.UNRECOGNISED_OPERATION, "only C-ECHO and C-STORE are provided")
