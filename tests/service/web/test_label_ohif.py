"""A case read in OHIF beside the form, in Chromium: blind, by keys, with a box, and the next one."""

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, Frame, Page, expect
from sqlalchemy import Engine

from labeling.assignment import Design, Reader
from labeling.splits import Shares
from service.accounts import Role, add_account
from service.assignments import assign_cases
from service.case_keys import open_research_key
from service.cases import Case
from service.db import session_scope
from service.reads import newest_reads
from service.settings import Settings
from tests.service.labelling import ML, with_images
from tests.service.served import served
from tests.service.web.conftest import PASSWORD
from tests.service.web.days import DESK, PATIENCE_MS, PHONE, chromium, install_ohif

pytestmark = pytest.mark.one_database  # a page has no query of its own

SIDE = 64
READY = "() => 'ohifReady' in document.querySelector('[data-label]').dataset"
VIEWPORT = "cornerstone.getEnabledElements()[0].viewport"
RECTANGLES = (
    "cornerstoneTools.annotation.state.getAllAnnotations()"
    ".filter(each => each.metadata.toolName === 'RectangleROI').length"
)


def head() -> bytes:
    """A grey slope, so that what is seen is a picture."""
    return np.tile(np.linspace(0, 80, SIDE).astype("<i2"), (SIDE, 1)).tobytes()


@pytest.fixture
def address(app: FastAPI, engine: Engine, settings: Settings, tmp_path: Path) -> Iterator[str]:
    """A hub with OHIF and a reader of two cases of five slices."""
    install_ohif(settings.viewer)
    shown = {"PixelData": head(), "PixelSpacing": [3.0, 3.0], "RescaleSlope": 1, "RescaleIntercept": 0}
    with session_scope(engine) as session:
        for n in (1, 2):
            with_images(session, app.state.storage, tmp_path / "sent", n, slices=5, **shown)
        add_account(session, "reader", Role.RADIOLOGIST, password=PASSWORD)
        design = Design(common=0, double_share=0, rereads=0)
        assign_cases(session, ML, [Reader("reader")], design, Shares(test=0, calibration=0))
    with served(app) as address:
        yield address


def enter(browser: Browser, address: str, size: dict[str, int]) -> Page:
    """The page of the reader's next case."""
    page = browser.new_context(base_url=address, locale="en-GB", viewport=size).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/login")
    page.click("button[value=en]")
    page.fill("input[name=username]", "reader")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".whoami")
    page.goto("/label")
    return page


def ohif_of(page: Page) -> Frame:
    page.wait_for_function(READY)
    frame = next(each for each in page.frames if "/viewer/labels/" in each.url)
    return frame


def sees(page: Page, frame: Frame, slice_number: int) -> None:
    """Wait until OHIF shows the slice and the form knows it."""
    expect(page.locator("[data-slice-number]")).to_have_text(f"{slice_number} / 5")
    frame.wait_for_function(
        f"uid => {VIEWPORT}?.getCurrentImageId()?.includes(`/instances/${{uid}}/`)",
        arg=page.evaluate(
            "n => JSON.parse(document.querySelector('[data-label]').dataset.uids)[n - 1]", slice_number
        ),
    )


def place_of(page: Page, frame: Frame, column: int, row: int) -> tuple[float, float]:
    """Where on the page the corner of a pixel of the slice is."""
    canvas = frame.locator(".cornerstone-canvas").first.bounding_box()
    assert canvas is not None
    x, y = frame.evaluate(
        f"([column, row]) => {VIEWPORT}.worldToCanvas(cornerstone.utilities.imageToWorldCoords("
        f"{VIEWPORT}.getCurrentImageId(), [column, row]))",
        [column, row],
    )
    return canvas["x"] + x, canvas["y"] + y


