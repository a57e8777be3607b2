"""Ingest beside Orthanc and dcmtk, by C-STORE, over TLS and STOW-RS: images per second, durable and indexed.

The client is dcmtk's storescu; TCP_NODELAY=1 is in the environment of both sides, because Nagle's algorithm
stalls dcmtk and Orthanc at about 20 images a second. Peers take turns within a round, and only the ratio to
Orthanc in the same round counts, because the machine may be shared. storescp neither syncs nor indexes. The
hub is measured with the blank files that it makes while nobody sends, and in a row of its own without them.
"""

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.fuzz import associate_request
from benchmarks.receivers import (
    CERTIFICATES,
    ENVIRONMENT,
    HUB,
    HUB_TLS,
    ORTHANC,
    ORTHANC_TLS,
    OURS,
    PEERS,
    STORESCP,
    Peer,
    await_blanks,
    running,
)
from benchmarks.slices import write_slices
from benchmarks.table import Bar, Row, at_least, at_most, report
from benchmarks.web_ingest import measure_web, web_bars, web_rows
from pacs_gateway.inbox import Inbox
from service.certificates import init_authority

STUDIES, SLICES = 5, 40
ASSOCIATIONS = (1, 4)
CT_SLICES = 324
DISK_ALONE = "disk alone (write and fsync)"
"""What no server that syncs each image can exceed: as many threads as there are associations, no network."""
IDLE_ASSOCIATIONS, IDLE_SECONDS = 20, 5.0
FEWEST_ROUNDS, ROUNDS, LONG_ROUNDS = 2, 5, 15
BUDGET_SECONDS, LONG_BUDGET_SECONDS = 210.0, 1200.0


def seconds_to_send(files: list[Path], port: int, associations: int, peer: Peer | None = None) -> float:
    """Wall time of that many storescu at once, each with its share of the files."""
    shares = [files[number::associations] for number in range(associations)]
    client = (peer or HUB).client("storescu")
    begin = time.perf_counter()
    senders = [
        subprocess.Popen([*client, "127.0.0.1", str(port), *map(str, share)], env=ENVIRONMENT)
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
                    taken = seconds_to_send(files, port, associations, peer)
                    if peer in OURS:
                        verify(stored, len(files))
                seconds.setdefault((peer.name, associations), []).append(taken)
            alone = seconds_for_disk_alone(scratch, files[0].stat().st_size, associations)
            seconds.setdefault((DISK_ALONE, associations), []).append(alone)
            shutil.rmtree(folder)
    return seconds


def seconds_for_disk_alone(scratch: Path, size: int, writers: int) -> float:
    """Wall time of writing every image as a file of its own and syncing it, and of nothing else."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    content = os.urandom(size)

    def write(number: int) -> None:
        with (folder / str(number)).open("xb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())

    begin = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(STUDIES * SLICES)))
    taken = time.perf_counter() - begin
    shutil.rmtree(folder)
    return taken


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
                "ratio to Orthanc": ratio(seconds, name, associations, peer_of(name)),
            }
        )
    return rows


def peer_of(name: str) -> str:
    """The Orthanc that speaks as this server does."""
    return ORTHANC_TLS.name if "TLS" in name else ORTHANC.name


def ratio(
    seconds: dict[tuple[str, int], list[float]], name: str, associations: int, other: str = ORTHANC.name
) -> float | None:
    """Median over the rounds of this server's speed against another's in the same round."""
    mine, theirs = seconds.get((name, associations)), seconds.get((other, associations))
    if not mine or not theirs:
        return None
    return round(median(their / own for own, their in zip(mine, theirs, strict=True)), 2)


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
    with running(HUB, scratch) as (pid, port, folder):
        seconds_to_send(files, port, 4)
        await_blanks(folder, HUB)  # made anew after the load, within a second of quiet
        associations = [open_association(port) for _ in range(IDLE_ASSOCIATIONS)]
        before = processor_seconds(pid)
        time.sleep(IDLE_SECONDS)
        share = (processor_seconds(pid) - before) / IDLE_SECONDS * 100
        for association in associations:
            association.close()
        return peak_mb(pid), share


def open_association(port: int) -> socket.socket:
    """A connection with an accepted association on it, and no thread of ours behind it."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(associate_request("IDLE"))
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
        found.append(at_least(f"ingest to Orthanc's, {associations} association(s), 1 process", value, 2))
        value = ratio(seconds, HUB.name, associations, STORESCP.name)
        found.append(at_least(f"ingest to storescp's, {associations} association(s), 1 process", value, 0.5))
        value = ratio(seconds, HUB_TLS.name, associations, ORTHANC_TLS.name)
        found.append(at_least(f"ingest over TLS to Orthanc's, {associations} association(s)", value, 1))
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
        init_authority(CERTIFICATES, "IMAGINGHUB")
        seconds = measure(
            [peer for peer in PEERS if peer.name not in missing], scratch, *_effort(arguments.long)
        )
        web = measure_web(scratch)
        ct = whole_ct(scratch)
        memory, idle = footprint(scratch)
        shutil.rmtree(CERTIFICATES)
    rows = ingest_rows(seconds)
    rows += web_rows(web) + [{"server": f"missing: {name}"} for name in missing]
    found = [*bars(seconds, ct, memory, idle), *web_bars(web)]
    report("ingest", rows, found, as_json=arguments.json)


if __name__ == "__main__":
    main()
