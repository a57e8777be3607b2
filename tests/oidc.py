"""Identity providers to test against: oidc-provider from npm in its own process, and small local servers."""

import hashlib
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PEER = Path(__file__).parent / "oidc_peer"

Answer = Callable[[str, str, dict[str, str], bytes], tuple[int, Any]]
"""Of method, path, headers and body: status and JSON."""


@contextmanager
def openid_provider(redirect_uri: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of a real OpenID provider, and its process; skips where node or the package is missing."""
    home = _installed()
    process = subprocess.Popen(
        ["node", "server.mjs", redirect_uri],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    assert port.isdecimal(), port
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _installed() -> Path:
    """Where the provider lies; installed once for each lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine (Debian: apt-get install nodejs npm)")
    mark = hashlib.sha256(b"".join(each.read_bytes() for each in sorted(PEER.iterdir()))).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"hub-oidc-peer-{mark}"
    if not home.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(PEER, scratch, dirs_exist_ok=True)
            made = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=scratch,
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode:
                pytest.skip(f"oidc-provider could not be installed: {made.stderr.strip()[-200:]}")
            shutil.copytree(scratch, home, dirs_exist_ok=True)
    return home


@contextmanager
def local_server(answer: Answer) -> Iterator[str]:
    """A real HTTP server on loopback that answers by a function; its address."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, content = answer(self.command, self.path, dict(self.headers.items()), body)
            sent = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = _do

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
