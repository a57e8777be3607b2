"""STOW-RS ingest beside Orthanc's DICOMweb plug-in, as `benchmarks.ingest` sends over DIMSE."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.dicomweb import store
from benchmarks.hub_api import PLUGIN, hub_api, orthanc_web
from benchmarks.slices import write_slices
from benchmarks.table import Bar, Row, at_least

CONNECTIONS = (1, 4)
STUDIES, SLICES = 5, 40
ROUNDS = 3
SIZE_MB = 0.5243
SEED = 5000
"""Of UIDs that no other part of the benchmark uses."""

Speeds = dict[tuple[str, int], list[float]]
"""Images a second by server and number of connections, one value a round."""


def measure_web(scratch: Path) -> Speeds:
    """Send 200 new slices to each server over one connection and over four, in turn, 20 slices a request."""
    speeds: Speeds = {}
    with ExitStack() as stack:
        warm = write_slices(_folder(scratch), studies=1, slices=1, seed=SEED - 1)
        servers = [stack.enter_context(hub_api(_folder(scratch) / "hub", warm))]
        if PLUGIN.exists() and shutil.which("Orthanc"):
            servers.append(stack.enter_context(orthanc_web(_folder(scratch) / "orthanc")))
        for number in range(ROUNDS):
            for connections in CONNECTIONS:
                folder = _folder(scratch)
                seed = SEED + 10 * number + connections
                paths = write_slices(folder, studies=STUDIES, slices=SLICES, seed=seed)
                for server in servers[:: -1 if number % 2 else 1]:
                    speeds.setdefault((server.name, connections), []).append(
                        store(server, paths, connections)
                    )
                shutil.rmtree(folder)
    return speeds


def web_rows(speeds: Speeds) -> list[Row]:
    """A line for each server and number of connections."""
    return [
        {
            "server": f"{name} over STOW-RS",
            "associations": connections,
            "images/s": round(median(each), 1),
            "MB/s": round(median(each) * SIZE_MB, 1),
            "ratio to Orthanc": _ratio(speeds, name, connections),
        }
        for (name, connections), each in sorted(speeds.items(), key=lambda item: (item[0][1], item[0][0]))
    ]


def web_bars(speeds: Speeds) -> list[Bar]:
    """The hub beside the plug-in."""
    return [
        at_least(
            f"ingest over STOW-RS to Orthanc's, {connections} connection(s)",
            _ratio(speeds, "hub", connections),
            1,
        )
        for connections in CONNECTIONS
    ]


def _ratio(speeds: Speeds, name: str, connections: int) -> float | None:
    theirs = speeds.get(("Orthanc", connections))
    if theirs is None:
        return None
    return round(median(a / b for a, b in zip(speeds[name, connections], theirs, strict=True)), 2)


def _folder(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch))
