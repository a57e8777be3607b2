"""The door: who is let in, for how long, and that no other site can act in their name."""

import re
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select, update

from service.account_hospitals import grant_hospital
from service.accounts import Role, add_account, find_account
from service.audit import AuditEntry
from service.browser_sessions import BrowserSession
from service.db import now, session_scope
from service.roles import REGION_WIDE
from service.sign_in_attempts import PAIR_LIMIT
from tests.service.factories import LOEI, UDON, analysed
from tests.service.web.conftest import PASSWORD, Enter, Person


@pytest.fixture(autouse=True)
def account(engine: Engine) -> None:
    with session_scope(engine) as session:
        add_account(session, "malee", Role.RADIOLOGIST, hcode=UDON, password=PASSWORD)


def test_who_is_not_signed_in_is_led_to_the_door_and_back(person: Person) -> None:
    answer = person.get("/account", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount")
    answer = person.post(
        "/login", {"username": "malee", "password": PASSWORD, "next": "/account"}, page="/login"
    )
    assert answer.headers["location"] == "/account"
    assert person.get("/account").status_code == 200


def test_the_cookie_is_kept_from_scripts_and_other_sites(person: Person) -> None:
    cookie = person.sign_in("malee").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()


@pytest.mark.parametrize("next", ["https://evil.example", "//evil.example", "/\\evil.example", "x"])
def test_no_form_leads_elsewhere(person: Person, next: str) -> None:
    values = {"username": "malee", "password": PASSWORD, "next": next}
    assert person.post("/login", values, page="/login").headers["location"] == "/"


def test_a_wrong_password_is_told_and_locks_in_the_end(person: Person, engine: Engine) -> None:
    for _ in range(PAIR_LIMIT):
        assert person.sign_in("malee", "wrong").status_code == 401
    locked = person.sign_in("malee")
    assert (locked.status_code, locked.headers["retry-after"]) == (429, "900")
    with session_scope(engine, write=False) as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.action == "session.login")).all()
    assert [row.detail["reason"] for row in rows] == ["wrong"] * PAIR_LIMIT + ["locked"]
    assert all("malee" not in str((row.actor, row.detail)) for row in rows)


def test_a_change_needs_the_mark_of_this_hub(enter: Enter) -> None:
    someone = enter()
    refused = someone.client.post("/logout", data={"csrf_token": "0" * 64}, follow_redirects=False)
    assert refused.status_code == 403
    assert someone.get("/account").status_code == 200
    assert someone.post("/logout", {}).headers["location"] == "/login"
    assert someone.get("/account", follow_redirects=False).status_code == 303


def test_the_api_takes_the_cookie_and_wants_the_mark_for_changes(enter: Enter, engine: Engine) -> None:
    someone = enter()
    with session_scope(engine) as session:
        analysed(session)
    assert someone.client.get("/api/v1/studies/1.2.3").status_code == 200
    body = {"verdict": "agree"}
    assert someone.client.post("/api/v1/studies/1.2.3/review", json=body).status_code == 403


@pytest.mark.parametrize(
    "change", [{"seen_at": timedelta(hours=-2)}, {"expires_at": timedelta(seconds=-1)}], ids=["idle", "old"]
)
def test_a_session_ends_by_itself(enter: Enter, engine: Engine, change: dict[str, timedelta]) -> None:
    someone = enter()
    with session_scope(engine) as session:
        session.execute(update(BrowserSession).values({name: now() + by for name, by in change.items()}))
    assert someone.get("/account", follow_redirects=False).status_code == 303


def test_a_new_password_ends_the_sessions_elsewhere(app: FastAPI) -> None:
    here, there = Person(app), Person(app)
    for each in (here, there):
        assert each.sign_in("malee").status_code == 303
    new = "another horse battery"
    assert here.post("/account/password", {"old": "wrong", "new": new, "again": new}).status_code == 422
    assert here.post("/account/password", {"old": PASSWORD, "new": new, "again": new}).status_code == 303
    assert here.get("/account").status_code == 200
    assert there.get("/account", follow_redirects=False).status_code == 303
    assert there.sign_in("malee", new).status_code == 303


def test_who_works_for_several_hospitals_chooses_one(person: Person, engine: Engine) -> None:
    with session_scope(engine) as session:
        grant_hospital(session, find_account(session, "malee"), LOEI)
        analysed(session, "1.2.3")
        analysed(session, "9.9.9", hcode=LOEI)
    person.sign_in("malee")
    answer = person.get("/account", follow_redirects=False)
    assert answer.headers["location"].startswith("/hospital")
    person.post("/hospital", {"hospital": LOEI}, page="/hospital")
    assert person.client.get("/api/v1/studies/9.9.9").status_code == 200
    assert person.client.get("/api/v1/studies/1.2.3").status_code == 404


def test_language_and_theme_are_kept(person: Person) -> None:
    assert 'lang="th"' in person.get("/login").text
    person.post("/preferences", {"language": "en", "next": "/login"}, page="/login")
    person.post("/preferences", {"theme": "light", "next": "/login"}, page="/login")
    page = person.get("/login").text
    assert 'lang="en" data-theme="light"' in page


def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(person: Person) -> None:
    answer = person.get("/login")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert 'style="' not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("role", "hcode"), [*((role, UDON) for role in Role), *((role, None) for role in sorted(REGION_WIDE))]
)
def test_every_place_of_the_menu_opens(enter: Enter, engine: Engine, role: Role, hcode: str | None) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.3")
    someone = enter(role, hcode)
    menu = someone.get("/account").text.partition("<nav")[2].partition("</nav")[0]
    places = set(re.findall(r'href="(/[^"]*)"', menu))
    assert places
    opened = {place: someone.get(place, follow_redirects=True).status_code for place in places}
    # some ask for a hospital, and say so
    assert set(opened.values()) <= {200, 403}, opened
    assert hcode is None or set(opened.values()) == {200}, opened
