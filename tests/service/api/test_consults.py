"""Consults over HTTP, by two hospitals and by one that is not concerned."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.consult_exports import COLUMNS
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.factories import HN, LOEI, NAME, analysed

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs

ADVICE = {"thrombolysis": "conditions", "conditions": "below 185/110", "transfer": True, "imaging": ["cta"]}
QUESTION: dict[str, Any] = {
    "study": "1.2.3",
    "to": LOEI,
    "specialty": "neurology",
    "question": "=Thrombolysis?",
    "details": {"onset": "witnessed", "onset_at": "2026-11-22T12:00:00+07:00", "nihss": 14},
}


@pytest.fixture(autouse=True)
def study(engine: Engine) -> None:
    """A flagged study of Udon Thani."""
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SDH)


def test_a_consult_from_question_to_outcome(signed_in: SignIn) -> None:
    asker, adviser = signed_in(Role.REFERRER), signed_in(Role.SPECIALIST, LOEI)
    assert adviser.get("/api/v1/studies/1.2.3").status_code == 404
    made = asker.post("/api/v1/consults", json=QUESTION)
    assert made.status_code == 201, made.text
    place = f"/api/v1/consults/{made.json()['id']}"
    assert adviser.get("/api/v1/studies/1.2.3").status_code == 200
    seen = adviser.get(place).json()
    assert (seen["state"], seen["next"], seen["study"]) == ("asked", ["accept", "answer"], "1.2.3")
    assert seen["details"] == QUESTION["details"] | {
        "gcs": None, "systolic": None, "diastolic": None, "glucose": None, "anticoagulant": "unknown",
        "inr": None, "last_dose_at": None,
    }  # fmt: skip
    assert adviser.get(place).json()["opened_by"] == f"specialist-{LOEI}"
    assert adviser.post(f"{place}/accept").json()["next"] == ["answer"]
    assert adviser.post(f"{place}/accept").status_code == 409
    assert adviser.post(f"{place}/messages", json={"text": "look", "slices": [1]}).status_code == 201
    assert adviser.post(f"{place}/answer", json=ADVICE).json()["advice"] == ADVICE | {"text": ""}
    assert adviser.post(f"{place}/close", json={"outcome": "no_stroke"}).status_code == 403
    closed = asker.post(f"{place}/close", json={"outcome": "thrombolysed"}).json()
    assert (closed["state"], closed["next"], len(closed["messages"])) == ("closed", [], 1)
    assert adviser.get("/api/v1/studies/1.2.3").status_code == 404
    after = adviser.get(place)
    assert after.json()["study"] is None
    assert not any(word in after.text for word in (*NAME.split("^"), HN))


def test_a_referrer_does_not_advise_and_a_stranger_finds_none(signed_in: SignIn) -> None:
    number = signed_in(Role.REFERRER).post("/api/v1/consults", json=QUESTION).json()["id"]
    assert signed_in(Role.REFERRER, LOEI).post(f"/api/v1/consults/{number}/accept").status_code == 403
    stranger = signed_in(Role.SPECIALIST, "11015")
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/accept", None),
        ("POST", "/answer", ADVICE),
        ("POST", "/close", {"outcome": "died"}),
        ("POST", "/cancel", {"reason": "x"}),
        ("POST", "/messages", {"text": "x"}),
    ):
        answer = stranger.request(method, f"/api/v1/consults/{number}{path}", json=body)
        assert (answer.status_code, answer.json()["detail"]) == (404, f"no consult {number}"), path
    assert stranger.get("/api/v1/consults").json() == {"consults": [], "next": None}


def test_lists_narrow_and_turn_and_are_a_table(signed_in: SignIn) -> None:
    client = signed_in(Role.REFERRER)
    numbers = [
        client.post("/api/v1/consults", json=QUESTION | {"to": to}).json()["id"] for to in (LOEI, "11015")
    ]
    client.post(f"/api/v1/consults/{numbers[0]}/cancel", json={"reason": "improved"})
    first = client.get("/api/v1/consults", params={"limit": 1}).json()
    assert [each["id"] for each in first["consults"]] == [numbers[1]]
    after = client.get("/api/v1/consults", params={"before": first["next"]}).json()
    assert [each["id"] for each in after["consults"]] == [numbers[0]]
    for asked, found in (
        ({"state": "cancelled"}, numbers[:1]),
        ({"study": "1.2.3", "side": "asker"}, numbers[::-1]),
        ({"side": "adviser"}, []),
    ):
        page = client.get("/api/v1/consults", params=asked).json()
        assert [each["id"] for each in page["consults"]] == found
    table = client.get("/api/v1/consults.csv")
    rows = list(csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff"))))
    assert [row["state"] for row in rows] == ["asked", "cancelled"]
    assert set(rows[0]) == set(COLUMNS)
    assert "Thrombolysis" not in table.text


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"details": {"nihss": 43}}, "body.details.nihss"),
        ({"to": "Loei"}, "body.to"),
        ({"specialty": "dentistry"}, "body.specialty"),
    ],
)
def test_a_value_out_of_range_is_named(signed_in: SignIn, change: dict[str, Any], at: str) -> None:
    answer = signed_in(Role.REFERRER).post("/api/v1/consults", json=QUESTION | change)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"] == at


def test_another_hospitals_study_cannot_be_asked_about(signed_in: SignIn) -> None:
    assert signed_in(Role.REFERRER, LOEI).post("/api/v1/consults", json=QUESTION).status_code == 404
    signed_in(Role.REFERRER).post("/api/v1/consults", json=QUESTION)
    shown = signed_in(Role.SPECIALIST, LOEI).post("/api/v1/consults", json=QUESTION | {"to": "11015"})
    assert shown.status_code == 403
