"""What was sent where, over HTTP: seen by whose patients they are, sent again by administrators."""

import pytest
from sqlalchemy import Engine

from pacs_gateway.objects import ResultFile
from service.accounts import Role
from service.circuits import note_failure
from service.db import now, session_scope
from service.deliveries import Delivery, DeliveryState, Parcel, Purpose, queue_delivery
from service.peers import add_peer
from service.result_objects import record_object
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, registered


@pytest.fixture
def number(engine: Engine) -> int:
    """A delivery of Udon that was given up."""
    with session_scope(engine) as session:
        study = registered(session, "1.2.3")
        parcels = [Parcel("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "a" * 64, "sr")]
        made = queue_delivery(session, study, "udon", parcels, purpose=Purpose.RESULT, revision=1)
        made.state, made.reason = DeliveryState.EXPIRED, "not delivered in 72 h"
        made.items = [made.items[0] | {"outcome": "status A900"}]
        return made.id


def test_lists_what_was_sent_with_state_reason_and_instances(signed_in: SignIn, number: int) -> None:
    client = signed_in()
    page = client.get("/api/v1/deliveries", params={"study": "1.2.3", "peer": "udon"}).json()
    (one,) = page["deliveries"]
    assert (one["id"], one["state"], one["reason"]) == (number, "expired", "not delivered in 72 h")
    assert one["items"] == [{"sop_instance_uid": "2.25.1", "kind": "sr", "outcome": "status A900"}]
    assert one["next_at"] is None
    assert client.get(f"/api/v1/deliveries/{number}").json() == one
    assert client.get("/api/v1/deliveries", params={"state": "waiting"}).json()["deliveries"] == []


def test_another_hospital_sees_nothing(signed_in: SignIn, number: int) -> None:
    client = signed_in(Role.RADIOLOGIST, LOEI)
    assert client.get("/api/v1/deliveries").json()["deliveries"] == []
    assert client.get(f"/api/v1/deliveries/{number}").status_code == 404
    assert client.get("/api/v1/deliveries", params={"study": "1.2.3"}).status_code == 404


def test_pages_follow_one_another(signed_in: SignIn, engine: Engine) -> None:
    with session_scope(engine) as session:
        study = registered(session, "1.2.3")
        for n in range(5):
            parcels = [Parcel("1.2", f"2.25.{n}", "a" * 64, "sr")]
            queue_delivery(session, study, "udon", parcels, purpose=Purpose.STUDY, revision=1)
    client, seen, before = signed_in(), [], None
    while True:
        query = {"limit": 2} | ({"before": before} if before else {})
        page = client.get("/api/v1/deliveries", params=query).json()
        seen += [each["id"] for each in page["deliveries"]]
        if (before := page["next"]) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5


def test_retry_puts_it_in_line_anew_and_knocks_at_once(
    signed_in: SignIn, engine: Engine, number: int
) -> None:
    with session_scope(engine) as session:
        note_failure(session, "udon", "nobody answers", now())
    client = signed_in(Role.ADMIN, None)
    assert client.get("/api/v1/deliveries/circuits").json()[0]["last_error"] == "nobody answers"
    answer = client.post(f"/api/v1/deliveries/{number}/retry")
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert answer.json()["items"][0]["outcome"] == ""
    assert client.get("/api/v1/deliveries/circuits").json() == []
    assert signed_in(Role.RADIOLOGIST, UDON).post(f"/api/v1/deliveries/{number}/retry").status_code == 403
    with session_scope(engine, write=False) as session:
        assert session.get_one(Delivery, number).next_at <= now()


def test_a_result_is_sent_by_hand_to_a_peer_added_later(signed_in: SignIn, engine: Engine) -> None:
    file = ResultFile("sr", "1.2.840.1", "2.25.77", "2.25.7", "1.2.840.10008.1.2", "SR", 9000, 1, "AI", b"x")
    with session_scope(engine) as session:
        study = registered(session, "1.2.3")
        record_object(session, study, file, "b" * 64, revision=study.revision)
        for name, objects in (("late", ["sr"]), ("picky", ["pdf"])):
            add_peer(session, name, ae_title="PACS", host="127.0.0.1", port=104, objects=objects)
    client = signed_in(Role.ADMIN, None)
    body = {"study": "1.2.3", "peer": "late"}
    answer = client.post("/api/v1/deliveries", json=body)
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert [item["sop_instance_uid"] for item in answer.json()["items"]] == ["2.25.77"]
    assert client.post("/api/v1/deliveries", json=body).json()["id"] == answer.json()["id"]
    refused = client.post("/api/v1/deliveries", json=body | {"peer": "picky"})
    assert (refused.status_code, "wants pdf" in refused.json()["detail"]) == (409, True)
    assert client.post("/api/v1/deliveries", json=body | {"peer": "none"}).status_code == 404
