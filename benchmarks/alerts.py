"""Alerts while one channel is down: from a flag to somebody told, and whether any is lost or told twice.

    python -m benchmarks.alerts [--json] [--alerts 1000] [--rate 5]
    python -m benchmarks.alerts --kills 30                   the worker is killed -9 so often meanwhile

A real `hub work` on SQLite; every hospital of the region has a webhook and MOPH Notify, and its first on call
has LINE. Stand-ins on loopback take what is posted; that of LINE answers 503 until all else is delivered.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sqlalchemy import Engine, select

from benchmarks.alert_kills import measure_kills
from benchmarks.table import at_most, report
from service.accounts import OPERATOR, Role, add_account
from service.alert_deliveries import AlertDelivery, TellState
from service.alerts import Alert, AlertKind, raise_alert
from service.contacts import Way, add_contact
from service.db import make_engine, now, session_scope, upgrade
from service.hospitals import list_hospitals, seed_hospitals
from service.jobs import JobClient
from service.rosters import add_shift
from service.settings import read_settings
from service.states import Lane, Priority, StudyState
from service.studies import Study

GOAL_SECONDS = 10.0
PATIENCE_SECONDS = 240.0
WAYS = (Way.WEBHOOK, Way.MOPH_NOTIFY, Way.LINE)


class Taker:
    """What the stand-ins took: how often each text, by way."""

    def __init__(self) -> None:
        self.taken: Counter[tuple[str, str]] = Counter()
        self.line_is_up = False
        self.refused = 0
        self._lock = threading.Lock()

    def take(self, path: str, body: bytes) -> int:
        """Note a post, and give the status of its answer."""
        content = json.loads(body)
        with self._lock:
            if path.startswith("/v2/bot") and not self.line_is_up:
                self.refused += 1
                return 503
            way = {"/v2/bot/message/push": "line", "/api/notify/send": "moph_notify"}.get(path, "webhook")
            told = content["id"] if way == "webhook" else content["messages"][0]["text"]
            self.taken[way, told] += 1
            return 200


@contextmanager
def serve(taker: Taker) -> Iterator[str]:
    """The stand-ins, all on one port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(taker.take(self.path, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said of single posts."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def people(engine: Engine, url: str) -> list[str]:
    """Somebody on call and two contacts at every hospital; returns the codes."""
    with session_scope(engine) as session:
        seed_hospitals(session)
        codes = [each.hcode for each in list_hospitals(session)]
        for number, hcode in enumerate(codes):
            name, start = f"doctor-{hcode}", now() - timedelta(minutes=1)
            add_account(session, name, Role.REFERRER, hcode=hcode)
            add_shift(session, OPERATOR, hcode, name, starts_at=start, ends_at=start + timedelta(days=1))
            add_contact(session, OPERATOR, Way.LINE, f"U{number:032x}", username=name)
            add_contact(session, OPERATOR, Way.WEBHOOK, f"{url}/his/{hcode}", hcode=hcode)
            add_contact(session, OPERATOR, Way.MOPH_NOTIFY, f"client-{hcode}", hcode=hcode, secret="secret")
    return codes


def studies(engine: Engine, codes: list[str], number: int) -> list[tuple[int, str]]:
    """Flagged studies, spread over the hospitals; returns number and hospital of each."""
    with session_scope(engine) as session:
        rows = [
            Study(
                study_instance_uid=f"1.2.826.0.1.{n}",
                hcode=codes[n % len(codes)],
                state=StudyState.FLAGGED,
                place=n,
                priority=Priority.ROUTINE,
                lane=Lane.LIVE,
                first_received_at=now(),
                last_received_at=now(),
            )
            for n in range(number)
        ]
        session.add_all(rows)
        session.flush()
        return [(each.id, each.hcode or "") for each in rows]


def raise_all(engine: Engine, made: list[tuple[int, str]], rate: float) -> None:
    """Raise one alert after the other, so many a second."""
    begun = time.monotonic()
    for n, (study, hcode) in enumerate(made):
        time.sleep(max(0.0, begun + n / rate - time.monotonic()))
        with session_scope(engine) as session:
            raise_alert(
                session,
                AlertKind.FLAG,
                hcode=hcode,
                study_id=study,
                path=f"/studies/{n}",
                key=f"flag:{study}",
            )


def await_worker(jobs_url: str) -> None:
    """Wait until the worker gives signs of life: loading the network is not what is measured here."""
    client, deadline = JobClient(jobs_url), time.monotonic() + PATIENCE_SECONDS
    while not client.workers() and time.monotonic() < deadline:
        time.sleep(0.2)
    client.close()


def await_messages(engine: Engine, ways: tuple[Way, ...], number: int) -> None:
    """Wait until so many messages of the ways are delivered, or patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(delivered(engine, ways)) < number and time.monotonic() < deadline:
        time.sleep(0.5)


def delivered(engine: Engine, ways: tuple[Way, ...]) -> list[tuple[int, float]]:
    """Alert and seconds from raising to delivery of each delivered message of the first hop."""
    query = (
        select(Alert.id, Alert.raised_at, AlertDelivery.delivered_at)
        .join(AlertDelivery, AlertDelivery.alert_id == Alert.id)
        .where(
            AlertDelivery.way.in_(ways), AlertDelivery.state == TellState.DELIVERED, AlertDelivery.hop == 0
        )
    )
    with session_scope(engine, write=False) as session:
        return [
            (number, (at - since).total_seconds())
            for number, since, at in session.execute(query)
            if at is not None
        ]


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else float("nan")


def measure(number: int, rate: float, folder: Path) -> tuple[dict[Way, list[float]], Taker]:
    """Seconds to delivery by way, and what the stand-ins took."""
    taker = Taker()
    with serve(taker) as url:
        environment = os.environ | {
            "HUB_DATA": str(folder),
            "HUB_LINE_URL": url,
            "HUB_LINE_TOKEN": "token",
            "HUB_MOPH_NOTIFY_URL": url,
            "HUB_ALERT_FLAGS_AN_HOUR": "1000",
            # one hop alone is measured: nobody answers here
            "HUB_ALERT_LADDER": "60",
            "HUB_LOG_LEVEL": "WARNING",
        }
        engine = make_engine(read_settings(environment).database)
        upgrade(engine)
        made = studies(engine, people(engine, url), number)
        worker = subprocess.Popen([sys.executable, "-m", "service", "work"], env=environment)
        try:
            await_worker(read_settings(environment).jobs_database)
            raise_all(engine, made, rate)
            await_messages(engine, (Way.WEBHOOK, Way.MOPH_NOTIFY), 2 * number)
            taker.line_is_up = True
            await_messages(engine, (Way.LINE,), number)
            return {way: [each for _, each in delivered(engine, (way,))] for way in WAYS}, taker
        finally:
            worker.terminate()
            worker.wait(timeout=60)
            engine.dispose()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=5.0, help="alerts a second")
    parser.add_argument("--kills", type=int, default=0, help="kill the worker so often instead")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    asked = parser.parse_args()
    if asked.kills:
        rows, bars = measure_kills(asked.kills, asked.seed)
        report("alerts, kills", rows, bars, as_json=asked.json)
        return
    with tempfile.TemporaryDirectory() as folder:
        seconds, taker = measure(asked.alerts, asked.rate, Path(folder))
    rows = [
        {
            "way": way.value,
            "delivered": len(found),
            "taken": sum(n for (taken_by, _), n in taker.taken.items() if taken_by == way.value),
            "median s": statistics.median(found) if found else None,
            "p95 s": p95(found) if found else None,
            "slowest s": max(found, default=None),
        }
        for way, found in seconds.items()
    ]
    up = [*seconds[Way.WEBHOOK], *seconds[Way.MOPH_NOTIFY]]
    lost = 3 * asked.alerts - len(taker.taken)
    doubled = sum(n - 1 for n in taker.taken.values())
    bars = [
        at_most("p95 from flag to delivered by the channels that are up, s", p95(up), GOAL_SECONDS),
        at_most("messages lost, the dead channel's included", float(lost), 0),
        at_most("messages told twice", float(doubled), 0),
        at_most("knocks at the dead channel", float(taker.refused), 30),
    ]
    report("alerts", rows, bars, as_json=asked.json)


if __name__ == "__main__":
    main()
