"""One association as its provider lives it: negotiated, its messages answered, released."""

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
from pacs_gateway.notices import Notice
from pacs_gateway.offers import offer_of
from pacs_gateway.proposals import decode_proposal
from pacs_gateway.store import Answer, Store
from pacs_gateway.tls import TlsFiles, TlsNotReady, reason_of, shown_by
from pacs_gateway.trials import TRIAL_AE_TITLE
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

HANDSHAKE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the listener allows its associations."""

    ae_title: str
    require_called_ae: bool
    idle_seconds: float
    trial_ae_title: str = TRIAL_AE_TITLE
    """Whoever calls this name tests its link: nothing of it reaches the hub's studies."""


class NoHandshake(ValueError):
    """No TLS with this peer; the text says why."""


class Stopping(ValueError):
    """The listener stops; the association is aborted between two messages."""


class Association:
    """Runs in a thread of its own, over a connected socket; over TLS where certificates are given."""

    def __init__(
        self,
        connection: socket.socket,
        address: str,
        *,
        inbox: Inbox,
        trials: Inbox,
        callers: Callers,
        policy: Policy,
        tls: TlsFiles | None = None,
    ) -> None:
        self._socket = connection
        self._tls = tls
        self._certificate = ""
        self._stream = PduStream(connection, idle_seconds=policy.idle_seconds)
        self._address = address
        self._inbox = inbox
        self._trials = trials
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
        self._task: Store | Notice | None = None

    def run(self, *, room: bool) -> None:
        """Live the association to its end; `room` says whether the listener may take one more."""
        ending, detail = Ending.LOST, ""
        try:
            self._secure()
            if self._negotiate(room):
                ending = self._serve()
        except ConnectionLost as error:
            # health checks of load balancers connect and say nothing
            level = logging.INFO if self._sender else logging.DEBUG
            log.log(level, "association lost: %s", error, extra=self._about())
            detail = str(error)
        except NoHandshake as error:
            self._refuse("", "", f"no TLS: {error}")
        except ProtocolError as error:
            log.warning("association aborted: %s", error, extra=self._about())
            self._stream.abort(SERVICE_PROVIDER, error.reason)
            ending, detail = Ending.ABORTED, str(error)
        except Stopping:
            self._stream.abort(SERVICE_USER, NOT_SPECIFIED)
            ending, detail = Ending.ABORTED, "the listener stopped"
        except Exception as error:  # its neighbours go on; the ending is recorded with its cause
            log.exception("association failed", extra=self._about())
            self._stream.abort(SERVICE_PROVIDER, NOT_SPECIFIED)
            ending, detail = Ending.ABORTED, f"internal error: {type(error).__name__}"
        finally:
            self._end(ending, detail)

    def stop(self) -> None:
        """End it: at once where nothing is under way, else after the present message."""
        self._stopping = True
        if self._busy.acquire(blocking=False):
            self.cut()
            self._busy.release()

    def cut(self) -> None:
        """Wake the thread from its read; it can still send."""
        self._stream.cut()

    def _about(self) -> dict[str, object]:
        return {
            "association": self._number,
            "calling_ae": self._sender.calling_ae if self._sender else "",
            "address": self._address,
        }

    def _end(self, ending: Ending, detail: str) -> None:
        if self._task is not None:
            self._task.abandon()
        try:
            if self._number:
                self._inbox.close_association(self._number, ending, detail)
        except sqlite3.Error:
            log.exception("the end of an association was not recorded", extra=self._about())
        finally:
            self._stream.close()

    # Opening

    def _secure(self) -> None:
        if self._tls is None:
            return
        try:
            context = self._tls.server_context()
            self._socket.settimeout(HANDSHAKE_SECONDS)
            secured = context.wrap_socket(self._socket, server_side=True)
        except (OSError, TlsNotReady) as error:
            raise NoHandshake(reason_of(error) if isinstance(error, OSError) else str(error)) from error
        self._stream.secure(secured, idle_seconds=self._policy.idle_seconds)
        self._certificate = shown_by(secured)
        if self._tls.is_revoked(self._certificate):
            raise NoHandshake(f"its certificate {self._certificate} is revoked")

    def _refuse(self, calling_ae: str, called_ae: str, detail: str) -> None:
        """Log it and write its receipt: whoever called will ask why."""
        sender = self._sender or Sender(calling_ae, called_ae, self._address, None, self._certificate)
        log.warning(
            "association refused: %s", detail, extra={"calling_ae": calling_ae, "address": self._address}
        )
        try:
            self._inbox.turned_away.note(sender, detail)
        except sqlite3.Error:
            log.exception("a refusal was not recorded", extra=self._about())

    def _negotiate(self, room: bool) -> bool:
        pdu_type, content = self._stream.read(limit=LONGEST_ASSOCIATE)
        if pdu_type != A_ASSOCIATE_RQ:
            raise ProtocolError("no A-ASSOCIATE-RQ", UNEXPECTED_PDU)
        proposal = decode_proposal(bytes(content))
        calling_ae, called_ae = proposal.calling_ae, proposal.called_ae
        self._sender = self._callers.recognise(calling_ae, called_ae, self._address, self._certificate)
        if called_ae == self._policy.trial_ae_title:
            self._inbox = self._trials
        refusal = self._refusal(calling_ae, called_ae, room)
        if refusal is not None:
            self._refuse(calling_ae, called_ae, refusal[1])
            self._stream.write(negotiation.reject(*refusal[0]))
            return False
        assert self._sender is not None
        self._peer_limit = proposal.maximum_length
        answer, self._agreed = negotiation.accept(proposal)
        offer = offer_of(proposal.contexts, self._agreed)
        self._number = self._inbox.open_association(self._sender, offer)
        self._stream.write(answer)
        return True

    def _refusal(
        self, calling_ae: str, called_ae: str, room: bool
    ) -> tuple[tuple[int, int, int], str] | None:
        """What to reject with, and why in words."""
        if self._sender is None:
            known_by = f"certificate {self._certificate}" if self._certificate else f"address {self._address}"
            why = f"no caller {calling_ae!r} with the {known_by} is listed"
            return negotiation.CALLING_AE_NOT_RECOGNISED, why
        ours = (self._policy.ae_title, self._policy.trial_ae_title)
        if self._policy.require_called_ae and called_ae not in ours:
            why = f"it calls {called_ae!r}, this is {self._policy.ae_title!r}"
            return negotiation.CALLED_AE_NOT_RECOGNISED, why
        return None if room else (negotiation.LOCAL_LIMIT_EXCEEDED, "too many associations at once")

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
        syntax = self._agreed[self._context_id]
        assert self._sender is not None
        if command.field == dimse.C_STORE_RQ:
            self._task = Store(self._inbox, self._number, self._sender, command, syntax)
        elif command.field in dimse.NOTICES:
            self._task = Notice(self._inbox, self._sender, command, syntax)
            self._command = self._task.command
        if not command.has_data_set:
            self._finish(command)

    def _take_data(self, fragment: memoryview, is_last: bool) -> None:
        if self._command is None:
            raise ProtocolError("a data set without a command", UNEXPECTED_PDU)
        if self._task is not None:
            self._task.write(fragment)
        if is_last:
            self._finish(self._command)

    def _finish(self, command: Command) -> None:
        answer = self._answer(command)
        if command.field != dimse.C_CANCEL_RQ:
            response = dimse.encode_response(command, answer.status, answer.comment)
            self._stream.write_command(self._context_id, response, limit=self._peer_limit)
        if self._task is not None and command.field == dimse.C_STORE_RQ:
            self._task.abandon()  # the sender has its answer and is reading its next image
            self._inbox.prepare()
        self._command = self._task = None
        self._busy.release()
        if self._stopping:
            raise Stopping

    def _answer(self, command: Command) -> Answer:
        if self._task is not None:
            return self._task.finish()
        if command.field == dimse.C_ECHO_RQ:
            return Answer(status.SUCCESS)
        return Answer(status.UNRECOGNISED_OPERATION, "neither C-ECHO, C-STORE nor a notice")
