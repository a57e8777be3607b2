"""Peers and callers by API: written, changed, called, and read by the listener without a restart."""

from pathlib import Path

from sqlalchemy import Engine, select

from pacs_gateway.callers import Callers
from service.accounts import Role
from service.audit import AuditEntry
from service.db import session_scope
from service.settings import Settings
from tests.pacs import small_pacs
from tests.service.api.conftest import SignIn
from tests.service.factories import UDON

PEER = {"name": "udon-pacs", "ae_title": "SMALLPACS", "host": "127.0.0.1", "port": 104, "hospital": UDON}


def test_a_peer_is_added_changed_read_and_removed(signed_in: SignIn, engine: Engine) -> None:
    client = signed_in(Role.ADMIN)
    assert client.post("/api/v1/peers", json=PEER | {"objects": ["sr"]}).status_code == 201
    assert client.post("/api/v1/peers", json=PEER).status_code == 409
    changed = client.patch("/api/v1/peers/udon-pacs", json={"port": 11113, "hospital": None})
    assert changed.status_code == 200
    (peer,) = client.get("/api/v1/peers").json()
    assert (peer["port"], peer["hospital"], peer["objects"]) == (11113, None, ["sr"])
    assert client.delete("/api/v1/peers/udon-pacs").status_code == 204
    assert client.get("/api/v1/peers/udon-pacs").status_code == 404
    with session_scope(engine, write=False) as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions == ["peer.add", "peer.change", "peer.remove"]


def test_a_bad_value_is_a_problem_that_names_it(signed_in: SignIn) -> None:
    answer = signed_in(Role.ADMIN).post("/api/v1/peers", json=PEER | {"host": "a host"})
    assert answer.status_code == 422
    assert "a host" in answer.json()["detail"]


def test_a_peer_is_called(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN)
    with small_pacs() as pacs:
        client.post("/api/v1/peers", json=PEER | {"port": pacs.port})
        assert client.post("/api/v1/peers/udon-pacs/echo").json() == {"answered": True, "reason": ""}
    gone = client.post("/api/v1/peers/udon-pacs/echo").json()
    assert not gone["answered"]
    assert "cannot be reached" in gone["reason"]


def test_a_caller_is_let_in_from_the_moment_it_is_added(signed_in: SignIn, settings: Settings) -> None:
    callers = Callers(Path(settings.callers))
    assert callers.recognise("CT1", "IMAGINGHUB", "10.8.0.9") is None
    client = signed_in(Role.ADMIN)
    body = {"ae_title": "CT1", "hospital": UDON, "addresses": ["10.8.0.0/16"]}
    assert client.post("/api/v1/callers", json=body).status_code == 201
    sender = callers.recognise("CT1", "IMAGINGHUB", "10.8.0.9")
    assert sender is not None
    assert sender.hcode == UDON
    added = client.post(f"/api/v1/callers/{UDON}/CT1/certificates", json={"fingerprint": "ab" * 32})
    assert added.json()["certificates"] == ["ab" * 32]
    assert client.delete(f"/api/v1/callers/{UDON}/CT1").status_code == 204
    assert client.get("/api/v1/callers").json() == []
    assert callers.recognise("CT1", "IMAGINGHUB", "10.8.0.9") is None
