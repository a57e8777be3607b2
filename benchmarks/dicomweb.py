"""DICOMweb beside Orthanc's plug-in: searches, metadata, frames, whole series, and storing.

Both hold the same studies and answer the same client over one kept-alive connection; they take turns within
a round, and the ratio is the median over rounds, because the machine may be shared. The hub writes an audit
row to disk for every request and checks a token; Orthanc does neither.
"""

import argparse
import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.hub_api import PLUGIN, Server, hub_api, orthanc_web
from benchmarks.slices import UID_ROOT, write_slices
from benchmarks.table import Bar, Row, at_least, report

SMALL_STUDIES, SMALL_SLICES = 120, 1
SLICES = 300
ROUNDS, LONG_ROUNDS = 5, 20
BATCH = 20
CONNECTIONS = (1, 4)
STORED = 80
"""Slices stored by each connection count in each round."""
BOUNDARY = "benchmark"
STORED_FORM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME_FORM = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class Question:
    """One request, how often it is asked in a round, and how many times as fast as Orthanc it must be."""

    name: str
    path: str
    accept: str
    times: int
    goal: float


def questions(large: str, small: str) -> list[Question]:
    """What a viewer and a PACS ask; `large` and `small` are studies."""
    json_form, series = "application/dicom+json", f"/studies/{large}/series/{large}.1"
    return [
        Question("QIDO, 100 newest studies", "/studies?limit=100", json_form, 5, 3),
        Question("QIDO, one study by UID", f"/studies?StudyInstanceUID={small}", json_form, 40, 3),
        Question("QIDO, studies by name", "/studies?PatientName=Sim*&limit=20", json_form, 10, 3),
        Question("QIDO, series of a study", f"/studies/{small}/series", json_form, 40, 3),
        Question("metadata of 300 slices", f"{series}/metadata", json_form, 3, 3),
        Question("one frame", f"{series}/instances/{large}.1.7/frames/1", FRAME_FORM, 40, 1),
        Question("300 instances", series, STORED_FORM, 1, 1),
    ]


def ask(connection: http.client.HTTPConnection, server: Server, question: Question) -> int:
    """The size of the answer, which must be 200."""
    connection.request(
        "GET", server.root + question.path, headers={**server.headers, "Accept": question.accept}
    )
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{server.name} answers {answer.status} to {question.name}: {content[:300]!r}")
    return len(content)


def seconds_for(server: Server, question: Question) -> float:
    """Median seconds of one request."""
    with connected(server) as connection:
        taken = []
        for _ in range(question.times):
            start = time.perf_counter()
            ask(connection, server, question)
            taken.append(time.perf_counter() - start)
    return median(taken)


def store(server: Server, paths: Sequence[Path], connections: int) -> float:
    """Slices a second over so many connections, `BATCH` a request."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    bodies = [_body(batch) for batch in batches]

    def send(own: Sequence[bytes]) -> None:
        with connected(server) as connection:
            for body in own:
                kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
                headers = {**server.headers, "Content-Type": kind, "Accept": "application/dicom+json"}
                connection.request("POST", f"{server.root}/studies", body=body, headers=headers)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    raise SystemExit(f"{server.name} answers {answer.status} to STOW: {content[:300]!r}")

    start = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, [bodies[n::connections] for n in range(connections)]))
    return len(paths) / (time.perf_counter() - start)


def _body(paths: Sequence[Path]) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + path.read_bytes() + b"\r\n" for path in paths) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def connected(server: Server) -> Iterator[http.client.HTTPConnection]:
    """One kept-alive connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        yield connection
    finally:
        connection.close()


def measure(folder: Path, *, rounds: int) -> tuple[list[Row], list[Bar]]:
    """Rows and bars."""
    paths = write_slices(folder / "small", studies=SMALL_STUDIES, slices=SMALL_SLICES, seed=1)
    paths += write_slices(folder / "large", studies=1, slices=SLICES, seed=2)
    asked = questions(f"{UID_ROOT}2.0", f"{UID_ROOT}1.5")
    with ExitStack() as stack:
        servers = [stack.enter_context(hub_api(folder / "hub", paths))]
        if PLUGIN.exists() and shutil.which("Orthanc"):
            servers.append(stack.enter_context(orthanc_web(folder / "orthanc")))
            store(servers[1], paths, 1)
        figures: dict[tuple[str, str], list[float]] = {}

        def note(server: Server, name: str, value: Callable[[], float]) -> None:
            figures.setdefault((server.name, name), []).append(value())

        for turn in range(rounds):
            for question in asked:
                for server in servers:
                    note(server, question.name, lambda s=server, q=question: 1 / seconds_for(s, q))  # type: ignore[misc]
            for connections in CONNECTIONS:
                fresh = folder / f"fresh-{turn}-{connections}"
                fresh.mkdir()
                new = write_slices(fresh, studies=4, slices=STORED // 4, seed=100 + 10 * turn + connections)
                for server in servers:
                    name = f"STOW, {connections} connection{'s' if connections > 1 else ''}"
                    note(server, name, lambda s=server, n=new, c=connections: store(s, n, c))  # type: ignore[misc]
                shutil.rmtree(fresh)
    return _table(figures, asked)


def _table(
    figures: dict[tuple[str, str], list[float]], asked: Sequence[Question]
) -> tuple[list[Row], list[Bar]]:
    goals = {each.name: each.goal for each in asked}
    rows: list[Row] = []
    bars = []
    for name in dict.fromkeys(name for _, name in figures):
        ours, theirs = figures["hub", name], figures.get(("Orthanc", name))
        ratio = median(a / b for a, b in zip(ours, theirs, strict=True)) if theirs else None
        rows.append(
            {
                "what": name,
                "hub /s": median(ours),
                "hub ms": 1000 / median(ours),
                "Orthanc /s": median(theirs) if theirs else None,
                "ratio": ratio,
            }
        )
        bars.append(at_least(f"{name}, times Orthanc", ratio, goals.get(name, 1)))
    return rows, bars


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dicomweb", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--long", action="store_true", help=f"{LONG_ROUNDS} rounds")
    arguments = parser.parse_args()
    for name in (folder := Path(tempfile.mkdtemp(prefix="dicomweb-")), folder / "small", folder / "large"):
        name.mkdir(exist_ok=True)
    try:
        rows, bars = measure(folder, rounds=LONG_ROUNDS if arguments.long else ROUNDS)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error}: {error.stderr}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not PLUGIN.exists():
        print(f"Orthanc's DICOMweb plug-in is not on this machine ({PLUGIN}): no ratios")
    report("dicomweb", rows, bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
