"""Models over HTTP: their places, the verbs, and what two people hear."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from model.weights import SHIPPED, digest
from service.accounts import Role
from service.db import now, session_scope
from service.drift import week_of
from service.thai_time import THAILAND
from service.thresholds import LEAST
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON
from tests.service.modelling import registered_model, report
from tests.service.test_drift import weeks
from tests.service.test_thresholds import reviewed

pytestmark = pytest.mark.one_database  # the verbs are tested beside them
A, B = "stroke-ct-0.5.0", "stroke-ct-0.6.0"


@pytest.fixture(autouse=True)
def two(engine: Engine) -> None:
    with session_scope(engine) as session:
        for name in (A, B):
            registered_model(session, name)


def test_a_model_from_shadow_to_live_and_back(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    assert [each["name"] for each in client.get("/api/v1/models").json()] == [B, A]
    answer = client.post(f"/api/v1/models/{A}/shadow", json={"reason": "new heads"})
    assert answer.json()["places"] == [
        {"hospital": None, "state": "shadow", "since": answer.json()["places"][0]["since"]}
    ]
    way = {"live": "", "override": True, "reason": "first of all"}
    client.post(f"/api/v1/models/{A}/promote", json=way).raise_for_status()
    late = client.post(f"/api/v1/models/{B}/promote", json=way)
    assert (late.status_code, late.json()["type"]) == (409, "urn:imaging-hub:problem:Changed")
    assert A in late.json()["detail"]
    client.post(f"/api/v1/models/{B}/promote", json=way | {"hospitals": [UDON]}).raise_for_status()
    one = client.get(f"/api/v1/models/{B}").json()
    assert (one["state"], [each["hospital"] for each in one["places"]]) == ("candidate", [UDON])
    assert [step["verb"] for step in one["history"]] == ["promote", "register"]
    assert [len(step["overridden"]) for step in one["history"]] == [2, 0]
    back = client.post("/api/v1/models/rollback", json={"live": A, "reason": "alarms"})
    assert back.json() == [{"hospital": None, "retired": A, "live": None}]
    assert client.post("/api/v1/models/rollback", json={"live": A}).status_code == 409
    assert client.post("/api/v1/models/rollback", json={}).status_code == 422
    assert client.post(f"/api/v1/models/{A}/retire", json={}).status_code == 409


def test_an_account_of_one_hospital_moves_no_model_elsewhere(signed_in: SignIn) -> None:
    client = signed_in(Role.ML, UDON)
    for hospitals in ([], [LOEI]):
        answer = client.post(f"/api/v1/models/{A}/shadow", json={"hospitals": hospitals})
        assert answer.status_code == 403
    assert client.post(f"/api/v1/models/{A}/shadow", json={"hospitals": [UDON]}).status_code == 200


def test_closed_gates_are_told_in_two_languages_and_override_is_an_administrators(signed_in: SignIn) -> None:
    client = signed_in(Role.ML, None)
    answer = client.post(f"/api/v1/models/{A}/promote", json={})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:imaging-hub:problem:GatesRefuse")
    told = answer.json()["gates"]
    assert [each["gate"] for each in told if not each["holds"]] == ["measured", "shadow"]
    assert all(each["th"] and each["en"] for each in told)
    assert client.get(f"/api/v1/models/{A}/gates").json() == told
    at = client.get(f"/api/v1/models/{A}/gates", params={"hospital": [UDON, LOEI]}).json()
    assert {each["hospital"] for each in at} == {UDON, LOEI}
    over = client.post(f"/api/v1/models/{A}/promote", json={"override": True, "reason": "hurry"})
    assert over.status_code == 403


def test_an_evaluation_is_kept_by_the_digest_it_names(signed_in: SignIn) -> None:
    client = signed_in(Role.ML, None)
    said = report(A)
    kept = client.post("/api/v1/models/evaluations", json=said)
    assert (kept.status_code, kept.json()["studies"], kept.json()["digest"]) == (201, 80, said["digest"])
    assert client.post("/api/v1/models/evaluations", json={**said, "digest": "x"}).status_code == 422


def test_a_hospitals_threshold_is_told_set_and_undone(engine: Engine, signed_in: SignIn) -> None:
    with session_scope(engine) as session:
        reviewed(session, UDON, 2 * LEAST, positive=LEAST, digest=digest(SHIPPED))
    client = signed_in(Role.ML, None)
    path = "/api/v1/models/stroke-ct-0.4.0/thresholds"
    first = client.get(path, params={"hospital": UDON}).json()["standing"][0]
    assert (first["finding"], first["set_by"], first["proposal"]["positive"]) == ("any_ich", None, LEAST)
    body = {"hospital": UDON, "reason": "reviews", "seen": first["flag"]}
    made = client.post(path, json=body)
    assert (made.status_code, made.json()["flag"]) == (201, first["proposal"]["flag"])
    assert client.post(path, json=body).json()["type"] == "urn:imaging-hub:problem:Changed"
    now_there = client.get(path, params={"hospital": UDON}).json()["standing"][0]
    assert (now_there["flag"], now_there["set_by"]) == (made.json()["flag"], made.json())
    too_few = client.post(path, json=body | {"hospital": LOEI})
    assert (too_few.status_code, too_few.json()["type"]) == (409, "urn:imaging-hub:problem:TooFewReviews")
    falls = client.post(path, json={"hospital": UDON, "reason": "x", "flag": 0.95})
    assert falls.json()["type"] == "urn:imaging-hub:problem:SensitivityFalls"
    back = client.post(f"{path}/undo", json={"hospital": UDON, "reason": "over"})
    assert (back.status_code, back.json()["flag"]) == (201, None)
    assert [each["reason"] for each in client.get(path).json()["history"]] == ["over", "reviews"]
    assert client.get("/api/v1/models/nothing/thresholds").status_code == 404
    assert client.get(f"/api/v1/models/{A}/thresholds").status_code == 409, "its files are not there"


def test_metrics_tell_how_many_hospitals_have_drifted_in_what(engine: Engine, anonymous: Any) -> None:
    wednesday = datetime.combine(week_of(now()) + timedelta(days=2), time(1), THAILAND)
    with session_scope(engine) as session:
        weeks(session, LOEI, drifts=True, until=wednesday)
    told = anonymous.get("/metrics").text
    assert [line for line in told.splitlines() if line.startswith("hub_drift_alarms{")] == [
        f'hub_drift_alarms{{alarm="{alarm}"}} 1.0'
        for alarm in ("scores", "flags", "scanner", "kernel", "embedding", "agreement")
    ]
