"""The on-call page, and the page behind an alert's link."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from service.accounts import OPERATOR, Role
from service.alert_deliveries import messages_of
from service.alerts import AlertKind, Withdrawal, find_alert, raise_alert
from service.contacts import Way, add_contact
from service.corrections import withdraw_flags
from service.db import session_scope
from service.ladders import Ladder
from service.sight import find_study
from service.thai_time import THAILAND
from tests.service.factories import HN, LOEI, NAME, UDON, registered
from tests.service.web.conftest import Enter, Person

PAGE = {"page": "/on-call"}


@pytest.fixture
def number(engine: Engine) -> int:
    """An alert that was sent to the hospital's own address."""
    with session_scope(engine) as session:
        study = registered(session)
        add_contact(session, OPERATOR, Way.EMAIL, "er@x.example", hcode=UDON)
        alert = raise_alert(
            session, AlertKind.FLAG, hcode=UDON, study_id=study.id, path="/studies/1.2.3", key="k"
        )
    Ladder(engine).climb()
    return alert.id


def test_what_rings_is_shown_and_one_tap_takes_it(enter: Enter, engine: Engine, number: int) -> None:
    someone = enter(Role.REFERRER)
    page = someone.get("/on-call").text
    assert "AI สงสัยโรคหลอดเลือดสมอง" in page
    assert not any(word in page for word in (*NAME.split("^"), HN))
    answer = someone.post(f"/alerts/{number}/acknowledge", {}, **PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies/1.2.3")
    with session_scope(engine, write=False) as session:
        assert find_alert(session, number, OPERATOR).acknowledged_through == "page"
    assert "ไม่มีการเตือนค้างอยู่" in someone.get("/on-call").text


def test_an_alert_says_whom_it_was_told_with_which_proof(enter: Enter, number: int) -> None:
    page = enter(Role.REFERRER).get(f"/alerts/{number}").text
    assert "กำลังส่ง" in page
    assert "event alert.raised" in page
    assert enter(Role.REFERRER, LOEI).get(f"/alerts/{number}").status_code == 404


def test_nobody_on_call_is_an_alarm_until_somebody_is_put(enter: Enter) -> None:
    someone = enter(Role.REFERRER)
    assert "ไม่มีใครอยู่เวร" in someone.get("/on-call").text
    start = datetime.now(THAILAND) - timedelta(minutes=2)
    form = {
        "hospital": UDON,
        "username": f"referrer-{UDON}",
        "start": start.strftime("%Y-%m-%dT%H:%M"),
        "end": (start + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M"),
    }
    assert someone.post("/on-call/shifts", form, **PAGE).status_code == 303
    page = someone.get("/on-call").text
    assert "ไม่มีใครอยู่เวร" not in page
    assert someone.post(f"/on-call/{UDON}/shifts/1/delete", {}, **PAGE).status_code == 303
    assert "ไม่มีใครอยู่เวร" in someone.get("/on-call").text
    wrong = someone.post("/on-call/shifts", form | {"start": "yesterday"}, **PAGE)
    assert (wrong.status_code, "is no moment" in wrong.text) == (422, True)


def test_a_person_lists_and_forgets_a_way(enter: Enter) -> None:
    someone = enter(Role.REFERRER)
    form = {"way": "email", "address": "me@x.example", "quiet": "22:00-06:00"}
    assert someone.post("/on-call/contacts", form, **PAGE).status_code == 303
    assert "me@x.example" in someone.get("/on-call").text
    assert someone.post("/on-call/contacts/1/delete", {}, **PAGE).status_code == 303
    assert "me@x.example" not in someone.get("/on-call").text


def test_who_sees_the_region_chooses_a_hospital(enter: Enter) -> None:
    someone = enter(Role.RADIOLOGIST, None)
    page = someone.get("/on-call")
    assert page.status_code == 200
    assert "จัดเวร" not in page.text.partition("<main")[2]
    assert "จัดเวร" in someone.get(f"/on-call?hospital={LOEI}").text


class TestLink:
    @pytest.fixture
    def token(self, engine: Engine, number: int) -> str:
        with session_scope(engine, write=False) as session:
            return next(each.token for each in messages_of(session, number) if each.way is Way.EMAIL)

    def test_opening_it_changes_nothing_and_the_button_takes_it(
        self, person: Person, engine: Engine, number: int, token: str
    ) -> None:
        for _ in range(2):
            page = person.get(f"/a/{token}")
            assert page.status_code == 200
            assert not any(word in page.text for word in (*NAME.split("^"), HN))
        with session_scope(engine, write=False) as session:
            assert find_alert(session, number, OPERATOR).acknowledged_at is None
        assert person.post(f"/a/{token}", {}, page=f"/a/{token}").status_code == 303
        with session_scope(engine, write=False) as session:
            alert = find_alert(session, number, OPERATOR)
        assert (alert.acknowledged_by, alert.acknowledged_through) == (UDON, "link")
        assert "รับเรื่องแล้ว" in person.get(f"/a/{token}").text

    def test_it_opens_nothing_else_and_needs_the_forms_mark(self, person: Person, token: str) -> None:
        assert person.get("/on-call", follow_redirects=False).status_code in (303, 401)
        assert person.client.post(f"/a/{token}", follow_redirects=False).status_code == 403
        assert person.get(f"/a/{'x' * 43}").status_code == 404
        assert person.get("/a/short").status_code in (404, 422)


def test_the_menu_leads_there_for_who_can_be_on_call(enter: Enter) -> None:
    assert 'href="/on-call"' in enter(Role.SPECIALIST).get("/account").text
    assert 'href="/on-call"' not in enter(Role.VENDOR).get("/account").text


def test_an_alert_that_is_not_so_any_more_says_why_and_cannot_be_taken(
    enter: Enter, engine: Engine, number: int
) -> None:
    someone = enter(Role.REFERRER)
    with session_scope(engine) as session:
        withdraw_flags(session, find_study(session, "1.2.3", OPERATOR), Withdrawal.DISAGREED, "reader")
        token = messages_of(session, number)[-1].token
    for path in (f"/alerts/{number}", f"/a/{token}", "/on-call"):
        page = someone.get(path).text
        assert "รังสีแพทย์ไม่เห็นโรคหลอดเลือดสมอง" in page, path
        assert "รับเรื่อง</button>" not in page, path
    answer = someone.post(f"/alerts/{number}/acknowledge", {}, **PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/alerts/{number}")
