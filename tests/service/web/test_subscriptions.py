"""The page of subscriptions: made for an account, its secret shown once, paused, looked into, removed."""

import re

import pytest
from sqlalchemy import Engine, select

from service.accounts import OPERATOR, Role, add_account
from service.audit import search
from service.db import now, session_scope
from service.notifications import NotificationState, notifications_of, queue_notification, settle_notification
from service.subscriptions import Subscription, SubscriptionState, find_subscription
from tests.service.factories import UDON
from tests.service.web.conftest import Enter

pytestmark = pytest.mark.one_database

PAGE = "/console/subscriptions"
BODY = {
    "owner": "his",
    "form": "hub",
    "address": "https://his.example/in",
    "reason": "HIS",
    "topic": "flagged",
}


@pytest.fixture(autouse=True)
def account(engine: Engine) -> None:
    with session_scope(engine) as session:
        add_account(session, "his", Role.SPECIALIST, hcode=UDON)
        add_account(session, "pacs", Role.VENDOR, hcode=UDON)


def test_one_is_made_for_an_account_and_its_secret_is_shown_once(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    made = admin.post(PAGE, BODY, page=PAGE)
    with session_scope(engine, write=False) as session:
        row = session.scalars(select(Subscription)).one()
        assert (row.hcode, row.topics) == (UDON, ["flagged"])
        newest = search(session, limit=1)[0]
    assert (made.status_code, row.secret in made.text) == (200, True)
    assert (newest.action, newest.actor) == ("subscription.add", "admin-None")
    for path in (PAGE, f"{PAGE}/{row.id}"):
        page = admin.get(path).text
        assert "https://his.example/in" in page
        assert row.secret not in page
    assert admin.post(PAGE, {**BODY, "owner": "pacs"}, page=PAGE).status_code == 422
    assert admin.post(PAGE, {**BODY, "address": "http://10.0.0.1/"}, page=PAGE).status_code == 422
    fhir = {**BODY, "form": "fhir", "criteria": "Task?status=requested"}
    assert "Task?status=requested" in admin.post(PAGE, fhir, page=PAGE).text
    assert admin.post(PAGE, {**fhir, "criteria": "Patient?name=x"}, page=PAGE).status_code == 400


def test_it_is_paused_and_its_failures_are_sent_again(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    admin.post(PAGE, BODY, page=PAGE)
    with session_scope(engine) as session:
        found = find_subscription(session, 1, OPERATOR)
        told = {"kind": "study", "what": "flagged", "path": "/"}
        for event in range(60):
            queue_notification(session, found, event, told, now())
        session.flush()
        first = notifications_of(session, found, limit=1)[0]
        settle_notification(first, NotificationState.EXPIRED, "HTTP 500 broken", now())
    page = admin.get(f"{PAGE}/1").text
    assert "HTTP 500 broken" in page
    older = re.search(r"before=(\d+)", page)
    assert older
    assert admin.get(f"{PAGE}/1?before={older[1]}").text.count("calls/") == 10
    assert admin.post(f"{PAGE}/1/off", {}, page=PAGE).status_code == 303
    again = f"{PAGE}/1/calls/{first.id}/again"
    assert again not in admin.get(f"{PAGE}/1").text
    assert admin.post(again, {}, page=PAGE).status_code == 409
    assert admin.post(f"{PAGE}/1/on", {}, page=PAGE).status_code == 303
    assert admin.post(again, {}, page=PAGE).status_code == 303
    assert "HTTP 500 broken" in admin.get(f"{PAGE}/1").text
    with session_scope(engine, write=False) as session:
        found = find_subscription(session, 1, OPERATOR)
        assert found.state is SubscriptionState.ACTIVE
        assert notifications_of(session, found, limit=1)[0].state is NotificationState.WAITING
        assert {"subscription.off", "subscription.on", "subscription.again"} <= {
            each.action for each in search(session)
        }
    assert admin.post(f"{PAGE}/1/remove", {}, page=PAGE).status_code == 303
    assert admin.get(f"{PAGE}/1").status_code == 404
