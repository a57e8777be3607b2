"""The ML team's pages: cases by filter, one with its contradictions, progress, patients alike."""

import re
from datetime import date
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select

from labeling.answers import Answer, Answers, Criterion
from labeling.assignment import Design
from labeling.splits import Shares
from service.accounts import Role, add_account
from service.assignments import Assignment
from service.case_states import CaseState
from service.cases import Case
from service.db import session_scope
from service.reads import save_label
from service.screenings import screenings_of
from tests.service.factories import LOEI, UDON
from tests.service.labelling import (
    BLEED,
    GOOD,
    IMAGES,
    NORMAL,
    admitted,
    entered,
    given_out,
    reader,
    with_images,
)
from tests.service.web.conftest import Enter, Person

UNFIT = Answers({**GOOD.said, Criterion.DEFICIT: Answer.NO}, "I63.9")

pytestmark = pytest.mark.one_database  # the queries are tested with their verbs


@pytest.fixture
def team(enter: Enter) -> Person:
    return enter(Role.ML, None)


class TestList:
    def test_cases_are_narrowed_by_state_hospital_and_reader(self, team: Person, engine: Engine) -> None:
        with session_scope(engine) as session:
            given_out(session, cases=3)
            admitted(session, 8, hcode=LOEI, answers=UNFIT)
        page = team.get("/cases").text
        assert set(re.findall(r'href="/cases/(\d+)"', page)) == {"1", "2", "3", "4"}
        assert "TEST" not in page
        assert 'href="/cases/4"' in team.get("/cases?state=excluded").text
        assert 'href="/cases/4"' not in team.get(f"/cases?hospital={UDON}").text
        assert 'href="/cases/4"' not in team.get("/cases?reader=r1").text
        assert re.search(r'href="/cases/[123]"', team.get("/cases?reader=r1").text)

    def test_a_long_list_goes_on_where_it_ended(self, team: Person, engine: Engine) -> None:
        with session_scope(engine) as session:
            for n in range(1, 53):
                admitted(session, n)
        first = team.get(f"/cases?hospital={UDON}").text
        assert f"/cases?hospital={UDON}&amp;before=3" in first
        rest = team.get(f"/cases?hospital={UDON}&before=3").text
        assert 'href="/cases/2"' in rest
        assert 'href="/cases/3"' not in rest
        assert "before=" not in rest


class TestCase:
    def test_an_onset_is_told_in_thailand_and_in_the_readers_calendar(
        self, team: Person, engine: Engine
    ) -> None:
        with session_scope(engine) as session:
            case = admitted(session, 1)
            case.onset = "2026-11-22T23:30:00.250+00:00"
            number = case.id
        assert "23 พ.ย. 2569 06:30" in team.get(f"/cases/{number}").text

    def test_a_contradiction_stands_beside_the_data_and_a_person_decides(
        self, app: FastAPI, team: Person, engine: Engine, tmp_path: Path
    ) -> None:
        with session_scope(engine) as session:
            number = with_images(session, app.state.storage, tmp_path, slices=5).id
            case = session.get_one(Case, number)
            case.said = {**case.said, "adult": "no"}
            case.state = CaseState.UPLOADED
        page = team.get(f"/cases/{number}").text
        assert "ข้อมูลภาพบอกอายุ" in page  # what the data say, and the doubt that names it
        assert "HN-77" not in page
        assert "Secret" not in page
        picture = team.get(f"/api/v1/cases/{number}/slices/3.webp")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/webp")
        assert team.get(f"/api/v1/cases/{number}/slices/6.webp").status_code == 404
        form = {"adult": "no", "no_surgery": "no", "note": "seen in the images"}
        answer = team.post(f"/cases/{number}/screening", form, page=f"/cases/{number}")
        assert answer.status_code == 303
        page = team.get(f"/cases/{number}").text
        assert "เคยผ่าตัดสมอง" in page
        assert "seen in the images" in page
        with session_scope(engine, write=False) as session:
            [said] = screenings_of(session, number)
            assert (said.state, said.screened_by) == (CaseState.EXCLUDED, "ml-None")
            assert said.confirmed == {"adult": "no", "no_surgery": "no"}
        back = {"adult": "unknown", "no_surgery": "unknown"}
        team.post(f"/cases/{number}/screening", back, page=f"/cases/{number}")
        with session_scope(engine, write=False) as session:
            assert len(screenings_of(session, number)) == 2
            assert session.get_one(Case, number).confirmed == {}

    def test_a_case_that_was_given_out_shows_its_readers_and_takes_no_decision(
        self, team: Person, engine: Engine
    ) -> None:
        with session_scope(engine) as session:
            given_out(session, cases=2)
        page = team.get("/cases/1").text
        assert "/screening" not in page.partition("<table")[2]
        assert "r1" in page
        assert team.post("/cases/1/screening", {"adult": "no"}).status_code == 409


