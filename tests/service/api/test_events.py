"""Events over a real connection: what is sent, to whom, from where on, and when it ends."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from itertools import islice
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from labeling.assignment import Design, Reader
from labeling.splits import Shares
from model.stroke import StrokeType
from service.accounts import Role, add_account, find_account, issue_token, list_tokens, revoke_token
from service.api import events
from service.api.csrf import SESSION_COOKIE
from service.assignments import assign_cases
from service.audit import AuditEntry
from service.browser_sessions import end_sessions_of, start_session
from service.case_states import CaseState
from service.cases import admit_case
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, analysed
from tests.service.labelling import GOOD, KEY, ML, TECHNICIAN
from tests.service.served import served

Follow = Callable[..., Any]


@pytest.fixture
def address(app: FastAPI, engine: Engine) -> Iterator[str]:
    """The app behind a real socket."""
    with served(app) as address:
        yield address


def key_of(engine: Engine, role: Role = Role.RADIOLOGIST, hcode: str | None = UDON) -> dict[str, str]:
    with session_scope(engine) as session:
        account = add_account(session, f"{role.value}-{hcode}", role, hcode=hcode)
        return {"Authorization": f"Bearer {issue_token(session, account)}"}


def lines(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any], int]]:
    """The events of a stream: kind, data, number."""
    kind, data, number = "", "", ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = value
        elif name == "id":
            number = value
        elif not line and data:
            yield kind, json.loads(data), int(number)
            data = ""


def test_what_happens_is_sent_and_goes_on_after_the_last_id(address: str, engine: Engine) -> None:
    headers = key_of(engine)
    with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = lines(answer)
        with session_scope(engine) as session:
            analysed(session, "1.2.3", StrokeType.SDH)
            analysed(session, "1.2.4", hcode=LOEI)
            analysed(session, "1.2.5")
        heard = [next(stream) for _ in range(4)]
    assert [(kind, data["what"], data["study"]) for kind, data, _ in heard] == [
        ("study", "reopen", "1.2.3"),
        ("study", "flagged", "1.2.3"),
        ("study", "reopen", "1.2.5"),
        ("study", "clear", "1.2.5"),
    ]
    again = {**headers, "Last-Event-ID": str(heard[1][2])}
    with httpx.stream("GET", f"{address}/api/v1/events", headers=again, timeout=20) as answer:
        stream = lines(answer)
        assert [next(stream)[1]["study"] for _ in range(2)] == ["1.2.5", "1.2.5"]


def test_who_is_to_read_a_study_blind_hears_nothing_of_it(address: str, engine: Engine) -> None:
    headers = {**key_of(engine), "Last-Event-ID": "0"}
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SDH)
        case = admit_case(session, TECHNICIAN, "1.2.3", GOOD, KEY)
        case.state = CaseState.ELIGIBLE
        reader = Reader(f"radiologist-{UDON}")
        assign_cases(session, ML, [reader], Design(0, 1, 0, 0), Shares(test=0, calibration=0))
        analysed(session, "1.2.5")
    with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=20) as answer:
        heard = list(islice(lines(answer), 2))
    assert [data["study"] for _, data, _ in heard] == ["1.2.5", "1.2.5"]


def test_a_stream_ends_with_its_token(address: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "CHECK_SECONDS", 0.0)
    headers = key_of(engine)
    with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=20) as answer:
        with session_scope(engine) as session:
            account = find_account(session, f"radiologist-{UDON}")
            revoke_token(session, account, list_tokens(session, account)[0].id)
        assert list(lines(answer)) == []


def test_an_account_follows_over_so_many_connections_and_no_more(
    address: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_STREAMS", 1)
    headers = key_of(engine)
    with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=20) as answer:
        stream = answer.iter_lines()  # dropped, it would close the connection
        next(stream)
        second = httpx.get(f"{address}/api/v1/events", headers=headers, timeout=20)
    assert second.status_code == 429
    assert second.json()["title"] == "Too many connections"


def test_connections_opened_together_are_counted_too_and_given_back(
    address: str, app: FastAPI, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_STREAMS", 2)
    headers = key_of(engine)
    over = threading.Event()

    def open_one(_: int) -> int:
        with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=20) as answer:
            if answer.status_code == 200:
                stream = answer.iter_lines()
                next(stream)
                over.wait(20)
            return answer.status_code

    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(open_one, each) for each in range(12)]
        refused = list(islice(as_completed(waiting, timeout=20), 10))
        over.set()
    assert Counter(each.result() for each in waiting) == {200: 2, 429: 10}
    assert {each.result() for each in refused} == {429}
    await_none(app)


def await_none(app: FastAPI) -> None:
    """Wait until no stream of the account is counted any more."""
    end = time.monotonic() + 20
    while sum(app.state.streams.values()):
        assert time.monotonic() < end, app.state.streams
        time.sleep(0.05)


def test_a_stream_ends_with_its_browser_session(
    address: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CHECK_SECONDS", 0.0)
    with session_scope(engine) as session:
        account = add_account(session, "reader", Role.RADIOLOGIST, hcode=UDON)
        key = start_session(session, account, method="password", lifetime=timedelta(hours=1))
    with httpx.stream(
        "GET", f"{address}/api/v1/events", headers={"Cookie": f"{SESSION_COOKIE}={key}"}, timeout=20
    ) as answer:
        assert answer.status_code == 200
        with session_scope(engine) as session:
            end_sessions_of(session, find_account(session, "reader").id)
        assert list(lines(answer)) == []


def test_waiting_is_no_use_of_a_token(address: str, engine: Engine) -> None:
    headers = key_of(engine)
    with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=20) as answer:
        stream = answer.iter_lines()
        next(stream)
    with session_scope(engine, write=False) as session:
        account = find_account(session, f"radiologist-{UDON}")
        assert [each.last_used_at for each in list_tokens(session, account)] == [None]
        assert session.query(AuditEntry).count() == 0


def test_who_reads_no_studies_follows_nothing(signed_in: SignIn, anonymous: Any) -> None:
    assert signed_in(Role.VENDOR).get("/api/v1/events").status_code == 403
    assert anonymous.get("/api/v1/events").status_code == 401
