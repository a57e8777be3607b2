"""PDUs over a blocking socket: the DICOM upper layer without polling and without copies. PS3.8 section 9.3.

An idle association costs no processor time: its thread waits in `recv`. What is received lies in one buffer
per association; fragments are handed out as views of it, valid until the next read.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from struct import Struct, pack

MAX_PDU = 131072
"""The largest that dcmtk sends; more brings nothing."""
LONGEST_ASSOCIATE = 128 * 1024
BUFFER = 2 * (MAX_PDU + 6)
CLOSE_SECONDS = 0.5

# PDU types - PS3.8 section 9.3.1
A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ = 0x01, 0x02, 0x03
P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = 0x04, 0x05, 0x06, 0x07
RELEASE_RP = pack(">BxI4x", A_RELEASE_RP, 4)

# A-ABORT source and reasons - PS3.8 table 9-26
SERVICE_USER, SERVICE_PROVIDER = 0, 2
NOT_SPECIFIED, UNRECOGNISED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 0, 1, 2, 6

_HEADER = Struct(">BxI").unpack_from
_VALUE_HEADER = Struct(">IBB").unpack_from


class ConnectionLost(ValueError):
    """The peer closed the connection, broke it, or fell silent."""


class ProtocolError(ValueError):
    """The peer sent what PS3.8 does not allow here; the reason is the one to abort with."""

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason


class PduStream:
    """One connection, read and written by one thread."""

    def __init__(self, connection: socket.socket, *, idle_seconds: float) -> None:
        self._socket = connection
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # a time-out in the kernel spares the poll() that Python's own makes before every read
        timeout = pack("ll", int(idle_seconds), int(idle_seconds % 1 * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)

    def secure(self, connection: ssl.SSLSocket, *, idle_seconds: float) -> None:
        """Go on over TLS; nothing may have been read in plain."""
        self._socket = connection
        # OpenSSL would wait again where the kernel's time-out has run out; Python's own is told to the caller
        connection.settimeout(idle_seconds)

    def read(self, *, limit: int = MAX_PDU) -> tuple[int, memoryview]:
        """The next PDU: its type and its content, valid until the next read.

        Raises:
            ConnectionLost: nothing more comes.
            ProtocolError: it is longer than was agreed.
        """
        self._need(6)
        pdu_type, length = _HEADER(self._buffer, self._start)
        if not A_ASSOCIATE_RQ <= pdu_type <= A_ABORT:
            raise ProtocolError(f"PDU type {pdu_type:#04x}", UNRECOGNISED_PDU)
        if length > limit:
            raise ProtocolError(f"PDU of {length} bytes, the limit is {limit}", INVALID_PARAMETER)
        self._need(6 + length)
        content = self._buffer[self._start + 6 : self._start + 6 + length]
        self._start += 6 + length
        return pdu_type, content

    def _need(self, count: int) -> None:
        if self._start + count > len(self._buffer):
            rest = self._end - self._start
            self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        while self._end - self._start < count:
            if self._start == self._end:
                self._start = self._end = 0
            self._end += self._receive(self._buffer[self._end :])

    def _receive(self, into: memoryview) -> int:
        try:
            received = self._socket.recv_into(into)
        except (BlockingIOError, TimeoutError) as error:
            raise ConnectionLost("the peer fell silent") from error
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        if not received:
            raise ConnectionLost("the peer closed the connection")
        return received

    def write(self, data: bytes) -> None:
        """Send a PDU.

        Raises:
            ConnectionLost: the peer takes no more.
        """
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def write_command(self, context_id: int, command_set: bytes, *, limit: int) -> None:
        """Send a command set in P-DATA-TF PDUs no longer than the peer takes."""
        size = max(limit - 6, 1) if limit else len(command_set)
        pieces = [command_set[start : start + size] for start in range(0, len(command_set), size)]
        for number, piece in enumerate(pieces, 1):
            control = 0x03 if number == len(pieces) else 0x01  # PS3.8 annex E.2
            length = len(piece) + 2
            self.write(pack(">BxIIBB", P_DATA_TF, length + 4, length, context_id, control) + piece)

    def cut(self) -> None:
        """Wake the thread from its read; it can still send."""
        with contextlib.suppress(OSError):
            # not SSLSocket.shutdown, after which the rest would go out unencrypted
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def close(self) -> None:
        """Close the connection; over TLS with a close_notify, whether or not the peer has sent one."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.settimeout(CLOSE_SECONDS)
                self._socket.unwrap()
        self._socket.close()

    def abort(self, source: int, reason: int) -> None:
        """Send A-ABORT if the peer still takes it."""
        with contextlib.suppress(OSError):
            self._socket.sendall(pack(">BxIxxBB", A_ABORT, 4, source, reason))


def fragments(content: memoryview) -> Iterator[tuple[int, bool, bool, memoryview]]:
    """Presentation data values of a P-DATA-TF: context, is command, is last, fragment. PS3.8 annex E.

    Raises:
        ProtocolError: an item reaches beyond its PDU.
    """
    position, end = 0, len(content)
    while position < end:
        if position + 6 > end:
            raise ProtocolError("presentation data value is cut off", INVALID_PARAMETER)
        length, context_id, control = _VALUE_HEADER(content, position)
        following = position + 4 + length
        if length < 2 or following > end:
            raise ProtocolError(
                f"presentation data value of {length} bytes in a PDU of {end}", INVALID_PARAMETER
            )
        yield context_id, bool(control & 1), bool(control & 2), content[position + 6 : following]
        position = following
