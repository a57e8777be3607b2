"""The power fails while images arrive: of those answered Success none may be missing afterwards.

    python -m benchmarks.power_cuts [--json] [--cuts 8] [--seed 1]

The inbox lies on an ext4 of its own in a file, two storescu send to it, and at a random moment the file
system is shut down as it stands (FS_IOC_SHUTDOWN without flushing its log): what was not synced is gone, as
after a power cut, but for what a disk forgets that lies about its cache. It is mounted again, the inbox is
opened, and every image that storescu counted as stored is looked for. Half the cuts are without blank files.
Needs root, loop devices, e2fsprogs and dcmtk.
"""

import argparse
import fcntl
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.receivers import ENVIRONMENT, HUB, HUB_UNPREPARED, Peer, running
from benchmarks.slices import write_slices
from benchmarks.table import Bar, Row, at_most, report
from pacs_gateway.headers import read_header
from pacs_gateway.inbox import Inbox
from pacs_gateway.seal import is_whole
from pacs_gateway.trials import lane_beside

FS_IOC_SHUTDOWN = 0x8004587D
WITHOUT_ITS_LOG = 2
DISK_BYTES = 900 << 20
STUDIES, SLICES, SENDERS = 5, 40, 2
AT_SECONDS = (0.15, 0.9)
NEEDED = ("mkfs.ext4", "mount", "umount", "storescu", "echoscu")
SUCCESS = "Received Store Response (Success)"


@dataclass(frozen=True, slots=True)
class Cut:
    """One power cut and what was found after it."""

    peer: str
    acknowledged: int
    kept: int
    torn: int
    indexed: int
    lost: int


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def cut_power(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_ITS_LOG))
    finally:
        os.close(descriptor)


def answered_before_cut(files: list[Path], peer: Peer, disk: Path, scratch: Path, after: float) -> set[str]:
    """Send, cut the power, and name the instances that were answered Success."""
    shares = [files[number::SENDERS] for number in range(SENDERS)]
    with running(peer, disk) as (_, port, _folder):
        logs = [(scratch / f"sender-{number}.txt").open("w+") for number in range(SENDERS)]
        senders = [
            subprocess.Popen(
                ["storescu", "-v", "127.0.0.1", str(port), *map(str, share)],
                env=ENVIRONMENT,
                stdout=log,
                stderr=log,
            )
            for share, log in zip(shares, logs, strict=True)
        ]
        time.sleep(after)
        cut_power(disk)
        for sender in senders:
            sender.kill()
            sender.wait()
    stored: set[str] = set()
    for share, log in zip(shares, logs, strict=True):
        log.seek(0)
        count = log.read().count(SUCCESS)
        log.close()
        stored |= {read_header(path).sop_instance_uid for path in share[:count]}
    return stored


def look_after(disk: Path) -> tuple[set[str], int, int]:
    """Instances that are kept, files that are not what their name says, and instances in the index."""
    (root,) = (path for path in disk.iterdir() if lane_beside(path).is_dir())
    inbox = Inbox(root, reserve_bytes=0)
    try:
        files = [path for path in (root / "instances").rglob("*") if path.is_file()]
        whole = [path for path in files if is_whole(path)]
        kept = {read_header(path).sop_instance_uid for path in whole}
        return kept, len(files) - len(whole), sum(receipt.stored for receipt in inbox.receipts())
    finally:
        inbox.close()


def cut_once(peer: Peer, files: list[Path], scratch: Path, after: float) -> Cut:
    image, disk = scratch / "disk.img", scratch / "disk"
    disk.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with mounted(image, disk):
        stored = answered_before_cut(files, peer, disk, scratch, after)
    with mounted(image, disk):
        kept, torn, indexed = look_after(disk)
    return Cut(peer.name, len(stored), len(kept), torn, indexed, len(stored - kept))


def rows_of(cuts: list[Cut]) -> list[Row]:
    return [
        {
            "server": cut.peer,
            "answered Success": cut.acknowledged,
            "kept": cut.kept,
            "torn": cut.torn,
            "indexed": cut.indexed,
            "lost": cut.lost,
        }
        for cut in cuts
    ]


def bars_of(cuts: list[Cut]) -> list[Bar]:
    return [
        at_most("images answered Success and lost", sum(cut.lost for cut in cuts), 0),
        at_most("files that are not what their name says", sum(cut.torn for cut in cuts), 0),
        at_most("kept images that the index lacks", sum(abs(cut.kept - cut.indexed) for cut in cuts), 0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power_cuts", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--cuts", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        raise SystemExit(f"needs root and {', '.join(missing or NEEDED)}")
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="power-cuts-") as name:
        scratch = Path(name)
        (scratch / "slices").mkdir()
        files = write_slices(scratch / "slices", studies=STUDIES, slices=SLICES, seed=arguments.seed)
        cuts = [
            cut_once(HUB if number % 2 == 0 else HUB_UNPREPARED, files, scratch, chance.uniform(*AT_SECONDS))
            for number in range(arguments.cuts)
        ]
    report("power_cuts", rows_of(cuts), bars_of(cuts), as_json=arguments.json)


if __name__ == "__main__":
    main()
