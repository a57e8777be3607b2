"""kill -9 of listener, worker and API while studies arrive: nothing acknowledged may be lost.

    python -m benchmarks.chaos [--json] [--kills 24] [--studies 50] [--seed 1]
    python -m benchmarks.chaos --long                        200 kills, 200 studies

The moments are random. Every instance that was answered Success is looked for in the hub afterwards, byte for
byte, and every study must end in a final state.
"""

import argparse
import hashlib
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks.serving import CALLING_AE, Serving, serving
from benchmarks.simulated import simulated_studies
from benchmarks.table import Bar, report
from pacs_gateway.sender import Peer, PeerUnreachable, send

QUIET_AFTER_S = 300.0
GAP_S = (0.5, 4.0)
"""Seconds between two kills, drawn evenly."""


class Sender:
    """A PACS that sends a study every `pace` seconds and, where the hub broke off, sends the rest again."""

    def __init__(self, running: Serving, studies: list[tuple[str, list[Path]]], pace: float) -> None:
        self.acknowledged: set[Path] = set()
        self._pace = pace
        self._studies = studies
        self._peer = Peer("IMAGINGHUB", "127.0.0.1", running.dicom_port)

    def run(self) -> None:
        started = time.monotonic()
        for number, (_uid, paths) in enumerate(self._studies):
            time.sleep(max(0.0, started + number * self._pace - time.monotonic()))
            deadline = time.monotonic() + QUIET_AFTER_S
            while left := [path for path in paths if path not in self.acknowledged]:
                self._try(left)
                if time.monotonic() > deadline:
                    raise SystemExit(f"{len(left)} images could not be sent in {QUIET_AFTER_S:.0f} s")

    def _try(self, paths: list[Path]) -> None:
        with suppress(PeerUnreachable):
            results = send(paths, self._peer, calling_ae=CALLING_AE, attempts=1)
            self.acknowledged |= {each.path for each in results if each.stored}
            return
        time.sleep(0.2)


def kill_at_random(running: Serving, kills: int, seed: int, stop: threading.Event) -> Counter[str]:
    """Kill one process after another, each at a random moment after the one before."""
    dice = random.Random(seed)
    killed: Counter[str] = Counter()
    while killed.total() < kills and not stop.wait(dice.uniform(*GAP_S)):
        # the one that was killed least so far, so that each has its turn; none while all wait to be restarted
        alive = sorted(running.processes().items(), key=lambda row: (killed[row[0]], dice.random()))
        for name, pid in alive[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed[name] += 1
    return killed


def kept(data: Path) -> set[str]:
    """SHA-256 of every data set in the hub's storage."""
    digests = set()
    for path in (data / "storage").rglob("*"):
        if path.is_file() and len(path.name) == 64:
            digests.add(data_set_digest(path))
    return digests


def data_set_digest(path: Path) -> str:
    """SHA-256 of a Part 10 file without its preamble and meta group, which each receiver writes anew."""
    content = path.read_bytes()
    if content[128:132] != b"DICM":
        return ""
    length = int.from_bytes(content[140:144], "little")
    return hashlib.sha256(content[144 + length :]).hexdigest()


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--long", action="store_true", help="200 kills, 200 studies")
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    kills = 200 if arguments.long else arguments.kills
    num_studies = 200 if arguments.long else arguments.studies

    with tempfile.TemporaryDirectory() as folder:
        studies = simulated_studies(Path(folder) / "dicom", num_studies, slices=32)
        with serving(Path(folder) / "hub") as running:
            pace = kills * sum(GAP_S) / 2 / len(studies)
            sender, stop = Sender(running, studies, pace), threading.Event()
            killed: Counter[str] = Counter()
            killer = threading.Thread(
                target=lambda: killed.update(kill_at_random(running, kills, arguments.seed, stop))
            )
            started = time.monotonic()
            killer.start()
            sender.run()
            killer.join()
            states = Counter(running.result(uid, seconds=QUIET_AFTER_S)["state"] for uid, _ in studies)
            seconds = time.monotonic() - started
        have = kept(Path(folder) / "hub")
        lost = [path for path in sender.acknowledged if data_set_digest(path) not in have]

    rows = [
        {
            "studies": len(studies),
            "images acknowledged": len(sender.acknowledged),
            **{f"kills of {name}": killed[name] for name in ("listener", "worker-1", "api")},
            "lost": len(lost),
            **{name: number for name, number in sorted(states.items())},
            "seconds": seconds,
        }
    ]
    bars = [
        Bar("acknowledged images lost", len(lost), "0", not lost),
        Bar(
            "studies without a final state",
            len(studies) - states.total(),
            "0",
            states.total() == len(studies),
        ),
        Bar("studies that failed", states["failed"], "0", states["failed"] == 0),
        Bar("kills", killed.total(), f">= {kills}", killed.total() >= kills),
    ]
    report("chaos", rows, bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
