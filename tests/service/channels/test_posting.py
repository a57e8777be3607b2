"""Posting: what is read of an answer, however long it is or however it breaks off."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from service.channels.message import Refused
from service.channels.posting import READ, Poster


@contextmanager
def answering(head: bytes, body: bytes, *, endless: bool) -> Iterator[str]:
    """A server that answers one request with these bytes, the body again and again where it is endless."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(head + body)
                while endless:
                    connection.sendall(body)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_an_answer_without_end_is_read_to_its_beginning() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nX-Kept: yes\r\n\r\n", b"x" * 65536, endless=True) as url:
        answer = Poster(ours=False).post(url, b"{}", {})
    assert (answer.status_code, len(answer.content), answer.headers["x-kept"]) == (200, READ, "yes")


def test_a_body_that_breaks_off_changes_nothing_of_what_was_said() -> None:
    head = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    with answering(head, b"", endless=False) as url:
        assert Poster(ours=False).post(url, b"", {}).status_code == 204
    with (
        answering(b"HTTP/1.1 404 No\r\nContent-Length: 99\r\n\r\n", b"gone", endless=False) as url,
        pytest.raises(Refused, match="HTTP 404 gone"),
    ):
        Poster(ours=False).post(url, b"{}", {})


def test_a_compressed_answer_is_not_unpacked() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"
    with answering(head, b"\x1f\x8b...", endless=False) as url:
        assert Poster(ours=False).post(url, b"{}", {}).content == b"\x1f\x8b..."
