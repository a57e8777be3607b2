"""Subscriptions over HTTP and over FHIR: made, read, changed, switched, removed, each by whose they are."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.app import create_app
from service.channels.fence import read_fence
from service.db import session_scope
from service.heralds import Herald
from service.notifiers import Notifier
from service.settings import Settings
from tests.service.api.conftest import SignIn
from tests.service.api.test_fhir import search, valid
from tests.service.api.test_fhir_referrals import HEADERS
from tests.service.factories import LOEI, UDON, analysed
from tests.stand_in import stand_in

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs

HERE = "http://127.0.0.1:9/in"
WANTED = {"address": HERE, "topics": ["flagged", "referral"], "reason": "our HIS"}
SECRET = "urn:imaging-hub:codes:subscription-secret"


@pytest.fixture
def app(settings: Settings, engine: Engine) -> FastAPI:
    return create_app(replace(settings, subscription_networks="127.0.0.0/8"), engine=engine)


@pytest.fixture
def client(signed_in: SignIn) -> Any:
    return signed_in(Role.REFERRER)


def resource(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "our HIS",
        "criteria": "Task?status=requested",
        "channel": {"type": "rest-hook", "endpoint": HERE, "header": ["Authorization: Bearer abc"]},
        **changes,
    }


def post(client: Any, body: dict[str, Any]) -> Any:
    return client.post("/fhir/Subscription", json=body, headers=HEADERS)


def put(client: Any, number: str, body: dict[str, Any], **headers: str) -> Any:
    return client.put(f"/fhir/Subscription/{number}", json=body, headers={**HEADERS, **headers})


class TestHub:
    def test_the_secret_is_shown_once_and_the_calls_are_listed_with_their_proof(
        self, client: Any, engine: Engine
    ) -> None:
        with stand_in() as there:
            made = client.post("/api/v1/subscriptions", json={**WANTED, "address": there.url})
            assert made.status_code == 201
            assert len(made.json()["secret"]) == 43
            with session_scope(engine) as session:
                analysed(session, "1.2.3", StrokeType.IPH)
            Herald(engine).look()
            notifier = Notifier(
                engine, fence=read_fence("127.0.0.0/8"), address="https://hub", wake=lambda number, at: None
            )
            notifier.notify({"subscription": 1})
        [shown] = client.get("/api/v1/subscriptions").json()
        assert "secret" not in shown
        assert shown == client.get("/api/v1/subscriptions/1").json()
        page = client.get("/api/v1/subscriptions/1/notifications?limit=1").json()
        [call] = page["notifications"]
        assert (call["state"], call["proof"], call["told"]["what"]) == ("delivered", "HTTP 200", "flagged")
        assert client.get(f"/api/v1/subscriptions/1/notifications?before={page['next']}").json() == {
            "notifications": [],
            "next": None,
        }

    def test_it_is_switched_off_on_and_removed(self, client: Any) -> None:
        client.post("/api/v1/subscriptions", json=WANTED)
        states = [
            client.post(f"/api/v1/subscriptions/1/{verb}").json()["state"] for verb in ("off", "off", "on")
        ]
        assert states == ["off", "off", "active"]
        assert client.delete("/api/v1/subscriptions/1").status_code == 204
        assert client.get("/api/v1/subscriptions/1").status_code == 404
        assert client.delete("/api/v1/subscriptions/1").status_code == 404

    def test_nobody_else_finds_it(self, client: Any, signed_in: SignIn) -> None:
        client.post("/api/v1/subscriptions", json=WANTED)
        other = signed_in(Role.REFERRER, LOEI)
        assert other.get("/api/v1/subscriptions").json() == []
        assert other.get("/api/v1/subscriptions/1/notifications").status_code == 404
        assert other.post("/api/v1/subscriptions/1/off").status_code == 404
        assert len(signed_in(Role.ADMIN, None).get("/api/v1/subscriptions").json()) == 1
        assert client.get("/fhir/Subscription/1").status_code == 404  # none of FHIR's

    def test_what_cannot_be_is_refused(self, client: Any) -> None:
        for changes in (
            {"topics": []},
            {"topics": ["weather"]},
            {"address": "http://10.0.0.1/"},
            {"address": "https://169.254.169.254/"},
            {"headers": ["Cookie: a"]},
            {"ends_at": "2026-12-01T00:00:00"},
        ):
            answer = client.post("/api/v1/subscriptions", json={**WANTED, **changes})
            assert answer.status_code == 422, changes
        assert client.get("/api/v1/subscriptions").json() == []


class TestFhir:
    def test_it_is_made_read_searched_changed_and_removed(self, client: Any) -> None:
        answer = post(client, resource(end="2027-01-01T00:00:00+07:00"))
        assert answer.status_code == 201, answer.text
        assert (answer.headers["location"], answer.headers["etag"]) == ("Subscription/1/_history/1", 'W/"1"')
        made = valid(answer.json())
        assert made["status"] == "active"
        assert [each["url"] for each in made["channel"]["extension"]] == [SECRET]
        read = valid(client.get("/fhir/Subscription/1").json())
        assert "extension" not in read["channel"]
        assert (read["end"], read["channel"]["header"]) == (
            "2027-01-01T00:00:00.000+07:00",
            ["Authorization: Bearer abc"],
        )
        assert [each["id"] for each in search(client, "Subscription?status=active&_id=1")] == ["1"]
        assert search(client, "Subscription?status=error,nonsense") == []
        changed = put(client, "1", resource(id="1", status="off", criteria="ImagingStudy?modality=CT"))
        assert (changed.status_code, valid(changed.json())["status"]) == (200, "off")
        assert changed.json()["criteria"] == "ImagingStudy?modality=CT"
        stale = put(client, "1", resource(id="1"), **{"If-Match": answer.headers["etag"]})
        assert (stale.status_code, valid(stale.json())["issue"][0]["code"]) == (409, "conflict")
        assert valid(put(client, "1", resource(id="1", status="active")).json())["status"] == "active"
        assert client.delete("/fhir/Subscription/1").status_code == 204
        assert client.get("/fhir/Subscription/1").status_code == 404

    def test_nobody_else_finds_it(self, client: Any, signed_in: SignIn) -> None:
        post(client, resource())
        other = signed_in(Role.SPECIALIST, UDON)
        assert search(other, "Subscription") == []
        for answer in (put(other, "1", resource(id="1")), other.delete("/fhir/Subscription/1")):
            assert (answer.status_code, valid(answer.json())["issue"][0]["code"]) == (404, "not-found")

    def test_what_is_not_served_is_named_and_nothing_is_kept(self, client: Any) -> None:
        channel = resource()["channel"]
        for changes, status, words in (
            ({"criteria": "Patient?name=x"}, 400, "DiagnosticReport"),
            ({"criteria": "Task?colour=red"}, 400, "colour"),
            ({"criteria": "Task?_after=1"}, 400, "page"),
            ({"criteria": f"Task?_id={'1' * 1000}"}, 400, "criteria"),
            ({"channel": {**channel, "type": "email"}}, 400, "rest-hook"),
            ({"channel": {**channel, "payload": "application/fhir+json"}}, 400, "payload"),
            ({"channel": {**channel, "endpoint": "http://10.0.0.1/"}}, 422, "outside"),
            ({"channel": {**channel, "header": ["Host: x"]}}, 422, "Host"),
            ({"end": "2027-01-01"}, 400, "time zone"),
            ({"reason": ""}, 400, "reason"),
            ({"status": "error"}, 400, "status"),
        ):
            answer = post(client, resource(**changes))
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
            assert valid(answer.json())["resourceType"] == "OperationOutcome"
        assert search(client, "Subscription") == []
        post(client, resource())
        assert put(client, "1", resource(id="2")).status_code == 400