def test_a_case_is_read_in_ohif_by_keys_with_a_box_and_then_the_next(
    address: str, engine: Engine, settings: Settings
) -> None:
    asked: list[str] = []
    with chromium() as browser:
        page = enter(browser, address, DESK)
        page.context.on("request", lambda request: asked.append(request.url))
        frame = ohif_of(page)
        seen = np.asarray(Image.open(io.BytesIO(frame.locator(".cornerstone-canvas").first.screenshot())))
        assert len(np.unique(seen[..., 0])) > 40
        press = page.keyboard.press
        page.locator("iframe").focus()  # from here on the keys go to OHIF's document
        assert page.evaluate("document.activeElement.tagName") == "IFRAME"
        for key in "n5p":
            press(key)
        expect(page.locator("[name=intraparenchymal][value=present]")).to_be_checked()
        sees(page, frame, 3)
        press("ArrowDown")
        sees(page, frame, 2)
        press("f")
        press("ArrowUp")
        sees(page, frame, 3)
        press("ArrowUp")
        sees(page, frame, 4)
        for key in "lk":
            press(key)
        expect(page.locator("[data-extent=iph] output")).to_have_text("2–4")
        press("w")
        frame.wait_for_function(
            f"() => {{ const {{ lower, upper }} = {VIEWPORT}.getProperties().voiRange;"
            " return Math.abs(upper - lower - 200) < 2 && Math.abs(upper + lower - 160) < 4 }"
        )
        page.locator("[data-box]").select_option("iph")
        page.mouse.move(*place_of(page, frame, 16, 20))
        page.mouse.down()
        page.mouse.move(*place_of(page, frame, 24, 30), steps=4)
        page.mouse.move(*place_of(page, frame, 32, 40), steps=4)
        page.mouse.up()
        frame.wait_for_function(f"() => {RECTANGLES} === 1")
        expect(page.locator("[data-status]")).to_have_attribute("data-state", "saved")

        page.reload()
        frame = ohif_of(page)
        expect(page.locator("[data-extent=iph] output")).to_have_text("2–4")
        frame.wait_for_function(f"() => {RECTANGLES} === 1")
        page.locator("iframe").focus()
        press("Control+Enter")
        expect(page.locator(".head p")).to_contain_text("1")
        expect(page.locator("[data-extent=iph] output")).to_have_text("")
        press("n")
        press("Control+Enter")
        expect(page.locator(".empty")).to_be_visible()
    key = open_research_key(settings)
    with session_scope(engine, write=False) as session:
        bleed, normal = sorted(newest_reads(session), key=lambda read: read.id)
        uid = f"1.2.{100 + session.get_one(Case, bleed.case_id).id}.1"
        assert bleed.label["key_slices"] == [key.uid(f"{uid}.4")]
        assert bleed.label["extents"] == [
            {"finding": "iph", "first": key.uid(f"{uid}.2"), "last": key.uid(f"{uid}.4")}
        ]
        (box,) = bleed.label["rois"]
        assert (box["kind"], box["finding"], box["sop_uid"]) == ("bbox", "iph", key.uid(f"{uid}.4"))
        assert np.abs(np.array(box["points"]) - [[16, 20], [32, 40]]).max() <= 1
        assert normal.label["haemorrhage"]["any"] == "absent"
    assert {urlsplit(each).netloc for each in asked if each.startswith("http")} == {urlsplit(address).netloc}
    assert not [each for each in asked if urlsplit(each).path.startswith(("/dicomweb", "/api/v1/studies"))]


def test_a_phone_begins_with_the_simple_viewer_and_a_choice_is_kept(address: str) -> None:
    with chromium() as browser:
        page = enter(browser, address, PHONE)
        expect(page.locator("[data-slice-number]")).to_have_text("3 / 5")
        assert page.locator(".drawn").is_visible()
        assert page.locator("iframe").is_hidden()
        page.click("[data-enter=ohif]")
        expect(page.locator("iframe")).to_be_visible()
        page.goto("/label")
        expect(page.locator("[data-label]")).to_have_attribute("data-scene", "ohif")
        page.set_viewport_size(DESK)  # type: ignore[arg-type]
        page.click("[data-enter=simple]")
        page.goto("/label")
        expect(page.locator("[data-label]")).to_have_attribute("data-scene", "simple")
