import contextlib
import socket
import threading
from collections.abc import Iterator
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_gateway.upper_layer import (
    BUFFER,
    MAX_PDU,
    P_DATA_TF,
    ConnectionLost,
    PduStream,
    ProtocolError,
    fragments,
)


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        yield ours, theirs


pdus = st.lists(st.tuples(st.integers(1, 7), st.binary(max_size=300)), min_size=1, max_size=20)


class TestRead:
    @given(pdus, st.integers(1, 97))
    def test_pdus_come_out_however_they_are_cut(self, sent: list[tuple[int, bytes]], size: int) -> None:
        with connected() as (ours, theirs):
            stream = PduStream(ours, idle_seconds=5)
            content = b"".join(pack(">BxI", kind, len(body)) + body for kind, body in sent)
            for start in range(0, len(content), size):
                theirs.sendall(content[start : start + size])
            theirs.shutdown(socket.SHUT_WR)
            for kind, body in sent:
                read_kind, read_body = stream.read()
                assert (read_kind, bytes(read_body)) == (kind, body)
            with pytest.raises(ConnectionLost):
                stream.read()

    def test_many_of_the_largest_fit_one_buffer(self) -> None:
        with connected() as (ours, theirs):
            stream = PduStream(ours, idle_seconds=5)
            body = bytes(range(256)) * (MAX_PDU // 256)
            feeding = threading.Thread(
                target=lambda: [theirs.sendall(pack(">BxI", 4, MAX_PDU) + body) for _ in range(5)]
            )
            feeding.start()
            for _ in range(5):
                assert bytes(stream.read()[1]) == body
            feeding.join()
        assert MAX_PDU + 6 <= BUFFER

    def test_silence_is_a_lost_connection(self) -> None:
        with connected() as (ours, _), pytest.raises(ConnectionLost, match="silent"):
            PduStream(ours, idle_seconds=0.05).read()

    @given(st.binary(max_size=200))
    def test_never_raises_anything_else(self, content: bytes) -> None:
        with connected() as (ours, theirs):
            stream = PduStream(ours, idle_seconds=5)
            theirs.sendall(content)
            theirs.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionLost, ProtocolError):
                while True:
                    list(fragments(stream.read()[1]))


class TestFragments:
    def test_several_values_in_one_pdu(self) -> None:
        content = pack(">IBB", 5, 1, 3) + b"abc" + pack(">IBB", 2, 3, 0)
        assert [(c, command, last, bytes(f)) for c, command, last, f in fragments(memoryview(content))] == [
            (1, True, True, b"abc"),
            (3, False, False, b""),
        ]


class TestWriteCommand:
    @pytest.mark.parametrize("limit", [0, 20, 16384])
    def test_no_pdu_is_longer_than_the_peer_takes(self, limit: int) -> None:
        with connected() as (ours, theirs):
            PduStream(ours, idle_seconds=5).write_command(5, bytes(range(100)), limit=limit)
            ours.shutdown(socket.SHUT_WR)
            stream, received, controls = PduStream(theirs, idle_seconds=5), b"", []
            while sum(map(len, [received])) < 100:
                kind, content = stream.read()
                assert kind == P_DATA_TF
                assert not limit or len(content) <= limit
                for _, is_command, is_last, fragment in fragments(content):
                    received += bytes(fragment)
                    controls.append((is_command, is_last))
        assert received == bytes(range(100))
        assert controls == [(True, False)] * (len(controls) - 1) + [(True, True)]
