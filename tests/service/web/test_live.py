"""The worklist in Chromium while studies arrive: rows, title, sound, keys; by the clock without events."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role, add_account
from service.db import session_scope
from tests.service.factories import UDON, analysed
from tests.service.served import served
from tests.service.web.conftest import PASSWORD
from tests.service.web.days import chromium

# What differs on PostgreSQL is the feed, and tests/service/api/test_events.py follows it there.
pytestmark = pytest.mark.one_database


@pytest.fixture
def worklist(app: FastAPI, engine: Engine) -> Iterator[Page]:
    """The worklist of a radiologist at Udon Thani with one clear study, in a browser."""
    with session_scope(engine) as session:
        add_account(session, "reader", Role.RADIOLOGIST, hcode=UDON, password=PASSWORD)
        analysed(session, "1.1")
    with served(app) as address, chromium() as browser:
        page = browser.new_page(base_url=address, locale="en-GB")
        page.goto("/login")
        page.fill("input[name=username]", "reader")
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_selector("#rows[data-live=events]")
        yield page


def test_a_flag_comes_in_by_itself_is_counted_and_sounds(worklist: Page, engine: Engine) -> None:
    worklist.click("[data-toggle=sound]")
    expect(worklist.locator("[data-toggle=sound]")).to_have_attribute("aria-pressed", "true")
    worklist.keyboard.press("j")
    expect(worklist.locator("tr.chosen a").first).to_have_attribute("href", "/studies/1.1")
    with session_scope(engine) as session:
        analysed(session, "1.2", StrokeType.SDH)
    expect(worklist.locator("tbody tr").first).to_contain_text("0012345")
    expect(worklist.locator("tr.fresh a").first).to_have_attribute("href", "/studies/1.2")
    expect(worklist).to_have_title(re.compile(r"^\(1\) รายการตรวจ"))
    # once for the click that turned it on, once for the flag
    expect(worklist.locator("#rows")).to_have_attribute("data-sounded", "2")
    # the row under the cursor is the same study as before, one place further down
    expect(worklist.locator("tr.chosen a").first).to_have_attribute("href", "/studies/1.1")
    worklist.click("[data-toggle=badge]")
    expect(worklist).to_have_title(re.compile("^รายการตรวจ"))
    worklist.reload()
    expect(worklist.locator("[data-toggle=sound]")).to_have_attribute("aria-pressed", "true")
    expect(worklist.locator("[data-toggle=badge]")).to_have_attribute("aria-pressed", "false")


def test_a_click_is_not_lost_to_rows_that_come_meanwhile(worklist: Page, engine: Engine) -> None:
    worklist.locator("a[href='/studies/1.1']").first.hover()
    worklist.mouse.down()
    with (
        worklist.expect_response(lambda answer: "hx-request" in answer.request.headers),
        session_scope(engine) as session,
    ):
        analysed(session, "1.2", StrokeType.SDH)
    worklist.wait_for_function("() => !document.querySelector('.htmx-request')")
    worklist.mouse.up()
    expect(worklist).to_have_url(re.compile("/studies/1.1$"))


def test_new_rows_follow_the_release_of_what_was_no_click(worklist: Page, engine: Engine) -> None:
    worklist.mouse.move(5, 5)
    worklist.mouse.down()
    with (
        worklist.expect_response(lambda answer: "hx-request" in answer.request.headers),
        session_scope(engine) as session,
    ):
        analysed(session, "1.2", StrokeType.SDH)
    worklist.wait_for_function("() => !document.querySelector('.htmx-request')")
    expect(worklist.locator("a[href='/studies/1.2']")).to_have_count(0)
    worklist.mouse.up()
    expect(worklist.locator("a[href='/studies/1.2']").first).to_be_visible()


def test_without_events_the_clock_fetches_the_rows(worklist: Page, engine: Engine) -> None:
    worklist.route("**/api/v1/events", lambda route: route.abort())
    worklist.clock.install()
    worklist.reload()
    worklist.wait_for_selector("#rows[data-live=clock]")
    with session_scope(engine) as session:
        analysed(session, "1.2", StrokeType.SDH)
    worklist.clock.run_for(11_000)
    expect(worklist.locator('a[href="/studies/1.2"]').first).to_be_visible()


def test_the_keys_are_explained_and_quiet_while_one_writes(worklist: Page) -> None:
    worklist.keyboard.press("?")
    expect(worklist.locator("#help")).to_be_visible()
    worklist.keyboard.press("Escape")
    expect(worklist.locator("#help")).to_be_hidden()
    worklist.keyboard.press("/")
    worklist.keyboard.type("?s1")
    expect(worklist.locator("#search")).to_have_value("?s1")
    expect(worklist.locator("#help")).to_be_hidden()
    worklist.set_viewport_size({"width": 390, "height": 844})
    assert worklist.evaluate("document.documentElement.scrollWidth") <= 390
    worklist.click("#ask-help")
    expect(worklist.locator("#help")).to_be_visible()
