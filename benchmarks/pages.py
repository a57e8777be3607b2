"""The pages with 1,000,000 studies: how fast, how heavy, and how they come over a slow line.

    python -m benchmarks.pages [--json] [--long] [--studies N]

A database is filled with studies of 88 hospitals over five years, once SQLite and once PostgreSQL (a server
of its own on loopback, with fsync; left out where there is none). Pages are asked over real HTTP with a
signed-in session, one after the other over a kept-alive connection: every figure holds the audit row on disk.
Chromium then visits over an emulated line of 1.6 Mbit/s and 150 ms. Only the opened study has an analysis.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import psycopg

from benchmarks import visit
from benchmarks.hub_api import HOSPITAL
from benchmarks.reader import LOCAL, REGION, ReadyHub, mark_of, ready_hub, sign_in
from benchmarks.region import fill, names
from benchmarks.serving import ROOT
from benchmarks.table import Bar, at_most, render, report
from service.commands.api import KEEP_ALIVE_S

SERVER = "HUB_TEST_DATABASE_URL"
"""Where scripts/with-postgres says that its server is."""
P95_MS, WORKLIST_KB, SLICE_KB, SLICE_S = 50.0, 100.0, 60.0, 2.0
DEEP = 50
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Question:
    """One page, and what asks for it once and gives the bytes of the answer."""

    name: str
    ask: Callable[[], int]


class Person:
    """Somebody signed in, over one kept-alive connection; lighter than a browser: the hub is measured."""

    def __init__(self, hub: ReadyHub, username: str) -> None:
        with closing(sign_in(hub, username)) as client:
            self._mark = mark_of(client.get("/account").text)
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        self._headers = {"Cookie": cookies, "Accept": "text/html", "Accept-Encoding": "gzip"}
        place = urlsplit(hub.address)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        self._asked = 0.0

    def get(self, path: str) -> bytes:
        """A page that must answer 200."""
        return self._ask("GET", path, None)

    def post(self, path: str, **values: str) -> bytes:
        """The answer to a form."""
        return self._ask("POST", path, urlencode({"csrf_token": self._mark, **values}))

    def _ask(self, method: str, path: str, body: str | None) -> bytes:
        if time.monotonic() - self._asked > KEEP_ALIVE_S / 2:
            self._connection.close()  # the server may, while somebody else is measured
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        self._connection.request(method, path, body, {**self._headers, **form})
        answer = self._connection.getresponse()
        content = answer.read()
        self._asked = time.monotonic()
        if answer.status != 200:
            raise SystemExit(f"{method} {path} answers {answer.status}: {content[:300]!r}")
        return content


def questions(hub: ReadyHub) -> list[Question]:
    """What readers of the region and of one hospital open."""
    region, local = Person(hub, REGION), Person(hub, LOCAL)
    deep = _deep_page(region)
    people = cycle(names(np.random.default_rng(80), 500))
    numbers = (f"{each:07d}" for each in cycle(range(3, 3_000_000, 7919)))

    def name() -> str:
        return next(people).replace("^", " ")

    study = f"/studies/{hub.uid}"
    return [
        Question("worklist, region", lambda: len(region.get("/"))),
        Question("worklist, one hospital", lambda: len(local.get("/"))),
        Question("worklist, only flagged", lambda: len(region.get("/?state=flagged"))),
        Question("worklist, only clear, one hospital", lambda: len(local.get("/?state=clear"))),
        Question("worklist, hospital chosen", lambda: len(region.get(f"/?state=all&hospital={HOSPITAL}"))),
        Question("worklist, subdural alone", lambda: len(region.get("/?state=all&finding=sdh"))),
        Question(f"worklist, page {DEEP}", lambda: len(region.get(deep))),
        Question("search, whole Thai name", lambda: len(region.post("/search", text=name()))),
        Question("search, family name", lambda: len(region.post("/search", text=name().split()[1]))),
        Question("search, two letters, one hospital", lambda: len(local.post("/search", text=name()[:2]))),
        Question("search, HN", lambda: len(region.post("/search", text=next(numbers)))),
        Question("search, first 3 digits of HN", lambda: len(region.post("/search", text=next(numbers)[:3]))),
        Question("JSON list, 50", lambda: len(region.get("/api/v1/studies"))),
        Question("study page", lambda: len(region.get(study))),
        Question("first key slice", lambda: len(region.get(f"/api/v1{study}/key-slices/1.webp"))),
    ]


def _deep_page(person: Person) -> str:
    path = "/"
    for _ in range(DEEP - 1):
        page = person.get(path).decode()
        path = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    return path


def measure(engine: str, hub: ReadyHub, times: int) -> list[dict[str, Any]]:
    """Median, p95 and maximum in ms of `times` requests of each, after a few that are not counted."""
    rows = []
    for question in questions(hub):
        for _ in range(WARM_UP):
            question.ask()
        taken, size, used = [], 0, hub.processor_seconds()
        for _ in range(times):
            start = time.perf_counter()
            size = question.ask()
            taken.append((time.perf_counter() - start) * 1000)
        used = (hub.processor_seconds() - used) * 1000 / times
        p50, p95 = np.percentile(taken, [50, 95])
        rows.append(
            {"page": question.name, "database": engine, "n": times, "p50 ms": float(p50),
             "p95 ms": float(p95), "max ms": max(taken), "API's CPU ms": used, "kB": size / 1000}
        )  # fmt: skip
    return rows


def on_sqlite(
    folder: Path, studies: int, times: int, *, slowly: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Figures of SQLite, and those of Chromium's visits; with `slowly` on a slow processor too."""
    say(f"filling SQLite with {studies:,} studies")
    folder.mkdir()
    start = time.perf_counter()
    fill(f"sqlite:///{folder / 'hub.sqlite'}", studies)
    say(f"filled in {time.perf_counter() - start:.0f} s")
    with ready_hub(folder) as hub:
        rows = measure("SQLite", hub, times)
        browser = visit.chromium()
        if browser is None:
            say("Chromium or Playwright is not on this machine: nothing is measured over the slow line")
            return rows, []
        seen = [(1, each) for each in visit.visits(hub, browser)]
        if slowly:
            seen += [(4, each) for each in visit.visits(hub, browser, cpu_slowdown=4)]
    return rows, [_visit_row(slowdown, each) for slowdown, each in seen]


