"""C-STORE ingest beside Orthanc and dcmtk: images per second, durable and indexed, over 1 and 4 associations.

The client is dcmtk's storescu; TCP_NODELAY=1 is in the environment of both sides, because Nagle's algorithm
stalls dcmtk and Orthanc at about 20 images a second. Peers take turns within a round, and only the ratio to
Orthanc in the same round counts, because the machine may be shared. storescp neither syncs nor indexes.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.slices import write_slices
from benchmarks.table import Bar, Row, at_least, at_most, report
from pacs_gateway.inbox import Inbox

STUDIES, SLICES = 5, 40
ASSOCIATIONS = (1, 4)
CT_SLICES = 324
IDLE_ASSOCIATIONS, IDLE_SECONDS = 20, 5.0
START_SECONDS = 30.0
FEWEST_ROUNDS, ROUNDS, LONG_ROUNDS = 2, 5, 15
BUDGET_SECONDS, LONG_BUDGET_SECONDS = 210.0, 1200.0
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
LISTEN = (
    "import sys; from pathlib import Path; from pacs_gateway.listener import listen; "
    "listen(Path(sys.argv[1]), Path(sys.argv[2]), host='127.0.0.1', port=int(sys.argv[3]), learn=True, "
    "processes=int(sys.argv[4]), reserve_bytes=0)"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A storage provider to be measured: the program it needs and how it is started."""

    name: str
    program: str
    command: Callable[[Path, int], list[str]]


def ours(processes: int) -> Peer:
    def command(folder: Path, port: int) -> list[str]:
        return [
            sys.executable,
            "-c",
            LISTEN,
            str(folder),
            str(folder / "callers.json"),
            str(port),
            str(processes),
        ]

    return Peer(f"hub, {processes} process{'es' if processes > 1 else ''}", sys.executable, command)


