"""The reader's page in Chromium: a case read by keys alone, saved as one goes, blind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, select

from labeling.assignment import Design, Reader
from labeling.splits import Shares
from model.stroke import StrokeType
from service.accounts import Role, add_account
from service.adjudication_drafts import AdjudicationDraft
from service.assignments import assign_cases, next_case
from service.case_images import images_of
from service.case_keys import open_research_key
from service.cases import Case
from service.db import session_scope
from service.masks import read_mask
from service.reads import Read, ReadDraft, newest_reads, save_label
from service.settings import Settings
from tests.service.api.test_cases import painting
from tests.service.factories import UDON
from tests.service.labelling import BLEED, ML, NORMAL, entered, reader, with_images
from tests.service.served import served
from tests.service.web.conftest import MARK, PASSWORD, Enter
from tests.service.web.days import chromium

pytestmark = pytest.mark.one_database  # a page has no query of its own


@pytest.fixture
def reading(app: FastAPI, engine: Engine, tmp_path: Path) -> Iterator[Page]:
    """The page of a reader who was given two cases."""
    with session_scope(engine) as session:
        for n in (1, 2):
            with_images(session, app.state.storage, tmp_path / "sent", n, slices=5)
        add_account(session, "reader", Role.RADIOLOGIST, password=PASSWORD)
        design = Design(common=0, double_share=0, rereads=0)
        assign_cases(session, ML, [Reader("reader")], design, Shares(test=0, calibration=0))
    with served(app) as address, chromium() as browser:
        page = browser.new_page(base_url=address, locale="en-GB")
        page.goto("/login")
        page.fill("input[name=username]", "reader")
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_selector("nav a[href='/label']", state="attached")
        page.goto("/label")
        page.wait_for_selector("[data-slice-number]:has-text('3 / 5')")
        yield page


def test_a_bleed_and_a_normal_head_are_read_by_keys_alone(
    reading: Page, engine: Engine, settings: Settings
) -> None:
    press = reading.keyboard.press
    assert UDON not in reading.locator("main").inner_text()
    press("Control+Enter")
    expect(reading.locator("[data-refused]")).to_contain_text("haemorrhage: not answered")
    press("n")
    press("5")  # in the brain's tissue
    press("p")
    expect(reading.locator("[name=any][value=present]")).to_be_checked()
    press("ArrowDown")
    press("f")
    press("ArrowUp")
    press("ArrowUp")
    press("l")
    press("k")
    expect(reading.locator("[data-extent=iph] output")).to_have_text("2–4")
    reading.locator("[data-more] summary").click()
    reading.locator("[name=age]").select_option("acute")
    reading.locator("[name=sites][value=L_thalamus]").check()
    for name, text in (("a", "4"), ("b", "3"), ("slices", "2")):
        reading.locator(f"[name=abc_{name}]").fill(text)
    expect(reading.locator("[data-volume]")).to_have_text("6.0 ml")  # of slices of 5 mm
    reading.locator("[name=other][value=fracture]").check()
    expect(reading.locator("[data-status]")).to_have_attribute("data-state", "saved")
    reading.reload()
    expect(reading.locator("[data-volume]")).to_have_text("6.0 ml")
    expect(reading.locator("[data-extent=iph] output")).to_have_text("2–4")
    expect(reading.locator("[name=intraparenchymal][value=present]")).to_be_checked()
    press("Control+Enter")
    expect(reading.locator(".head p")).to_contain_text("1")
    expect(reading.locator("[data-extent=iph] output")).to_have_text("")
    press("n")
    press("Control+Enter")
    expect(reading.locator(".empty")).to_be_visible()
    key = open_research_key(settings)
    with session_scope(engine, write=False) as session:
        bleed, normal = sorted(newest_reads(session), key=lambda read: read.id)
        uid = f"1.2.{100 + session.get_one(Case, bleed.case_id).id}.1"
        assert bleed.label["extents"] == [
            {"finding": "iph", "first": key.uid(f"{uid}.2"), "last": key.uid(f"{uid}.4")}
        ]
        assert bleed.label["key_slices"] == [key.uid(f"{uid}.4")]
        blood = bleed.label["haemorrhage"]
        assert (blood["age"], blood["sites"], bleed.label["other"]) == ("acute", ["L_thalamus"], ["fracture"])
        assert blood["abc2"] == {"a_cm": 4.0, "b_cm": 3.0, "slices": 2.0, "thick_mm": 5.0}
        assert normal.label["haemorrhage"]["any"] == "absent"
        assert session.scalars(select(ReadDraft)).all() == []
        assert len(session.scalars(select(Read)).all()) == 2


def test_aspects_and_a_box_are_drawn(reading: Page, engine: Engine) -> None:
    reading.keyboard.press("n")
    reading.locator("[data-aspects=L][data-region=M2]").click()
    reading.locator("[data-aspects=L][data-region=I]").press(" ")
    expect(reading.locator("[data-score=L]")).to_have_text("L 8")
    for key in "7pfl":
        reading.keyboard.press(key)
    reading.locator("[name=side]").select_option("L")
    reading.locator("[name=territory][value=MCA]").check()
    reading.locator("[data-box]").select_option(StrokeType.ACUTE_ISCHAEMIA.value)
    frame = reading.locator("[data-boxes]").bounding_box()
    assert frame is not None
    reading.mouse.move(frame["x"] + frame["width"] / 4, frame["y"] + frame["height"] / 4)
    reading.mouse.down()
    reading.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    reading.mouse.up()
    expect(reading.locator("[data-boxes] rect")).to_have_count(1)
    reading.locator("button.primary.wide").click()
    expect(reading.locator(".head p")).to_contain_text("1")
    expect(reading.locator("[data-score=L]")).to_have_text("L 10")
    with session_scope(engine, write=False) as session:
        (read,) = newest_reads(session)
        assert read.label["ischaemia"]["aspects"] == [{"side": "L", "affected": ["I", "M2"], "total": None}]
        assert read.label["rois"][0]["points"] == [[16.0, 16.0], [32.0, 32.0]]


def test_an_adjudicator_sees_what_was_said_and_not_by_whom(
    app: FastAPI, engine: Engine, enter: Enter, settings: Settings, tmp_path: Path
) -> None:
    judge = enter(Role.SPECIALIST)
    with session_scope(engine) as session:
        number = with_images(session, app.state.storage, tmp_path / "sent", slices=5).id
        for name in ("reader-one", "reader-two"):
            add_account(session, name, Role.RADIOLOGIST)
        names = [Reader("reader-one"), Reader("reader-two")]
        design, shares = Design(common=1, rereads=0), Shares(test=0, calibration=0)
        assign_cases(session, ML, names, design, shares, adjudicators=[f"specialist-{UDON}"])
        images = images_of(
            session, session.get_one(Case, number), app.state.storage, open_research_key(settings)
        )
        extents = tuple(
            replace(each, first=images.sop_uids[0], last=images.sop_uids[1]) for each in BLEED.extents
        )
        for name, label in (("reader-one", NORMAL), ("reader-two", replace(BLEED, extents=extents))):
            turn = next_case(session, reader(name))
            assert turn is not None
            save_label(session, reader(name), turn.id, entered(label), images)
    assert 'href="/adjudicate"' in judge.get("/label").text
    page = judge.get("/adjudicate").text
    assert f'data-label="/api/v1/adjudications/{number}"' in page
    assert "สิ่งที่ผู้อ่านบอก" in page
    assert "reader-one" not in page
    assert page.count("data-take=") == 2
    assert 'data-go="1"' in page  # where one of them sees the bleed
    assert page.count('class="differs"') == len(
        judge.client.get("/api/v1/adjudications").json()[0]["disputed"]
    )
    assert "ไม่มีกรณีที่รอคุณ" in enter(Role.ADMIN).get("/adjudicate").text

    # what they have entered and painted is there again when the page opens again, and gone once decided
    api, found = f"/api/v1/adjudications/{number}", MARK.search(page)
    assert found
    mark = {"X-CSRF-Token": found[1]}
    send = judge.client.post(
        f"{api}/masks", content=painting(64), headers={**mark, "Content-Type": "image/png"}
    )
    name = send.json()["mask"]
    assert judge.client.get(f"{api}/masks/{name}.png").status_code == 404, "no draft names it yet"
    roi = {"kind": "seg", "finding": "sah", "sop_uid": images.sop_uids[0], "points": [], "mask": name}
    draft = {**entered(NORMAL), "comment": "thin", "rois": [roi]}
    assert judge.client.put(f"{api}/draft", json=draft, headers=mark).status_code == 200
    assert name in judge.get("/adjudicate").text
    assert judge.client.get(f"{api}/masks/{name}.png").headers["content-type"] == "image/png"
    assert enter(Role.RADIOLOGIST).client.get(f"{api}/masks/{name}.png").status_code == 404
    body = {"label": entered(NORMAL), "comment": "no blood"}
    assert judge.client.post(api, json=body, headers=mark).status_code == 201
    with session_scope(engine, write=False) as session:
        assert session.scalars(select(AdjudicationDraft)).all() == []


def test_nobody_elses_case_opens_and_who_has_none_is_told(enter: Enter) -> None:
    someone = enter(Role.RADIOLOGIST)
    assert "ยังไม่มีกรณีที่มอบให้คุณ" in someone.get("/label").text
    assert someone.get("/label/1").status_code == 404


def test_a_bleed_is_painted_undone_and_kept_with_the_read(
    reading: Page, app: FastAPI, engine: Engine
) -> None:
    press, canvas = reading.keyboard.press, reading.locator("[data-brush]")

    def stroke(left: float, right: float) -> None:
        box = canvas.bounding_box()
        assert box is not None
        across = box["y"] + box["height"] / 2
        reading.mouse.move(box["x"] + box["width"] * left, across)
        reading.mouse.down()
        reading.mouse.move(box["x"] + box["width"] * right, across)
        reading.mouse.up()

    press("b")
    expect(reading.locator("[data-brush-status]")).not_to_be_empty()  # of what?
    reading.locator("[data-box]").select_option("iph")
    reading.locator("[data-box]").evaluate("each => each.blur()")
    press("b")
    press("]")
    with reading.expect_response(lambda answer: answer.url.endswith("/masks")) as kept:
        stroke(0.25, 0.5)
    assert kept.value.status == 201
    first = kept.value.json()["mask"]
    with reading.expect_response(lambda answer: answer.url.endswith("/masks")):
        stroke(0.5, 0.9)
    with reading.expect_response(lambda answer: answer.url.endswith("/masks")) as undone:
        press("z")
    assert undone.value.json()["mask"] == first
    expect(reading.locator("[data-status]")).to_have_attribute("data-state", "saved")
    with reading.expect_response(lambda answer: answer.url.endswith(f"/masks/{first}.png")) as loaded:
        reading.reload()
    assert loaded.value.status == 200
    for key in ("n", "5", "p", "f", "l"):
        press(key)
    press("Control+Enter")
    expect(reading.locator(".head p")).to_contain_text("1")
    with session_scope(engine, write=False) as session:
        [read] = newest_reads(session)
    [roi] = read.label["rois"]
    assert (roi["kind"], roi["finding"], roi["mask"]) == ("seg", "iph", first)
    shown = read_mask(app.state.storage, first)
    assert shown.shape == (64, 64)
    assert shown[32, 16:32].all()
    assert not shown[32, 45:].any()
    assert not shown[:20].any()
