"""Alerts, rosters and contacts over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from service.accounts import Role
from service.alerts import AlertKind, raise_alert
from service.db import session_scope
from service.ladders import Ladder
from tests.service.api.conftest import SignIn
from tests.service.factories import HN, LOEI, NAME, UDON, registered

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs


@pytest.fixture
def number(engine: Engine) -> int:
    """An alert of one hop at Udon Thani."""
    with session_scope(engine) as session:
        study = registered(session)
        alert = raise_alert(
            session, AlertKind.FLAG, hcode=UDON, study_id=study.id, path="/studies/1.2.3", key="k"
        )
    Ladder(engine).climb()
    return alert.id


def test_what_rings_is_read_and_taken_and_shows_no_patient(signed_in: SignIn, number: int) -> None:
    client = signed_in(Role.REFERRER)
    [listed] = client.get("/api/v1/alerts", params={"state": "ringing"}).json()["alerts"]
    read = client.get(f"/api/v1/alerts/{number}")
    assert read.json() == listed | {"messages": read.json()["messages"]}
    assert [(each["way"], each["state"]) for each in read.json()["messages"]] == [("in_app", "delivered")]
    assert not any(word in read.text for word in (*NAME.split("^"), HN))
    taken = client.post(f"/api/v1/alerts/{number}/acknowledge").json()
    assert (taken["state"], taken["acknowledged_by"]) == ("acknowledged", f"referrer-{UDON}")
    assert client.get("/api/v1/alerts", params={"state": "ringing"}).json() == {"alerts": [], "next": None}


def test_another_hospital_finds_none(signed_in: SignIn, number: int) -> None:
    client = signed_in(Role.REFERRER, LOEI)
    assert client.get("/api/v1/alerts").json()["alerts"] == []
    for answer in (
        client.get(f"/api/v1/alerts/{number}"),
        client.post(f"/api/v1/alerts/{number}/acknowledge"),
    ):
        assert (answer.status_code, answer.json()["detail"]) == (404, f"no alert {number}")


def test_a_hospital_keeps_its_own_roster(signed_in: SignIn) -> None:
    client = signed_in(Role.REFERRER)
    start = datetime.now(UTC) - timedelta(minutes=1)
    body = {
        "username": f"referrer-{UDON}",
        "place": 2,
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(hours=8)).isoformat(),
    }
    made = client.post(f"/api/v1/rosters/{UDON}/shifts", json=body)
    assert made.status_code == 201
    assert [(each["username"], each["place"]) for each in made.json()["now"]] == [(f"referrer-{UDON}", 2)]
    assert client.post(f"/api/v1/rosters/{UDON}/shifts", json=body).status_code == 409
    assert client.get(f"/api/v1/rosters/{LOEI}").status_code == 404
    shift = made.json()["shifts"][0]["id"]
    assert client.delete(f"/api/v1/rosters/{UDON}/shifts/{shift}").status_code == 204
    assert client.get(f"/api/v1/rosters/{UDON}").json() == {
        "hospital": UDON,
        "hub": None,
        "now": [],
        "shifts": [],
    }


def test_an_administrator_chooses_the_hub(signed_in: SignIn) -> None:
    assert signed_in(Role.REFERRER).put(f"/api/v1/rosters/{UDON}/hub", json={"hub": LOEI}).status_code == 403
    assert signed_in(Role.ADMIN).put(f"/api/v1/rosters/{UDON}/hub", json={"hub": LOEI}).json()["hub"] == LOEI


def test_a_moment_without_a_time_zone_is_refused(signed_in: SignIn) -> None:
    body = {"username": "x", "starts_at": "2026-11-22T16:00:00", "ends_at": "2026-11-23T08:00:00"}
    answer = signed_in().post(f"/api/v1/rosters/{UDON}/shifts", json=body)
    assert answer.status_code == 422
    assert {each["at"] for each in answer.json()["errors"]} == {"body.starts_at", "body.ends_at"}


def test_people_list_their_own_ways_and_administrators_the_hospitals(signed_in: SignIn) -> None:
    client, admin = signed_in(Role.REFERRER), signed_in(Role.ADMIN)
    mail: dict[str, Any] = {"way": "email", "address": "a@b.example", "quiet": "22:00-06:00"}
    made = client.post("/api/v1/contacts", json=mail)
    assert (made.status_code, made.json()["quiet"], made.json()["secret"]) == (201, "22:00-06:00", "")
    for others in ({"hospital": UDON}, {"username": f"admin-{UDON}"}):
        assert client.post("/api/v1/contacts", json=mail | others).status_code == 403
    assert client.get("/api/v1/contacts", params={"hospital": UDON}).status_code == 403
    hook = {"way": "webhook", "address": "https://his.example/in", "hospital": UDON}
    assert len(admin.post("/api/v1/contacts", json=hook).json()["secret"]) >= 32
    [listed] = admin.get("/api/v1/contacts", params={"hospital": UDON}).json()
    assert "secret" not in listed
    assert client.delete(f"/api/v1/contacts/{listed['id']}").status_code == 404
    assert client.delete(f"/api/v1/contacts/{made.json()['id']}").status_code == 204
    assert client.get("/api/v1/contacts").json() == []
