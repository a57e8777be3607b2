"""A weak link: what the relay brings across in a minute, beside plain storescu over the same link.

    python -m benchmarks.relay [--json] [--kbit 2000] [--studies 2] [--slices 10]

A proxy between hospital and hub lets so many kilobits a second through towards the hub, for both. Simulated
head CT, 512 x 512; the relay compresses and commits within its time. storescu is dcmtk's.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.simulated import simulated_studies
from benchmarks.table import at_least, report
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.pace import Pace
from pacs_gateway.peers import Peer
from pacs_gateway.relay import Relay
from pacs_gateway.relay_ledger import COMMITTED
from pacs_gateway.relay_ways import DicomWay
from pacs_gateway.sender import send

BYTES_OF_A_KILOBIT = 125
CHUNK = 4096


class WeakLink:
    """A TCP proxy with a bandwidth towards the hub."""

    def __init__(self, to: int, kbit: int) -> None:
        self.pace = Pace(kbit * BYTES_OF_A_KILOBIT)
        self._to = to
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            # a small window, so that what waits is seen to wait
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, weak: bool) -> None:
        try:
            while content := source.recv(CHUNK):
                if weak:
                    self.pace.take(len(content))
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()


@contextmanager
def site(folder: Path, ae_title: str) -> Iterator[tuple[Inbox, Listener]]:
    """An inbox with a listener."""
    folder.mkdir(parents=True, exist_ok=True)
    inbox = Inbox(folder / "inbox", reserve_bytes=0)
    callers = Callers(folder / "callers.json")
    listener = Listener(inbox, callers, ae_title=ae_title, host="127.0.0.1", port=0, learn=True)
    listener.start()
    try:
        yield inbox, listener
    finally:
        listener.stop()
        inbox.close()


def by_relay(folder: Path, files: list[Path], kbit: int) -> tuple[float, int]:
    """Seconds until the hub has committed to everything, and bytes towards it."""
    with site(folder / "lan", "RELAY") as (lan_inbox, lan):
        partner = {"ae_title": "RELAY", "host": "127.0.0.1", "port": lan.port, "hcode": None, "tls": False}
        (folder / "hub").mkdir()
        (folder / "hub" / "peers.json").write_text(json.dumps({"peers": [partner]}))
        with site(folder / "hub", "IMAGINGHUB") as (_, hub):
            link = WeakLink(hub.port, kbit)
            peer = Peer("IMAGINGHUB", "127.0.0.1", link.port)
            way = DicomWay(peer, pace=Pace(0), calling_ae="RELAY")
            relay = Relay(lan_inbox, folder / "relay", way)
            started = time.perf_counter()
            send(files, Peer("RELAY", "127.0.0.1", lan.port), calling_ae="CT1")
            while relay.ledger.states().get(COMMITTED, (0, 0, 0))[0] < len(files):
                if not relay.round():
                    time.sleep(0.05)
            took = time.perf_counter() - started
            relay.ledger.close()
            link.close()
            return took, link.pace.taken


def by_storescu(folder: Path, files: list[Path], kbit: int) -> tuple[float, int]:
    """Seconds until storescu has its last success, and bytes towards the hub."""
    with site(folder / "plain", "IMAGINGHUB") as (_, hub):
        link = WeakLink(hub.port, kbit)
        command = ["storescu", "-aet", "CT1", "-aec", "IMAGINGHUB", "127.0.0.1", str(link.port)]
        started = time.perf_counter()
        subprocess.run(
            [*command, *map(str, files)],
            check=True,
            capture_output=True,
            env=os.environ | {"TCP_NODELAY": "1"},
        )
        took = time.perf_counter() - started
        link.close()
        return took, link.pace.taken


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kbit", type=int, default=2000)
    parser.add_argument("--studies", type=int, default=2)
    parser.add_argument("--slices", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = simulated_studies(folder / "studies", given.studies, slices=given.slices)
        files = [path for _, paths in studies for path in paths]
        size = sum(path.stat().st_size for path in files)
        measured = {"relay": by_relay(folder, files, given.kbit)}
        if shutil.which("storescu"):
            measured["storescu"] = by_storescu(folder, files, given.kbit)
    rows = [
        {
            "way": way,
            "studies": given.studies,
            "files MB": size / 1e6,
            "sent MB": sent / 1e6,
            "s": took,
            "studies/min": 60 * given.studies / took,
        }
        for way, (took, sent) in measured.items()
    ]
    plain = measured.get("storescu")
    bars = [
        at_least("bytes of storescu / bytes of the relay", plain and plain[1] / measured["relay"][1], 2.0),
        at_least(
            "studies a minute of the relay / of storescu", plain and plain[0] / measured["relay"][0], 2.0
        ),
    ]
    report("relay", rows, bars, as_json=given.json)


if __name__ == "__main__":
    main()
