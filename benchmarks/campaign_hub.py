"""The campaign's hub: `hub serve` on loopback, gone on with where a killed run left it, and its people."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

ADMIN, TEAM = "campaign", "ml-team"
JUDGES = ("judge-1", "judge-2")
PATIENCE_S = 600.0
ROOT = Path(__file__).resolve().parent.parent
HUB = [sys.executable, "-m", "service"]


class Refused(RuntimeError):
    """The hub answered otherwise than the campaign needs; the text says what it was asked."""


class Hub:
    """A hub that is up, and clients of it by account.

    Args:
        folder: Of the campaign; the hub's data lie in it.
        model: The package that it works with.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.data = folder, folder / "hub"
        self._state, self._keys = folder / "hub.json", folder / "keys.json"
        kept = json.loads(self._state.read_text()) if self._state.exists() else {}
        self.port = kept.get("port") or _free_port()
        self.environment = os.environ | {
            "HUB_DATA": str(self.data),
            "HUB_HTTP_PORT": str(self.port),
            "HUB_DICOM_PORT": str(kept.get("dicom") or _free_port()),
            "HUB_MODEL": str(model.absolute()),
            "HUB_LOG_LEVEL": "WARNING",
        }
        self._pid = kept.get("pid")
        self._clients: dict[str, httpx.Client] = {}

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, or go on with the one that a killed run has left."""
        if self._answers() and self._pid is not None and _is_ours(self._pid):
            return
        self.stop()
        self.data.mkdir(parents=True, exist_ok=True)
        if self._key(ADMIN) is None:
            self.command("account", "add", ADMIN, "--role", "admin", may_fail=True)
            self._keep(ADMIN, self.command("account", "token", ADMIN).strip().splitlines()[-1])
        with (self.data / "serve.log").open("ab") as log:
            process = subprocess.Popen(
                [*HUB, "serve"],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid = process.pid
        kept = {"pid": self._pid, "port": self.port, "dicom": int(self.environment["HUB_DICOM_PORT"])}
        _write(self._state, json.dumps(kept))
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the hub is not ready; see {self.data / 'serve.log'}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self._pid is None or not _is_ours(self._pid):
            return
        os.kill(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while _is_ours(self._pid):
            if time.monotonic() > deadline:
                raise SystemExit(f"the hub (process {self._pid}) does not end")
            time.sleep(0.1)

    def command(self, *words: str, may_fail: bool = False) -> str:
        """What a `hub` command prints."""
        done = subprocess.run(
            [*HUB, *words], env=self.environment, cwd=ROOT, text=True, capture_output=True, check=False
        )
        if done.returncode and not may_fail:
            raise Refused(f"hub {' '.join(words[:2])}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def enrol(self, username: str, role: str, hospital: str | None = None, *, password: bool = False) -> None:
        """See that there is an account of this name and that the campaign holds a key of it."""
        if self._key(username) is not None:
            return
        secret = secrets.token_urlsafe(12) if password else None
        if secret:
            self._keep(f"{username} password", secret)
        body = {"username": username, "role": role, "hospital": hospital, "password": secret}
        answer = self.client(ADMIN).post("/api/v1/accounts", json=body)
        if answer.status_code not in (201, 409):
            raise Refused(f"account {username}: {answer.status_code} {answer.text[:300]}")
        made = self.post(ADMIN, f"/api/v1/accounts/{username}/tokens", {"label": "campaign"})
        self._keep(username, made["key"])

    def password(self, username: str) -> str:
        """Of an account that was enrolled with one."""
        found = self._key(f"{username} password")
        assert found is not None, username
        return found

    def client(self, username: str) -> httpx.Client:
        """A client that speaks for an account."""
        if username not in self._clients:
            headers = {"Authorization": f"Bearer {self._key(username)}"}
            self._clients[username] = httpx.Client(base_url=self.address, headers=headers, timeout=120)
        return self._clients[username]

    def get(self, username: str, path: str, **query: Any) -> Any:
        """GET that must answer 200."""
        return _json(self.client(username).get(path, params=query), path)

    def post(self, username: str, path: str, body: Any) -> Any:
        """POST that must answer 2xx."""
        return _json(self.client(username).post(path, json=body), path)

    def pages(self, username: str, path: str, **query: Any) -> Iterable[dict[str, Any]]:
        """Rows of a list that goes from the newest number down."""
        while rows := self.get(username, path, **query):
            yield from rows
            query["before"] = rows[-1].get("number") or rows[-1]["id"]

    def close(self) -> None:
        """Close the clients; the hub goes on."""
        for client in self._clients.values():
            client.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _key(self, name: str) -> str | None:
        kept = json.loads(self._keys.read_text()) if self._keys.exists() else {}
        return kept.get(name)

    def _keep(self, name: str, key: str) -> None:
        kept = json.loads(self._keys.read_text()) if self._keys.exists() else {}
        _write(self._keys, json.dumps(kept | {name: key}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _json(answer: httpx.Response, path: str) -> Any:
    if not answer.is_success:
        raise Refused(f"{answer.request.method} {path}: {answer.status_code} {answer.text[:500]}")
    return answer.json() if answer.content else None


def _is_ours(pid: int) -> bool:
    """Whether the process lives and is a hub, for numbers are given out again."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    if state == "Z":
        with suppress(ChildProcessError):  # a hub that a killed run started is not ours to wait for
            os.waitpid(pid, os.WNOHANG)
        return False
    return b"service" in words and b"serve" in words


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text)
    os.replace(part, path)
