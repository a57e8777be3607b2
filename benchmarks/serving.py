"""A whole hub for the benchmarks: `hub serve` as a child process, a sender, and peak memory."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from pacs_gateway.sender import Peer, send

ROOT = Path(__file__).resolve().parent.parent
FINAL = {"flagged", "clear", "review", "refused", "failed"}
CALLING_AE = "BENCH"


class Serving:
    """Handles to a hub that is up."""

    def __init__(self, data: Path, environment: dict[str, str], token: str) -> None:
        self.data = data
        self._environment = environment
        self.dicom_port = int(environment["HUB_DICOM_PORT"])
        self._peer = Peer("IMAGINGHUB", "127.0.0.1", self.dicom_port)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{environment['HUB_HTTP_PORT']}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )

    def send(self, paths: list[Path]) -> None:
        """Send over one association; ends the benchmark when any image is not stored."""
        refused = [each for each in send(paths, self._peer, calling_ae=CALLING_AE) if not each.stored]
        if refused:
            raise SystemExit(f"{len(refused)} of {len(paths)} images not stored: {refused[0].text}")

    def result(self, uid: str, *, seconds: float = 120) -> dict[str, Any]:
        """Poll the API until the study has a final state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):  # the API may have been killed a moment ago
                answer = self.client.get(f"/api/v1/studies/{uid}/result")
                if answer.status_code == 200 and answer.json()["state"] in FINAL:
                    found: dict[str, Any] = answer.json()
                    return found
            time.sleep(0.02)
        raise SystemExit(f"study {uid} had no result after {seconds:.0f} s; see {self.data / 'serve.log'}")

    def processes(self) -> dict[str, int]:
        """Process ids by name."""
        rows = json.loads((self.data / "processes.json").read_text())["children"]
        return {row["name"]: row["pid"] for row in rows if row["pid"]}

    def peak_memory_mb(self) -> dict[str, float]:
        """Peak resident memory of each process since its start (VmHWM)."""
        peaks = {}
        for name, pid in self.processes().items():
            status = Path(f"/proc/{pid}/status").read_text()
            kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            peaks[name] = int(kilobytes) / 1024
        return peaks


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(data: Path, **settings: str) -> Iterator[Serving]:
    """`hub serve` on free loopback ports until the block ends."""
    environment = os.environ | {
        "HUB_DATA": str(data),
        "HUB_HTTP_PORT": str(free_port()),
        "HUB_DICOM_PORT": str(free_port()),
        **settings,
    }
    hub = [sys.executable, "-m", "service"]

    def command(*words: str) -> str:
        done = subprocess.run(
            [*hub, *words], env=environment, cwd=ROOT, text=True, capture_output=True, check=True
        )
        return done.stdout

    data.mkdir(parents=True, exist_ok=True)
    command("caller", "add", CALLING_AE, "--hospital", "10671", "--address", "127.0.0.1/32")
    command("account", "add", "bench", "--role", "admin")
    token = command("account", "token", "bench").strip().splitlines()[-1]
    with (data / "serve.log").open("ab") as log:
        server = subprocess.Popen([*hub, "serve"], env=environment, cwd=ROOT, stdout=log, stderr=log)
    running = Serving(data, environment, token)
    try:
        _wait_ready(server, running)
        yield running
    finally:
        running.client.close()
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def _wait_ready(server: subprocess.Popen[bytes], running: Serving) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"the hub ended with {server.returncode}; see {running.data / 'serve.log'}")
        try:
            if running.client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the hub was not ready after 90 s; see {running.data / 'serve.log'}")
