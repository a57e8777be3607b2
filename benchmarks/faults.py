"""What goes wrong between hospitals and the listener: nothing acknowledged lost, nothing stuck, memory flat.

python -m benchmarks.faults [--json]      a few minutes
python -m benchmarks.faults --long        12,000 health checks, ten minutes of broken PDUs
"""

import argparse
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.fuzz import CONTEXTS, STORE, associate_request, fuzz, message
from benchmarks.receivers import HUB, running
from benchmarks.slices import write_slices
from benchmarks.table import Bar, Row, at_most, report
from pacs_gateway.arrivals import digest_of
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.part10 import read_meta
from pacs_gateway.peers import echo
from pacs_gateway.sender import Peer, send

FLAT_MB = 4.0
DEADLINE_SECONDS = 60.0
PIECES, MINUTES_APART = 5, 5


class Clock:
    """The listener's time, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault did."""

    events: int
    sent: int
    """Instances acknowledged."""
    kept: int
    """Of these, in the inbox afterwards."""
    stuck: int
    """Associations still open, or studies that did not become ready."""
    growth_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Hub:
    """A listener: a process of its own whose memory is watched, or in this one with a clock of ours."""

    inbox: Inbox
    port: int
    pid: int
    clock: Clock
    files: list[Path]

    @property
    def peer(self) -> Peer:
        return Peer("IMAGINGHUB", "127.0.0.1", self.port)

    def send(self, paths: Sequence[Path], *, associations: int = 1) -> int:
        """How many were acknowledged with Success."""
        return sum(each.stored for each in send(paths, self.peer, associations=associations))

    def kept(self) -> int:
        return sum(each.stored for each in self.inbox.receipts(limit=100_000))

    def open_associations(self) -> int:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (left := self._open()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _open(self) -> int:
        return sum(each.closed_at is None for each in self.inbox.receipts(limit=100_000))


def memory_mb(pid: int) -> float:
    """What the process holds of its own, in MB: resident, without the files that it shares."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def sender_dies(hub: Hub, effort: int) -> Outcome:
    """Connections cut in the middle of an image."""
    data = data_set(hub.files[0])
    whole = message(1, STORE, CONTEXTS[0], data[:100_000])
    for number in range(times := 50 * effort):
        with socket.create_connection(("127.0.0.1", hub.port)) as connection:
            connection.sendall(associate_request())
            connection.recv(4096)
            connection.sendall(whole[: (number + 1) * len(whole) // (times + 1)])
    stuck = hub.open_associations()
    sent = hub.send(hub.files)
    parts = list((hub.inbox.root / "owners").rglob("*.part"))
    return Outcome(times, sent, hub.kept(), stuck + max(0, len(parts) - 1))  # one lies ready for the next


def health_checks(hub: Hub, effort: int) -> Outcome:
    """200 a minute for an hour, without the waiting: half say nothing, half ask C-ECHO's association."""

    def check(count: int) -> None:
        for number in range(count):
            with socket.create_connection(("127.0.0.1", hub.port)) as connection:
                if number % 2:
                    connection.sendall(associate_request())
                    connection.recv(4096)

    check(500)
    hub.open_associations()
    before = memory_mb(hub.pid)
    check(times := 2400 * effort)
    stuck = hub.open_associations()
    growth = memory_mb(hub.pid) - before
    sent = hub.send(hub.files[:5])
    return Outcome(times, sent, hub.kept(), stuck, growth)


def many_at_once(hub: Hub, effort: int) -> Outcome:
    """50 associations at once."""
    shares = [hub.files[number::50] for number in range(50)]
    sent: list[int] = []
    threads = [threading.Thread(target=lambda s=share: sent.append(hub.send(s))) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Outcome(len(shares), sum(sent), hub.kept(), hub.open_associations())


def duplicate_storm(hub: Hub, effort: int) -> Outcome:
    """The same study again and again over four associations."""
    sent = hub.send(hub.files, associations=4)
    for _ in range(times := 5 * effort):
        if hub.send(hub.files, associations=4) != sent:
            return Outcome(times, sent, 0, 1)
    return Outcome(times * len(hub.files), sent, hub.kept(), hub.open_associations())


def broken_pdus(hub: Hub, effort: int) -> Outcome:
    """Conversations with bytes changed, cut, doubled or shuffled."""
    data = data_set(hub.files[0])[:20_000]
    fuzz(hub.port, data, seconds=10, seed=0)
    hub.open_associations()
    before = memory_mb(hub.pid)
    said = fuzz(hub.port, data, seconds=25 if effort == 1 else 600, seed=1)
    stuck = hub.open_associations()
    growth = memory_mb(hub.pid) - before
    echo(hub.peer)
    held = hub.kept()
    sent = hub.send(hub.files)
    return Outcome(said, sent, hub.kept() - held, stuck, growth)


def disk_full(hub: Hub, effort: int) -> Outcome:
    """The disk falls below its reserve in mid-study, and is freed."""
    half = len(hub.files) // 2
    sent = hub.send(hub.files[:half])
    hub.inbox._spool.reserve_bytes = 1 << 60
    refused = len(hub.files) - half - hub.send(hub.files[half:])
    hub.inbox._spool.reserve_bytes = 0
    sent += hub.send(hub.files[half:])
    return Outcome(refused, sent, hub.kept(), ready_or_stuck(hub))


def clock_jump(hub: Hub, effort: int) -> Outcome:
    """The clock goes a day ahead and two days back in mid-study."""
    third = len(hub.files) // 3
    sent = hub.send(hub.files[:third])
    hub.clock.ahead = 86_400
    sent += hub.send(hub.files[third : 2 * third])
    hub.clock.ahead = -86_400
    sent += hub.send(hub.files[2 * third :])
    return Outcome(2, sent, hub.kept(), ready_or_stuck(hub))


def study_in_pieces(hub: Hub, effort: int) -> Outcome:
    """Five pieces over twenty minutes; each reopens the study, and the last one completes it."""
    size, sent, stuck = len(hub.files) // PIECES, 0, 0
    for piece in range(PIECES):
        sent += hub.send(hub.files[piece * size : (piece + 1) * size])
        hub.clock.ahead += MINUTES_APART * 60
        ready = hub.inbox.ready_studies(datetime.fromtimestamp(hub.clock(), UTC))
        stuck += len(ready) != 1 or len(ready[0].instances) != (piece + 1) * size
        for study in ready:
            digest = digest_of(each.sha256 for each in study.instances)
            hub.inbox.hand_over(study.study_instance_uid, digest)
    return Outcome(PIECES, sent, hub.kept(), stuck)


def ready_or_stuck(hub: Hub) -> int:
    """0 when the one study is ready within the longest silence, with all that was sent."""
    hub.open_associations()
    hub.clock.ahead += 60 + max(0.0, -2 * hub.clock.ahead)
    ready = hub.inbox.ready_studies(datetime.fromtimestamp(hub.clock(), UTC))
    return int([len(study.instances) for study in ready] != [len(hub.files)])


FAULTS: dict[str, tuple[Callable[[Hub, int], Outcome], bool, int]] = {
    "sender dies in mid-image": (sender_dies, True, 20),
    "health checks": (health_checks, True, 20),
    "50 associations at once": (many_at_once, True, 200),
    "duplicate storm": (duplicate_storm, True, 40),
    "broken PDUs": (broken_pdus, True, 20),
    "disk full and freed": (disk_full, False, 40),
    "clock jumps": (clock_jump, False, 42),
    "study in 5 pieces": (study_in_pieces, False, 40),
}
"""What is done, whether to a process of its own, and with how many slices."""


@contextmanager
def own_process(files: list[Path], scratch: Path) -> Iterator[Hub]:
    """A listener whose memory nobody else uses."""
    with running(HUB, scratch) as (pid, port, folder):
        inbox = Inbox(folder, reserve_bytes=0)
        try:
            yield Hub(inbox, port, pid, Clock(), files)
        finally:
            inbox.close()


@contextmanager
def in_this_process(files: list[Path], scratch: Path) -> Iterator[Hub]:
    """A listener whose clock and disk we hold."""
    clock, folder = Clock(), Path(tempfile.mkdtemp(dir=scratch))
    inbox = Inbox(folder / "inbox", reserve_bytes=0, clock=clock)
    listener = Listener(inbox, Callers(folder / "callers.json"), host="127.0.0.1", port=0, learn=True)
    listener.start()
    try:
        yield Hub(inbox, listener.port, 0, clock, files)
    finally:
        listener.stop()
        inbox.close()


def data_set(path: Path) -> bytes:
    """A file's data set, without preamble and meta group."""
    content = path.read_bytes()
    return content[read_meta(content).data_set_offset :]


def main() -> None:
    """Run every fault and print what it did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--long", action="store_true", help="12,000 health checks, 10 minutes of broken PDUs")
    parser.add_argument("--only", choices=FAULTS, help="one of them alone")
    arguments = parser.parse_args()
    chosen = [arguments.only] if arguments.only else list(FAULTS)
    rows: list[Row] = []
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        scratch = Path(name)
        for number, title in enumerate(chosen):
            fault, apart, slices = FAULTS[title]
            folder = Path(tempfile.mkdtemp(dir=scratch))
            files = write_slices(folder, studies=1, slices=slices, seed=number + 1)
            begin = time.monotonic()
            with (own_process if apart else in_this_process)(files, scratch) as hub:
                outcome = fault(hub, 5 if arguments.long else 1)
            lost = outcome.sent - outcome.kept
            rows.append(
                {
                    "fault": title,
                    "events": outcome.events,
                    "acknowledged": outcome.sent,
                    "lost": lost,
                    "stuck": outcome.stuck,
                    "growth MB": outcome.growth_mb,
                    "seconds": round(time.monotonic() - begin, 1),
                }
            )
            bars.append(Bar(f"{title}: lost or stuck", lost + outcome.stuck, "0", lost == outcome.stuck == 0))
            if outcome.growth_mb is not None:
                bars.append(at_most(f"{title}: growth of memory, MB", outcome.growth_mb, FLAT_MB))
    report("faults", rows, bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
