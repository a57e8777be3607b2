"""kill -9 of the worker while alerts go out and escalate; `python -m benchmarks.alerts --kills N` runs it.

Webhooks on loopback count how often each id came. The moments are random; the worker is started again after
each. Nobody answers before the last kill, so every alert also climbs the ladder meanwhile.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from sqlalchemy import Engine, func, select

from benchmarks.table import Bar, at_most
from service.accounts import OPERATOR
from service.alert_deliveries import AlertDelivery, TellState
from service.alert_states import AlertState
from service.alerts import Alert, AlertKind, acknowledge, raise_alert
from service.contacts import Way, add_contact
from service.db import make_engine, now, session_scope, upgrade
from service.hospitals import list_hospitals, seed_hospitals
from service.settings import read_settings
from service.states import Lane, Priority, StudyState
from service.studies import Study

GAP_S: Final = (1.0, 3.0)
"""Seconds from the worker's first post until it is killed, drawn evenly."""
ALERTS_A_LIFE: Final = 4
HOSPITALS: Final = 8
"""Each has one webhook, a line of its own: so many messages may be on their way at one kill."""
PATIENCE_S: Final = 180.0
ANSWER_S: Final = 0.05
"""How long the stand-in takes to answer, so that kills also fall between send and record."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message, as the rows have it."""

    number: int
    alert: int
    hop: int
    contact: int | None
    state: TellState


class Posts:
    """How often each message id was posted."""

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All posts so far."""
        return self.ids.total()


@contextmanager
def hook(posts: Posts) -> Iterator[str]:
    """A webhook for every hospital."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                return  # the kill fell within the post: it did not come
            posts.ids[json.loads(body)["id"]] += 1
            time.sleep(ANSWER_S)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said of single posts."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def measure_kills(kills: int, seed: int) -> tuple[list[dict[str, Any]], list[Bar]]:
    """Kill so often; returns what a table shows, and the bars."""
    dice, posts, started = random.Random(seed), Posts(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, hook(posts) as url:
        environment = os.environ | {
            "HUB_DATA": folder,
            "HUB_ALERT_FLAGS_AN_HOUR": "1000",
            "HUB_ALERT_LADDER": "1",
            "HUB_LOG_LEVEL": "ERROR",
        }
        engine = make_engine(read_settings(environment).database)
        upgrade(engine)
        codes = _hospitals(engine, url)
        raised = 0
        for _ in range(kills):
            with _worker(environment):
                before = posts.total
                for _ in range(ALERTS_A_LIFE):
                    _raise(engine, raised, codes[raised % len(codes)])
                    raised += 1
                _wait(lambda seen=before: posts.total > seen)
                time.sleep(dice.uniform(*GAP_S))
        with _worker(environment):
            _wait(lambda: _least_hop(engine) >= 2)
            _answer(engine)
            _wait(lambda: _waiting(engine) == 0)
        rows = _rows(engine)
        engine.dispose()
    return _judge(rows, posts, kills=kills, raised=raised, seconds=time.monotonic() - started)


def _judge(
    rows: list[Told], posts: Posts, *, kills: int, raised: int, seconds: float
) -> tuple[list[dict[str, Any]], list[Bar]]:
    ids = {f"alert-message-{each.number}": each.state for each in rows}
    told = {name for name, state in ids.items() if state is TellState.DELIVERED}
    twice = Counter((each.alert, each.hop, each.contact) for each in rows)
    lost = [name for name, state in ids.items() if state not in (TellState.DELIVERED, TellState.WITHDRAWN)]
    untold = raised - len({each.alert for each in rows if each.state is TellState.DELIVERED})
    row = {
        "kills": kills,
        "alerts": raised,
        "messages": len(rows),
        "delivered": len(told),
        "withdrawn": sum(state is TellState.WITHDRAWN for state in ids.values()),
        "posts": posts.total,
        "repeats, same id": sum(number - 1 for number in posts.ids.values()),
        "seconds": seconds,
    }
    bars = [
        at_most("alerts never told", float(untold), 0),
        at_most("messages neither delivered nor answered before", float(len(lost)), 0),
        at_most("delivered by the rows, unseen by the receiver", float(len(told - set(posts.ids))), 0),
        at_most("ids that the receiver saw and no row has", float(len(set(posts.ids) - set(ids))), 0),
        at_most("hops taken twice", float(sum(n > 1 for n in twice.values())), 0),
        at_most("repeats for each kill", row["repeats, same id"] / kills, HOSPITALS),
    ]
    return [row], bars


@contextmanager
def _worker(environment: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "service", "work"], env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _hospitals(engine: Engine, url: str) -> list[str]:
    with session_scope(engine) as session:
        seed_hospitals(session)
        codes = [each.hcode for each in list_hospitals(session)][:HOSPITALS]
        for hcode in codes:
            add_contact(session, OPERATOR, Way.WEBHOOK, f"{url}/his/{hcode}", hcode=hcode)
    return codes


def _raise(engine: Engine, number: int, hcode: str) -> None:
    with session_scope(engine) as session:
        study = Study(
            study_instance_uid=f"1.2.826.0.1.{number}",
            hcode=hcode,
            state=StudyState.FLAGGED,
            place=number,
            priority=Priority.ROUTINE,
            lane=Lane.LIVE,
            first_received_at=now(),
            last_received_at=now(),
        )
        session.add(study)
        session.flush()
        path = f"/studies/{number}"
        raise_alert(session, AlertKind.FLAG, hcode=hcode, study_id=study.id, path=path, key=f"flag:{number}")


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"what the benchmark waits for did not happen in {PATIENCE_S:.0f} s")
        time.sleep(0.1)


def _least_hop(engine: Engine) -> int:
    with session_scope(engine, write=False) as session:
        return session.scalars(select(func.min(Alert.hop))).one() or 0


def _waiting(engine: Engine) -> int:
    query = select(func.count()).where(AlertDelivery.state == TellState.WAITING)
    with session_scope(engine, write=False) as session:
        return session.scalars(query).one()


def _answer(engine: Engine) -> None:
    """Somebody takes every alert, so that the ladder comes to rest; what has waited long is sent first."""
    _wait(lambda: _waiting(engine) == 0)
    with session_scope(engine) as session:
        for number in session.scalars(select(Alert.id).where(Alert.state == AlertState.RINGING)).all():
            acknowledge(session, number, OPERATOR)


def _rows(engine: Engine) -> list[Told]:
    query = select(AlertDelivery).where(AlertDelivery.way == Way.WEBHOOK)
    with session_scope(engine, write=False) as session:
        return [
            Told(each.id, each.alert_id, each.hop, each.contact_id, each.state)
            for each in session.scalars(query)
        ]