class TestProgress:
    def test_a_total_is_parted_and_what_came_counts_against_it(self, team: Person, engine: Engine) -> None:
        with session_scope(engine) as session:
            admitted(session, 1)
            admitted(session, 2, answers=UNFIT)
        assert team.post("/cases/quotas", {"total": "1000"}, page="/cases/progress").status_code == 303
        page = team.get("/cases/progress").text
        assert "<b>1</b> / 1000" in page
        assert "n = 2" in page  # the flow's first box
        one = team.post("/cases/quotas", {"hospital": UDON, "cases": "4"}, page="/cases/progress")
        assert one.status_code == 303
        assert "<b>1</b> / 4" in team.get("/cases/progress").text
        for wrong in ({"total": "many"}, {"total": "0"}, {"hospital": UDON, "cases": "100001"}):
            assert team.post("/cases/quotas", wrong).status_code == 422


class TestAlike:
    def test_two_that_look_alike_are_decided_and_can_be_changed(self, team: Person, engine: Engine) -> None:
        with session_scope(engine) as session:
            for n, hcode in ((1, UDON), (2, LOEI)):
                admitted(session, n, patient_name="A^B", birth_date=date(1950, 2, 3), hcode=hcode)
        page = team.get("/cases/alike").text
        assert 'name="second"' in page
        assert "A^B" not in page
        assert "1950" not in page
        answer = team.post(
            "/cases/alike", {"first": "1", "second": "2", "same": "false"}, page="/cases/alike"
        )
        assert answer.status_code == 303
        page = team.get("/cases/alike").text
        assert "ml-None" in page
        assert 'value="true"' in page
        assert page.count('name="second"') == 1  # the pair waits no more; its decision can be changed


class TestReaders:
    def test_who_differs_is_drawn_and_what_is_left_is_handed_over(self, team: Person, engine: Engine) -> None:
        with session_scope(engine) as session:
            design = Design(common=2, double_share=0, rereads=0)
            given_out(session, cases=2, design=design, shares=Shares(test=0, calibration=0))
            for turn in session.scalars(select(Assignment).where(Assignment.reader != "r3")).all():
                label = entered(BLEED if turn.reader == "r1" else NORMAL)
                save_label(session, reader(turn.reader), turn.id, label, IMAGES)
        assert "now=true" in team.get("/cases/agreement").text
        page = team.get("/cases/agreement?now=true").text
        assert "r1 – r2: 2 กรณี kappa 0.00" in page
        assert ">100</text>" in page
        assert "style=" not in page
        assert team.get("/cases/agreement?question=weather").status_code == 404
        page = team.get("/cases/readers").text
        assert 'value="r3"' in page
        gone = team.post("/cases/readers/hand-over", {"reader": "r3"}, page="/cases/readers")
        assert gone.status_code == 303
        assert '<input type="hidden" name="reader" value="r3">' not in team.get("/cases/readers").text
        assert team.post("/cases/readers/hand-over", {"reader": "r3"}).status_code == 404

    def test_what_is_eligible_is_given_out(self, team: Person, engine: Engine) -> None:
        with session_scope(engine) as session:
            admitted(session, 1)
            add_account(session, "r1", Role.RADIOLOGIST)
        for wrong in ({}, {"readers": "r1", "common": "many"}, {"readers": "ml-None"}):
            assert team.post("/cases/readers/give-out", wrong).status_code == 422
        form = {"readers": "r1", "common": "0", "test_reads": "1", "rereads": "0"}
        answer = team.post("/cases/readers/give-out", form, page="/cases/readers")
        assert answer.status_code == 303
        with session_scope(engine, write=False) as session:
            assert session.get_one(Case, 1).state is CaseState.ASSIGNED
