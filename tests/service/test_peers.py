"""Peers: what a row may hold, whom results go to, and the list that the listener reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.db import session_scope
from service.errors import AlreadyExists, BadRequest, NotFound
from service.peers import (
    Peer,
    PeerRole,
    ResultKind,
    add_peer,
    as_remote,
    change_peer,
    destinations,
    find_peer,
    list_peers,
    publish_peers,
    remove_peer,
)
from service.settings import Settings
from tests.service.factories import LOEI, UDON


def udon(session: Session, **changes: Any) -> Peer:
    values: dict[str, Any] = {"ae_title": "UDON_PACS", "host": "10.8.1.5", "port": 104, "hcode": UDON}
    return add_peer(session, changes.pop("name", "udon-pacs"), **{**values, **changes})


def test_a_peer_is_a_destination_in_plain_that_wants_nothing_until_told(session: Session) -> None:
    peer = udon(session)
    assert (peer.roles, peer.objects, peer.tls, peer.enabled) == (["destination"], [], False, True)


def test_a_name_is_taken_once(session: Session) -> None:
    udon(session)
    with pytest.raises(AlreadyExists, match="udon-pacs"):
        udon(session, port=105)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"name": "a b"}, "a b"),
        ({"name": ""}, "1 to 60"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, "1 to 16"),
        ({"host": "a host"}, "a host"),
        ({"host": ""}, "host"),
        ({"port": 0}, "65535"),
        ({"port": 65536}, "65536"),
        ({"objects": ["pictures"]}, "pictures"),
        ({"roles": ["friend"]}, "friend"),
        ({"tls": True, "certificate": "12"}, "fingerprint"),
        ({"certificate": "ab" * 32}, "not tls"),
    ],
)
def test_a_value_that_is_not_accepted_is_named(session: Session, values: Any, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        udon(session, **values)
    assert list_peers(session) == []


def test_an_unknown_hospital_is_refused(session: Session) -> None:
    with pytest.raises(NotFound, match="99999"):
        udon(session, hcode="99999")


def test_a_refused_change_leaves_the_peer_as_it_was(session: Session) -> None:
    udon(session)
    with pytest.raises(BadRequest):
        change_peer(session, "udon-pacs", host="10.8.1.6", port=0)
    session.expire_all()
    assert find_peer(session, "udon-pacs").host == "10.8.1.5"


def test_a_change_changes_only_what_is_given(session: Session) -> None:
    udon(session, objects=["sr"], roles=["destination", "commitment"])
    peer = change_peer(session, "udon-pacs", tls=True, certificate="AB" * 32, hcode=None)
    assert (peer.port, peer.certificate, peer.hcode, peer.objects) == (104, "ab" * 32, None, ["sr"])
    assert peer.commits


def test_results_go_to_the_hospitals_enabled_destinations_that_want_the_kind(session: Session) -> None:
    udon(session, objects=["sr", "sc"])
    udon(session, name="udon-ris", objects=["sr"])
    udon(session, name="udon-old", objects=["sr"], enabled=False)
    udon(session, name="udon-archive", objects=["sr"], roles=[PeerRole.PRIORS])
    udon(session, name="loei", objects=["sc"], hcode=LOEI)
    assert [peer.name for peer in destinations(session, UDON)] == ["udon-pacs", "udon-ris"]
    assert [peer.name for peer in destinations(session, UDON, ResultKind.SC)] == ["udon-pacs"]


def test_a_removed_peer_is_gone(session: Session) -> None:
    udon(session)
    remove_peer(session, "udon-pacs")
    with pytest.raises(NotFound, match="udon-pacs"):
        find_peer(session, "udon-pacs")


def test_the_gateway_gets_the_certificates_of_a_tls_peer(session: Session, settings: Settings) -> None:
    plain = as_remote(udon(session), settings)
    secure = as_remote(udon(session, name="b", tls=True, certificate="ab" * 32), settings)
    assert (plain.tls, plain.certificate, str(plain)) == (None, "", "UDON_PACS@10.8.1.5:104")
    assert secure.tls is not None
    assert (secure.tls.folder, secure.certificate) == (settings.tls, "ab" * 32)


def test_the_listener_learns_of_partners_in_commitment_once_they_are_committed(
    engine: Engine, settings: Settings
) -> None:
    with session_scope(engine) as session:
        udon(session)
        udon(session, name="modality", ae_title="CT1", roles=["commitment"])
        publish_peers(session, settings)
        assert not settings.peers.exists()
    listed = json.loads(Path(settings.peers).read_text())["peers"]
    assert [(each["ae_title"], each["host"], each["hcode"]) for each in listed] == [("CT1", "10.8.1.5", UDON)]
