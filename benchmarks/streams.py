"""Pages and systems that wait for events: memory and processor use of the API, how late an event comes.

    python -m benchmarks.streams [--json] [--streams N]

A hub serves; N connections of 25 accounts follow `/api/v1/events`. Then a study changes some
times, as a worker would write it, and every connection must hear of every change, in order.
"""

import argparse
import os
import selectors
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.region import FIRST, fill
from benchmarks.serving import serving
from benchmarks.table import Row, at_most, report
from service import audit
from service.accounts import add_account, issue_token
from service.db import make_engine, session_scope
from service.roles import Role

ACCOUNTS = 25
"""Of which each may have 20 connections."""
CHANGES = 20
PAUSE_S = 0.25
IDLE_S = 5.0
LATEST_S = 20.0
MEMORY_MB = 250.0
TICKS = os.sysconf("SC_CLK_TCK")


class Follower:
    """One connection; `heard` are the moments at which events came."""

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        asked = f"GET /api/v1/events HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n\r\n"
        self.socket.sendall(asked.encode())
        self.following = False
        self.heard: list[tuple[int, float]] = []
        self._rest = b""

    def read(self) -> None:
        """Take what has come."""
        received = self.socket.recv(1 << 16)
        if not received:
            raise SystemExit(f"a stream was closed: {self._rest[:200]!r}")
        *lines, self._rest = (self._rest + received).split(b"\n")
        moment = time.monotonic()
        for line in lines:
            if line.startswith(b": following"):
                self.following = True
            elif line.startswith(b"id: "):
                self.heard.append((int(line[4:]), moment))


@contextmanager
def following(port: int, tokens: Sequence[str], streams: int) -> Iterator[list[Follower]]:
    """So many connections that all follow."""
    followers = [Follower(port, tokens[n % len(tokens)]) for n in range(streams)]
    try:
        listen(followers, lambda: all(each.following for each in followers))
        yield followers
    finally:
        for each in followers:
            each.socket.close()


def listen(followers: Sequence[Follower], done: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Read until `done()`; whether it came to that within the time."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for each in followers:
            selector.register(each.socket, selectors.EVENT_READ, each)
        while time.monotonic() < deadline:
            if done():
                return True
            for key, _ in selector.select(0.2):
                key.data.read()
    return done()


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """Resident memory now, or `VmHWM` at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def processor_s(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(folder: Path, streams: int) -> dict[str, float]:
    """All figures."""
    data = folder / "hub"
    data.mkdir()
    url = f"sqlite:///{data / 'hub.sqlite'}"
    fill(url, 1)
    engine = make_engine(url)
    with session_scope(engine) as session:
        people = [add_account(session, f"waits-{n}", Role.RADIOLOGIST) for n in range(ACCOUNTS)]
        tokens = [issue_token(session, each) for each in people]
    with serving(data) as running:
        api = running.processes()["api"]
        running.client.get("/api/v1/studies").raise_for_status()
        rows = {"streams": float(streams), "API's memory before, MB": memory_mb(api)}
        port = running.client.base_url.port or 80
        with following(port, tokens, streams) as followers:
            rows["API's memory with all following, MB"] = memory_mb(api)
            used = processor_s(api)
            time.sleep(IDLE_S)  # the stretch over which it is measured
            rows["API's processor use at rest, % of a core"] = (processor_s(api) - used) / IDLE_S * 100
            used, said = processor_s(api), []
            for _ in range(CHANGES):
                with session_scope(engine) as session:
                    audit.record(session, "worker", "study.flagged", study_id=FIRST)
                said.append(time.monotonic())
                listen(followers, lambda: False, seconds=PAUSE_S)
            whole = listen(
                followers, lambda: all(len(each.heard) >= CHANGES for each in followers), seconds=LATEST_S
            )
            rows["API's processor time for each change, ms"] = (processor_s(api) - used) / CHANGES * 1000
            missed = sum(CHANGES - len(each.heard) for each in followers)
            disordered = sum(each.heard != sorted(each.heard) for each in followers)
            assert whole == (missed == 0)
            late = [at - said[n] for each in followers for n, (_, at) in enumerate(each.heard[:CHANGES])]
        rows["changes missed"] = float(missed)
        rows["connections that heard them in another order"] = float(disordered)
        rows["commit to hearing, p50, s"], rows["commit to hearing, p95, s"] = (
            float(each) for each in np.percentile(late, [50, 95])
        )
        rows["API's highest memory, MB"] = memory_mb(api, "VmHWM")
    engine.dispose()
    return rows


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--streams", type=int, default=ACCOUNTS * 20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(Path(scratch), arguments.streams)
    bars = [
        at_most("API's highest memory, MB", rows["API's highest memory, MB"], MEMORY_MB),
        at_most("changes missed", rows["changes missed"], 0),
    ]
    table: list[Row] = [{"what": what, "value": value} for what, value in rows.items()]
    report("streams", table, bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
