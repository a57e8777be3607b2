"""A web server on a free loopback port that stands in for LINE, MOPH Notify or a hospital's own system."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Posted:
    """What came."""

    path: str
    headers: dict[str, str]
    """By name in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Posted], tuple[int, dict[str, str], str]]


class StandIn:
    """The server's address and what was posted to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.posted: list[Posted] = []
        self.answer: Answer = lambda posted: (200, {}, "{}")


@contextmanager
def stand_in(answer: Answer | None = None) -> Iterator[StandIn]:
    """Serve until the block ends; without an answer it says 200 to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted = Posted(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            here.posted.append(posted)
            status, headers, text = here.answer(posted)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what was posted is in `posted`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    here = StandIn(server.server_address[1])
    if answer is not None:
        here.answer = answer
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
