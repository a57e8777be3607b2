"""The routes of a radiologist's words: places, undo, signature, report; the ML team's queue; modes."""

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.factories import HN, LOEI, NAME, UDON, analysed

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs

STUDY = "/api/v1/studies/1.2.3"


@pytest.fixture(autouse=True)
def study(engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SDH)


def test_a_correction_with_a_place_can_be_taken_back_and_given_anew(signed_in: SignIn) -> None:
    client = signed_in()
    place = {"stroke_type": "sah", "side": "left", "first_slice": 0, "last_slice": 0}
    review = client.post(f"{STUDY}/review", json={"verdict": "correct", "places": [place]})
    assert (review.status_code, review.json()["places"]) == (201, [place])
    assert review.json()["disagreement"] == "other_type"
    assert client.post(f"{STUDY}/review/withdraw").json()["verdict"] == "withdrawn"
    assert client.get(STUDY).json()["flags"] == ["sdh"]
    assert client.post(f"{STUDY}/review/withdraw").status_code == 409
    assert client.post(f"{STUDY}/sign").status_code == 409
    client.post(f"{STUDY}/review", json={"verdict": "agree"})
    assert client.post(f"{STUDY}/sign").json()["signer"] == f"radiologist-{UDON}"
    assert client.get(f"{STUDY}/result").json()["status"] == "final"


def test_the_ml_team_settles_without_seeing_who_it_is(signed_in: SignIn) -> None:
    signed_in().post(f"{STUDY}/review", json={"verdict": "correct"})
    client = signed_in(Role.ML, None)
    answer = client.get("/api/v1/disagreements")
    [row] = answer.json()
    assert (row["review"]["disagreement"], row["settlement"]) == ("false_flag", None)
    assert NAME not in answer.text
    assert HN not in answer.text
    path = f"/api/v1/disagreements/{row['number']}/settlement"
    assert client.post(path, json={"conclusion": "to_label"}).status_code == 201
    assert client.post(path, json={"conclusion": "to_label"}).status_code == 409
    assert client.get("/api/v1/disagreements").json() == []


def test_a_report_that_says_otherwise_is_listed_without_its_text(signed_in: SignIn) -> None:
    client = signed_in()
    report = client.post(f"{STUDY}/report", json={"text": f"No hemorrhage. {NAME}"}).json()
    assert (report["concordance"], report["claims"]) == ("report_silent", {"any_ich": "absent"})
    listed = client.get("/api/v1/discordant-reports")
    assert [row["differs_in"] for row in listed.json()] == [["sdh"]]
    assert NAME not in listed.text
    assert [each["text"] for each in client.get(f"{STUDY}/reports").json()] == [f"No hemorrhage. {NAME}"]
    assert signed_in(Role.ML, None).get(f"{STUDY}/reports").status_code == 403


def test_an_administrator_switches_a_hospital(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    path = f"/api/v1/hospitals/{UDON}"
    assert client.post(f"{path}/mode", json={"mode": "silent"}).json()["mode"] == "silent"
    assert client.get(f"{path}/alert-budget").json()["mode"] == "silent"
    assert signed_in().post(f"{path}/mode", json={"mode": "live"}).status_code == 403


def test_another_hospitals_budget_is_not_found(signed_in: SignIn) -> None:
    assert signed_in(Role.RADIOLOGIST, LOEI).get(f"/api/v1/hospitals/{UDON}/alert-budget").status_code == 404