def storescp(folder: Path, port: int) -> list[str]:
    return ["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(folder), str(port)]


def orthanc(folder: Path, port: int) -> list[str]:
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "DicomPort": port,
        "HttpPort": free_port(),
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": False,
        "DicomModalities": {},
        "SyncStorageArea": True,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    return ["Orthanc", str(file)]


HUB = ours(1)
HUB2 = ours(2)
ORTHANC = Peer("Orthanc", "Orthanc", orthanc)
PEERS = (HUB, HUB2, ORTHANC, Peer("storescp --fork", "storescp", storescp))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(peer: Peer, scratch: Path) -> Iterator[tuple[int, int, Path]]:
    """The peer, listening: its process id, port and folder."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(peer.command(folder, port), env=ENVIRONMENT, **quiet)  # type: ignore[call-overload]
    try:
        await_echo(port, peer.name)
        yield process.pid, port, folder
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def await_echo(port: int, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(
        ["echoscu", "127.0.0.1", str(port)], capture_output=True, env=ENVIRONMENT
    ).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} did not answer C-ECHO within {START_SECONDS:.0f} s")
        time.sleep(0.1)


def seconds_to_send(files: list[Path], port: int, associations: int) -> float:
    """Wall time of that many storescu at once, each with its share of the files."""
    shares = [files[number::associations] for number in range(associations)]
    begin = time.perf_counter()
    senders = [
        subprocess.Popen(["storescu", "127.0.0.1", str(port), *map(str, share)], env=ENVIRONMENT)
        for share in shares
    ]
    if any([sender.wait() for sender in senders]):
        raise SystemExit("storescu failed")
    return time.perf_counter() - begin


def measure(
    peers: list[Peer], scratch: Path, rounds: int, budget_seconds: float
) -> dict[tuple[str, int], list[float]]:
    """Seconds by peer and number of associations, one value a round."""
    seconds: dict[tuple[str, int], list[float]] = {}
    begin = time.monotonic()
    for number in range(rounds):
        spent = time.monotonic() - begin
        if number >= FEWEST_ROUNDS and spent + spent / number > budget_seconds:
            break  # a busy machine: fewer rounds rather than no end
        for associations in ASSOCIATIONS:
            folder = Path(tempfile.mkdtemp(dir=scratch))
            files = write_slices(folder, studies=STUDIES, slices=SLICES, seed=number * 10 + associations)
            turn = number % len(peers)
            for peer in peers[turn:] + peers[:turn]:
                with running(peer, scratch) as (_, port, stored):
                    taken = seconds_to_send(files, port, associations)
                    if peer in (HUB, HUB2):
                        verify(stored, len(files))
                seconds.setdefault((peer.name, associations), []).append(taken)
            shutil.rmtree(folder)
    return seconds


def verify(folder: Path, expected: int) -> None:
    inbox = Inbox(folder, reserve_bytes=0)
    stored = sum(receipt.stored for receipt in inbox.receipts())
    inbox.close()
    if stored != expected:
        raise SystemExit(f"{stored} of {expected} instances are in the inbox")


def ingest_rows(seconds: dict[tuple[str, int], list[float]]) -> list[Row]:
    images, size = STUDIES * SLICES, STUDIES * SLICES * 0.5243
    rows: list[Row] = []
    for (name, associations), taken in sorted(seconds.items(), key=lambda item: (item[0][1], item[0][0])):
        rows.append(
            {
                "server": name,
                "associations": associations,
                "images/s": round(images / median(taken), 1),
                "MB/s": round(size / median(taken), 1),
                "ratio to Orthanc": ratio(seconds, name, associations),
            }
        )
    return rows


def ratio(seconds: dict[tuple[str, int], list[float]], name: str, associations: int) -> float | None:
    """Median over the rounds of this server's speed against Orthanc's in the same round."""
    mine, theirs = seconds.get((name, associations)), seconds.get((ORTHANC.name, associations))
    if not mine or not theirs:
        return None
    return round(median(other / own for own, other in zip(mine, theirs, strict=True)), 2)


def whole_ct(scratch: Path) -> float:
    """Seconds from the first byte of a 324-slice CT to the study being ready, over one association."""
    files = write_slices(Path(tempfile.mkdtemp(dir=scratch)), studies=1, slices=CT_SLICES, seed=999)
    with running(HUB, scratch) as (_, port, folder):
        inbox = Inbox(folder, reserve_bytes=0)
        begin = time.perf_counter()
        seconds_to_send(files, port, 1)
        while not inbox.ready_studies(datetime.now(UTC)):
            time.sleep(0.01)
        taken = time.perf_counter() - begin
        inbox.close()
    return taken


def footprint(scratch: Path) -> tuple[float, float]:
    """Peak memory of a listener under load in MB, and its processor use in percent with idle associations."""
    files = write_slices(Path(tempfile.mkdtemp(dir=scratch)), studies=1, slices=100, seed=998)
    with running(HUB, scratch) as (pid, port, _):
        seconds_to_send(files, port, 4)
        associations = [open_association(port) for _ in range(IDLE_ASSOCIATIONS)]
        before = processor_seconds(pid)
        time.sleep(IDLE_SECONDS)
        share = (processor_seconds(pid) - before) / IDLE_SECONDS * 100
        for association in associations:
            association.close()
        return peak_mb(pid), share


def open_association(port: int) -> socket.socket:
    """A connection with an accepted association on it, and no thread of ours behind it."""
    from pynetdicom.pdu import A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.presentation import build_context

    from pacs_gateway.negotiation import user_information

    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "IDLE", "HUB"
    context = build_context("1.2.840.10008.1.1")
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    request.user_information = user_information()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(A_ASSOCIATE_RQ(request).encode())
    if connection.recv(1) != b"\x02":
        raise SystemExit("the listener did not accept an idle association")
    return connection


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def bars(seconds: dict[tuple[str, int], list[float]], ct: float, memory: float, idle: float) -> list[Bar]:
    found = []
    for associations in ASSOCIATIONS:
        value = ratio(seconds, HUB.name, associations)  # the default; picking the better one would flatter
        found.append(at_least(f"ingest to Orthanc's, {associations} association(s), 1 process", value, 1))
    found.append(at_most(f"seconds until a CT of {CT_SLICES} slices is durable and ready", ct, 5))
    found.append(at_most("listener's peak memory, MB", memory, 150))
    found.append(at_most(f"processor use of {IDLE_ASSOCIATIONS} idle associations, percent", idle, 1))
    return found


def _effort(long: bool) -> tuple[int, float]:
    return (LONG_ROUNDS, LONG_BUDGET_SECONDS) if long else (ROUNDS, BUDGET_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--long", action="store_true", help="more rounds")
    arguments = parser.parse_args()
    missing = [peer.name for peer in PEERS if shutil.which(peer.program) is None]
    if shutil.which("storescu") is None or shutil.which("echoscu") is None:
        raise SystemExit("needs dcmtk's storescu and echoscu (Debian: dcmtk)")
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        scratch = Path(name)
        seconds = measure(
            [peer for peer in PEERS if peer.name not in missing], scratch, *_effort(arguments.long)
        )
        ct = whole_ct(scratch)
        memory, idle = footprint(scratch)
    rows = ingest_rows(seconds)
    rows += [{"server": f"missing: {name}"} for name in missing]
    report("ingest", rows, bars(seconds, ct, memory, idle), as_json=arguments.json)


if __name__ == "__main__":
    main()
