"""The study routes: pages, results, reviews, analysing again, pictures."""

import re
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role
from service.db import session_scope
from service.findings import record_prediction
from service.sight import find_study
from service.states import StudyState
from service.studies import Study, begin_analysis, note_receiving, supersede
from tests.service.api.conftest import SignIn
from tests.service.factories import (
    HN,
    LOEI,
    NAME,
    RECEIVED,
    UDON,
    analysed,
    prediction,
    progress,
    registered,
)

pytestmark = (
    pytest.mark.one_database
)  # what the routes read is tested with its verbs: worklist, sight, findings

SAH = StrokeType.SAH
STUDIES = "/api/v1/studies"


@pytest.fixture
def three(engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1", SAH, received=RECEIVED)
        analysed(session, "2", received=RECEIVED + timedelta(hours=2))
        analysed(session, "3", hcode=LOEI, received=RECEIVED + timedelta(hours=1))


def uids(answer: Any) -> list[str]:
    return [study["study_instance_uid"] for study in answer.json()["studies"]]


@pytest.mark.usefixtures("three")
class TestList:
    def test_a_hospital_sees_its_own(self, signed_in: SignIn) -> None:
        assert uids(signed_in().get(STUDIES)) == ["1", "2"]

    def test_the_region_sees_all(self, signed_in: SignIn) -> None:
        assert uids(signed_in(hcode=None).get(STUDIES)) == ["1", "2", "3"]

    def test_following_next_gives_every_study_once(self, signed_in: SignIn) -> None:
        client, after, seen = signed_in(hcode=None), None, []
        while True:
            answer = client.get(STUDIES, params={"limit": 1} | ({"after": after} if after else {}))
            seen += uids(answer)
            after = answer.json()["next"]
            if after is None:
                break
        assert seen == ["1", "2", "3"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"hospital": LOEI}, ["3"]),
            ({"state": "flagged"}, ["1"]),
            ({"finding": "sah"}, ["1"]),
            ({"since": "2026-11-22T14:00:00+07:00"}, ["2", "3"]),
        ],
    )
    def test_filters(self, signed_in: SignIn, query: dict[str, str], expected: list[str]) -> None:
        assert uids(signed_in(hcode=None).get(STUDIES, params=query)) == expected

    @pytest.mark.parametrize(
        "query",
        [
            {"after": "x"},
            {"after": "LTEuLTE"},
            {"since": "2026-11-22T14:00:00"},
            {"state": "lost"},
            {"finding": "tumour"},
            {"limit": 201},
            {"hospital": "1"},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, signed_in: SignIn, query: dict[str, Any]) -> None:
        assert signed_in().get(STUDIES, params=query).status_code == 422


@pytest.mark.usefixtures("three")
class TestRead:
    def test_a_study_with_its_patient(self, signed_in: SignIn) -> None:
        study = signed_in().get(f"{STUDIES}/1").json()
        assert (study["state"], study["flags"], study["hospital"]) == ("flagged", ["sah"], UDON)
        assert study["patient"] == {
            "hn": HN,
            "name": NAME,
            "birth_date": "1958-04-01",
            "sex": "F",
            "age_years": 68.6,
        }
        assert study["first_received_at"] == "2026-11-22T06:00:00Z"

    def test_the_ml_team_sees_no_identity(self, signed_in: SignIn) -> None:
        client = signed_in(Role.ML, None)
        for path in ("", "/1", "/1/result"):
            answer = client.get(f"{STUDIES}{path}")
            assert answer.status_code == 200
            assert not any(word in answer.text for word in (HN, NAME, "1958", '"A1"'))


class TestResult:
    def test_it_says_what_is_known_and_what_not(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            analysed(session, "1", SAH)
        answer = signed_in().get(f"{STUDIES}/1/result").json()
        assert (answer["state"], answer["not_assessed"]) == ("flagged", ["acute_ischaemia"])

    def test_a_study_on_its_way_has_a_state_too(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            note_receiving(session, progress("1"))
        answer = signed_in().get(f"{STUDIES}/1/result").json()
        assert (answer["state"], answer["findings"]) == ("receiving", [])


@pytest.mark.usefixtures("three")
class TestReview:
    def test_a_correction_is_recorded_with_its_author(self, signed_in: SignIn) -> None:
        client = signed_in()
        body = {"verdict": "correct", "present": ["sdh"], "comment": "thin, left"}
        review = client.post(f"{STUDIES}/1/review", json=body).json()
        assert (review["reviewer"], review["present"]) == (f"radiologist-{UDON}", ["sdh"])
        assert client.get(f"{STUDIES}/1/result").json()["reviews"] == [
            {key: value for key, value in review.items() if key != "revision"}
            | {"at": client.get(f"{STUDIES}/1/result").json()["reviews"][0]["at"]}
        ]
        assert client.get(f"{STUDIES}/1").json()["flags"] == ["sdh"]

    def test_the_worklist_shows_it_as_read(self, signed_in: SignIn) -> None:
        client = signed_in()
        client.post(f"{STUDIES}/1/review", json={"verdict": "agree"})
        assert uids(client.get(STUDIES)) == ["2", "1"]

    @pytest.mark.parametrize(
        "body",
        [{}, {"verdict": "maybe"}, {"verdict": "agree", "present": ["sdh"]}, {"verdict": "agree", "x": 1}],
    )
    def test_what_makes_no_sense_is_refused(self, signed_in: SignIn, body: dict[str, Any]) -> None:
        assert signed_in().post(f"{STUDIES}/1/review", json=body).status_code == 422

    def test_what_has_no_result_is_a_conflict(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            registered(session, "4")
        assert signed_in().post(f"{STUDIES}/4/review", json={"verdict": "agree"}).status_code == 409

    def test_only_who_reads_images_may(self, signed_in: SignIn) -> None:
        for role in (Role.TECHNICIAN, Role.REFERRER):
            answer = signed_in(role).post(f"{STUDIES}/1/review", json={"verdict": "agree"})
            assert answer.status_code == 403


class TestReprocess:
    def test_a_new_revision_is_put_on_the_queue_once_it_is_committed(
        self, app: FastAPI, engine: Engine, signed_in: SignIn
    ) -> None:
        seen = []

        def enqueue(study_id: int, revision: int) -> None:
            with session_scope(engine, write=False) as session:
                study = session.get_one(Study, study_id)
                seen.append((study.study_instance_uid, revision, study.revision, study.state))

        app.state.enqueue = enqueue
        with session_scope(engine) as session:
            analysed(session, "1", SAH)
        answer = signed_in().post(f"{STUDIES}/1/reprocess")
        assert (answer.status_code, answer.json()["revision"]) == (202, 2)
        assert seen == [("1", 2, 2, StudyState.READY)]

    def test_one_that_is_waiting_is_only_put_in_line(
        self, app: FastAPI, engine: Engine, signed_in: SignIn
    ) -> None:
        app.state.enqueue = lambda *_: None
        with session_scope(engine) as session:
            registered(session, "1")
        assert signed_in().post(f"{STUDIES}/1/reprocess").json()["revision"] == 1

    def test_without_a_queue_nothing_changes(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            analysed(session, "1")
        assert signed_in().post(f"{STUDIES}/1/reprocess").status_code == 503
        with session_scope(engine, write=False) as session:
            assert find_study(session, "1", OPERATOR).revision == 1

    def test_what_is_still_coming_or_put_away_is_a_conflict(
        self, app: FastAPI, engine: Engine, signed_in: SignIn
    ) -> None:
        app.state.enqueue = lambda *_: None
        with session_scope(engine) as session:
            note_receiving(session, progress("1"))
            supersede(session, analysed(session, "2"))
        client = signed_in()
        assert [client.post(f"{STUDIES}/{uid}/reprocess").status_code for uid in "12"] == [409, 409]


class TestKeySlices:
    @pytest.fixture
    def client(self, app: FastAPI, engine: Engine, signed_in: SignIn) -> Any:
        with session_scope(engine) as session:
            study = registered(session, "1")
            begin_analysis(session, study)
            key = app.state.storage.keep_bytes(b"RIFFwebp")
            record_prediction(session, study, prediction(SAH), [(7, key), (9, "0" * 64)])
        return signed_in()

    def test_the_result_leads_to_the_picture(self, client: Any) -> None:
        [first, _] = client.get(f"{STUDIES}/1/result").json()["key_slices"]
        picture = client.get(first["url"])
        assert (picture.content, picture.headers["content-type"]) == (b"RIFFwebp", "image/webp")

    @pytest.mark.parametrize("n", ["0", "2", "3", "-1"])
    def test_a_picture_that_is_not_there_is_not_found(self, client: Any, n: str) -> None:
        assert client.get(f"{STUDIES}/1/key-slices/{n}.webp").status_code == 404


def test_a_uid_cannot_be_longer_than_dicom_allows(signed_in: SignIn) -> None:
    answer = signed_in().get(f"{STUDIES}/{'1' * 65}")
    assert answer.status_code == 422
    assert re.search("64", answer.json()["detail"])
