"""A whole hub for tests: `hub serve` as a child process on free loopback ports, with its own data folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from tests.shell import run_hub

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
FINAL = {"flagged", "clear", "review", "refused", "failed"}


def real_ct(name: str) -> list[Path]:
    """The files of one real head CT study; skips the test where they are not on this machine."""
    root = Path(os.environ.get("HUB_TEST_DATA") or ROOT.parent / "shared" / "data")
    folder = root / "dicom" / name
    if not folder.is_dir():
        pytest.skip(f"real head CT is not on this machine: {name} (set HUB_TEST_DATA)")
    return sorted(folder.glob("*.dcm"))


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], T], *, seconds: float, hint: str) -> T:
    """Poll `what` until it is true; fails the test with `hint` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {hint}")
        time.sleep(0.1)


class RunningHub:
    """Handles to a hub that is up."""

    def __init__(self, data: Path, environment: dict[str, str], token: str) -> None:
        self.data = data
        self.environment = environment
        self.token = token
        self.dicom_port = int(environment["HUB_DICOM_PORT"])
        self.address = f"http://127.0.0.1:{environment['HUB_HTTP_PORT']}"
        self.client = httpx.Client(
            base_url=self.address, headers={"Authorization": f"Bearer {token}"}, timeout=20
        )

    def get(self, path: str, **query: Any) -> Any:
        """GET an API path that must answer 200."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def study(self, uid: str) -> dict[str, Any] | None:
        """One study, or None while the hub does not know it."""
        answer = self.client.get(f"/api/v1/studies/{uid}")
        return answer.json() if answer.status_code == 200 else None

    def result(self, uid: str, *, seconds: float = 60) -> dict[str, Any]:
        """The study's result once it has a final state."""

        def final() -> dict[str, Any] | None:
            answer = self.client.get(f"/api/v1/studies/{uid}/result")
            found = answer.json() if answer.status_code == 200 else None
            return found if found and found["state"] in FINAL else None

        result = until(final, seconds=seconds, hint=f"a final state of study {uid}")
        assert result is not None
        return result

    def hub(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a `hub` command against this hub's data."""
        done = run_hub(*words, environment=self.environment)
        if check:
            done.check_returncode()
        return done

    def send(self, paths: Iterable[Path], *, calling: str = "UDON_CT1") -> subprocess.CompletedProcess[str]:
        """Send files with `hub send`, which exits with 1 when any was not stored."""
        to = f"IMAGINGHUB@127.0.0.1:{self.dicom_port}"
        return self.hub("send", *map(str, paths), "--to", to, "--from", calling, check=False)

    def storescu(self, paths: Iterable[Path], *, calling: str = "UDON_CT1") -> None:
        """Send files with dcmtk's storescu, which reads as-stored transfer syntaxes."""
        command = ["storescu", "-xs", "-R", "-aet", calling, "-aec", "IMAGINGHUB", "127.0.0.1"]
        command += [str(self.dicom_port), *map(str, paths)]
        environment = self.environment | {"TCP_NODELAY": "1"}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    def processes(self) -> dict[str, int]:
        """Process ids by name as the supervisor wrote them."""
        rows = json.loads((self.data / "processes.json").read_text())
        return {row["name"]: row["pid"] for row in rows["children"]}

    def close(self) -> None:
        """Close the client's connections."""
        self.client.close()


@contextmanager
def running_hub(
    data: Path,
    *words: str,
    callers: Sequence[tuple[str, str]] = (("UDON_CT1", "10671"), ("LOEI_CT", "10705")),
    ready: bool = True,
    package: Path | None = None,
    **settings: str,
) -> Iterator[RunningHub]:
    """`hub serve` on free ports until the block ends; its log is `data`/serve.log.

    Give the tiny `package` where it does not matter what is said of a head: the shipped one takes 5 s for 28
    slices. With `ready` False the block begins as soon as the API answers and the DICOM port is open.
    """
    environment = os.environ | {
        "HUB_DATA": str(data),
        "HUB_HTTP_PORT": str(free_port()),
        "HUB_DICOM_PORT": str(free_port()),
        "HUB_DISK_RESERVE_MB": "1",
        "HUB_BLANK_FILES": "8",
        **({"HUB_MODEL": str(package)} if package else {}),
        **settings,
    }
    data.mkdir(parents=True, exist_ok=True)

    def hub(*command: str) -> str:
        done = run_hub(*command, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    if not (data / "hub.sqlite").exists():
        for ae_title, hcode in callers:
            hub("caller", "add", ae_title, "--hospital", hcode, "--address", "127.0.0.1/32")
        hub("account", "add", "tester", "--role", "admin")
    token = hub("account", "token", "tester").strip().splitlines()[-1]

    with (data / "serve.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", *words],
            env=environment, cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip
    running = RunningHub(data, environment, token)
    try:

        def up() -> bool:
            assert server.poll() is None, (data / "serve.log").read_text()[-3000:]
            try:
                with socket.create_connection(("127.0.0.1", running.dicom_port), timeout=1):
                    return running.client.get("/readyz").status_code == 200 or not ready
            except (OSError, httpx.TransportError):
                return False

        until(up, seconds=90, hint="the hub is up")
        yield running
    finally:
        running.close()
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            raise