def on_postgres(folder: Path, studies: int, times: int) -> list[dict[str, Any]]:
    """Figures of PostgreSQL, from a process that scripts/with-postgres starts beside its server."""
    command = ["scripts/with-postgres", sys.executable, "-m", "benchmarks.pages", "--on-server", str(folder)]
    environment = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(
        [*command, "--studies", str(studies), "--times", str(times)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout) if done.stdout else []


def serve_rows(folder: Path, studies: int, times: int) -> None:
    """Fill the server that with-postgres has started, and print the rows as JSON."""
    server = os.environ[SERVER]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE pages")
    url = server.rpartition("/")[0].replace("postgresql:", "postgresql+psycopg:") + "/pages"
    say(f"filling PostgreSQL with {studies:,} studies")
    start = time.perf_counter()
    fill(url, studies, source=folder.with_name("sqlite") / "hub.sqlite")
    say(f"filled in {time.perf_counter() - start:.0f} s")
    with psycopg.connect(server, autocommit=True) as connection:  # from here on as in life: durable
        connection.execute("ALTER SYSTEM SET fsync = on")
        connection.execute("SELECT pg_reload_conf()")
    folder.mkdir()
    with ready_hub(folder, url) as hub:
        print(json.dumps(measure("PostgreSQL", hub, times)))


def bars(rows: list[dict[str, Any]], seen: list[dict[str, Any]]) -> Iterator[Bar]:
    """The goals of the design."""
    for row in rows:
        if row["database"] == "SQLite":
            yield at_most(f"{row['page']}, p95, ms", row["p95 ms"], P95_MS)
    weights = {row["page"]: row["kB"] for row in rows}
    yield at_most("worklist's weight, kB", weights["worklist, region"], WORKLIST_KB)
    yield at_most("first key slice's weight, kB", weights["first key slice"], SLICE_KB)
    for row in seen:
        if row["key slice s"] is not None and row["CPU"] == "as it is":
            yield at_most(f"first key slice visible, {row['page']}, s", row["key slice s"], SLICE_S)


def _visit_row(slowdown: int, seen: visit.Visit) -> dict[str, Any]:
    return {
        "page": seen.page,
        "CPU": "as it is" if slowdown == 1 else f"{slowdown} times slower",
        "first paint s": seen.first_paint,
        "LCP s": seen.largest_paint,
        "key slice s": seen.key_slice,
        "CLS": seen.layout_shift,
        "requests": seen.requests,
        "kB": seen.kilobytes,
    }


def say(text: str) -> None:
    """How far it is; the table goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--long",
        action="store_true",
        help="1000 requests of each page instead of 100, and visits with a slow processor",
    )
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--on-server", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    times = arguments.times or (1000 if arguments.long else 100)
    if arguments.on_server:
        serve_rows(arguments.on_server, arguments.studies, times)
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows, seen = on_sqlite(Path(scratch) / "sqlite", arguments.studies, times, slowly=arguments.long)
        # no bar is set for PostgreSQL: half the requests, so that the whole ends within five minutes
        rows += on_postgres(Path(scratch) / "postgres", arguments.studies, times // 2)
    if seen and not arguments.json:
        print(render(seen))
    report("pages", rows + seen if arguments.json else rows, list(bars(rows, seen)), as_json=arguments.json)


if __name__ == "__main__":
    main()
