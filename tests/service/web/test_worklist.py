"""The worklist: strokes first, names for those who may see them, and no name in any address."""

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role
from service.db import session_scope
from service.hospital_modes import Mode, switch_mode
from service.reviews import review_finding
from service.sight import find_study
from service.verdicts import Verdict
from tests.service.factories import HN, LOEI, UDON, analysed
from tests.service.web.conftest import Enter


@pytest.fixture(autouse=True)
def studies(engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.1")
        analysed(session, "1.2", StrokeType.SDH)
        analysed(session, "1.3", hcode=LOEI)


def test_strokes_come_first_and_other_hospitals_not_at_all(enter: Enter) -> None:
    page = enter().get("/").text
    assert page.index("/studies/1.2") < page.index("/studies/1.1")
    assert "/studies/1.3" not in page
    assert 'data-unread="1"' in page
    assert "สมหญิง ใจดี" in page
    assert len(page) < 100_000


def test_who_works_without_names_sees_none(enter: Enter) -> None:
    page = enter(Role.ML, None).get("/").text
    assert "/studies/1.3" in page
    assert HN not in page
    assert "สมหญิง" not in page


def test_a_vendor_has_no_worklist_and_is_led_to_the_receipts(enter: Enter) -> None:
    answer = enter(Role.VENDOR).get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/receipts")


@pytest.mark.parametrize(("state", "shown"), [("flagged", "1.2"), ("clear", "1.1")])
def test_a_filter_shows_one_state(enter: Enter, state: str, shown: str) -> None:
    page = enter().get(f"/?state={state}").text
    assert [uid for uid in ("1.1", "1.2") if f"/studies/{uid}" in page] == [shown]


@pytest.mark.parametrize("text", [HN, HN[:4], "สมหญิง", "ใจดี สมหญิง"])
def test_a_person_is_found_without_their_name_in_the_address(enter: Enter, text: str) -> None:
    answer = enter().post("/search", {"text": text}, page="/")
    assert "/studies/1.1" in answer.text
    assert str(answer.request.url).endswith("/search")


@pytest.mark.parametrize("text", ["", "x", "%", "nobody"])
def test_nobody_is_found_by_nothing(enter: Enter, text: str) -> None:
    assert "/studies/1" not in enter().post("/search", {"text": text}, page="/").text


def test_a_read_study_is_counted_no_more_and_a_silent_hospital_says_so(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        review_finding(session, find_study(session, "1.2", OPERATOR), OPERATOR, Verdict.AGREE)
        switch_mode(session, OPERATOR, UDON, Mode.SILENT)
    page = enter().get("/").text
    assert 'data-unread="0"' in page
    assert "ทดลองเงียบ" in page


def test_pages_follow_one_another(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        for number in range(60):
            analysed(session, f"2.{number}")
    someone = enter()
    first = someone.get("/").text
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = someone.get(following).text
    assert "hx-get" not in second
    assert all((f'/studies/2.{n}"' in first) != (f'/studies/2.{n}"' in second) for n in range(60))
