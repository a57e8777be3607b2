"""The STOW-RS client and the relay's way over HTTP, against the hub's own service on a real socket."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.headers import read_header
from pacs_gateway.inbox import Inbox
from pacs_gateway.pace import Pace
from pacs_gateway.relay import Relay
from pacs_gateway.relay_ledger import COMMITTED, REFUSED, WAITING
from pacs_gateway.relay_ways import WebWay
from pacs_gateway.upload import ServerUnreachable, WebServer, upload
from service.accounts import Role, add_account, issue_token
from service.db import session_scope
from tests.hub import free_port
from tests.pacs import await_condition, write_slice, write_study
from tests.service.factories import UDON

pytestmark = pytest.mark.one_database  # what is received lies in the inbox


@pytest.fixture
def hub(app: FastAPI, engine: Engine) -> Iterator[WebServer]:
    """The hub's API over HTTP, with a technician's token."""
    with session_scope(engine) as session:
        account = add_account(session, "relay", Role.TECHNICIAN, hcode=UDON)
        token = issue_token(session, account)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    await_condition(lambda: server.started, "the hub answers")
    yield WebServer(f"http://127.0.0.1:{port}/dicomweb", token)
    server.should_exit = True
    thread.join()


def files(paths: list[Path]) -> list[tuple[Path, str]]:
    return [(path, read_header(path).sop_instance_uid) for path in paths]


def test_every_instance_gets_an_answer_and_keeps_the_pace(hub: WebServer, tmp_path: Path) -> None:
    paths = write_study(tmp_path, slices=5)
    pace = Pace(0)
    assert upload(files(paths), hub, pace=pace.take) == {f"1.2.3.1.1.{n}": 0 for n in range(1, 6)}
    assert pace.taken > sum(path.stat().st_size for path in paths)


def test_what_it_does_not_take_has_its_reason(hub: WebServer, tmp_path: Path) -> None:
    good = write_slice(tmp_path, number=1)
    bad = write_slice(tmp_path, number=2)
    cut = bad.read_bytes()[:-400]
    bad.write_bytes(cut)
    said = upload([(good, "1.2.3.1.1.1"), (bad, "1.2.3.1.1.2")], hub)
    assert said["1.2.3.1.1.1"] == 0
    assert said.get("1.2.3.1.1.2", 0xC000) & 0xF000 == 0xC000


@pytest.mark.parametrize("token", ["", "hub_wrong"])
def test_without_its_token_nothing_is_said_of_the_instances(
    hub: WebServer, tmp_path: Path, token: str
) -> None:
    with pytest.raises(ServerUnreachable, match="answers 401"):
        upload(files([write_slice(tmp_path)]), replace(hub, token=token))


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match="cannot be reached"):
        upload(files([write_slice(tmp_path)]), WebServer(f"http://127.0.0.1:{free_port()}"))


class TestRelay:
    @pytest.fixture
    def lan(self, tmp_path: Path) -> Iterator[Inbox]:
        inbox = Inbox(tmp_path / "lan", reserve_bytes=0)
        scanner = Sender("CT1", "RELAY", "127.0.0.1", None)
        association = inbox.open_association(scanner)
        for path in write_study(tmp_path / "ct", slices=30, side=96):
            inbox.add_part10(path, scanner, association_id=association)
        inbox.close_association(association, Ending.RELEASED)
        yield inbox
        inbox.close()

    def test_stored_is_committed_and_let_go(
        self, hub: WebServer, app: FastAPI, lan: Inbox, tmp_path: Path
    ) -> None:
        relay = Relay(lan, tmp_path / "relay", WebWay(hub, pace=Pace(0)))
        while relay.round():
            pass
        assert relay.ledger.states()[COMMITTED][0] == 30
        (study,) = app.state.inbox().pending()
        assert len(study.rows) == 30
        await_condition(lambda: not relay.round() and not lan.pending(), "the relay lets go")
        relay.ledger.close()

    def test_hub_that_does_not_know_the_relay_costs_nothing(
        self, hub: WebServer, lan: Inbox, tmp_path: Path
    ) -> None:
        stranger = Relay(lan, tmp_path / "relay", WebWay(replace(hub, token="hub_x"), pace=Pace(0)))
        assert not stranger.round()
        assert stranger.failures == 1
        assert set(stranger.ledger.states()) == {WAITING}
        assert REFUSED not in stranger.ledger.states()
        stranger.ledger.close()
        known = Relay(lan, tmp_path / "relay", WebWay(hub, pace=Pace(0)))
        while known.round():
            pass
        assert known.ledger.states()[COMMITTED][0] == 30
        assert httpx.get(hub.url.replace("/dicomweb", "/healthz")).status_code == 200
        known.ledger.close()
