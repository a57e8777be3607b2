"""OHIF on a real bleed, in Chromium: a real picture, our outline on the right slice, nobody else asked."""

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Page

from service.accounts import Role
from service.viewer import WINDOWS
from tests.hub import RunningHub, real_ct, running_hub
from tests.service.factories import LOEI, UDON
from tests.service.web.days import House, chromium, install_ohif

NOTICE = "[role=note]"
# OHIF takes its element away and back while it lays itself out: each question bears its absence.
VIEWPORT = "window.cornerstone?.getEnabledElements?.()[0]?.viewport"
SEGMENTS = "cornerstoneTools.segmentation.state.getSegmentationRepresentations"
SHOWN = f"() => {VIEWPORT}?.getImageData?.() != null"
AT = f"uid => {VIEWPORT}?.getCurrentImageId?.()?.includes(`/instances/${{uid}}/`) ?? false"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    files = real_ct("haemorrhage-ct")
    with chromium() as browser, running_hub(tmp_path_factory.mktemp("ohif") / "hub") as hub:
        install_ohif(hub.data / "viewer")
        hub.storescu(files)
        house = House(hub, browser)
        yield house
        house.close()


@pytest.fixture(scope="module")
def uid(house: House) -> str:
    """The study, with its result and our objects made."""
    uid = str(pydicom.dcmread(real_ct("haemorrhage-ct")[0], stop_before_pixels=True).StudyInstanceUID)
    assert house.hub.result(uid)["state"] == "flagged"
    return uid


@pytest.fixture(scope="module")
def reader(house: House, uid: str) -> Page:
    """A radiologist who has opened the study from its page; every address that was asked is kept."""
    page = house.enter(Role.RADIOLOGIST, UDON)
    page.goto(f"/studies/{uid}")
    page.context.on("request", lambda request: ASKED.append(request.url))
    page.click("a[href^='/viewer/']")
    page.wait_for_function(SHOWN)
    return page


ASKED: list[str] = []


def picture(page: Page) -> "np.ndarray[Any, Any]":
    """What is seen of the viewport above the notice, (rows, columns, red green blue)."""
    canvas, notice = (page.locator(each).first.bounding_box() for each in (".cornerstone-canvas", NOTICE))
    assert canvas is not None
    assert notice is not None
    shot = page.screenshot(clip={**canvas, "height": min(canvas["height"], notice["y"] - canvas["y"])})
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def red(seen: "np.ndarray[Any, Any]") -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Where the outline's colour is: CT is grey."""
    return (seen[..., 0] - seen[..., 2] > 60) & (seen[..., 0] - seen[..., 1] > 60)


def masks_of(hub: RunningHub, uid: str) -> dict[str, "np.ndarray[Any, Any]"]:
    """Our SEG's mask on each CT slice that it names, by SOP Instance UID."""
    series = hub.get(f"/dicomweb/studies/{uid}/series", Modality="SEG")[0]["0020000E"]["Value"][0]
    instance = hub.get(f"/dicomweb/studies/{uid}/series/{series}/instances")[0]["00080018"]["Value"][0]
    answer = hub.client.get(
        f"/dicomweb/studies/{uid}/series/{series}/instances/{instance}",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    part = answer.content.split(b"\r\n\r\n", 1)[1]
    data = pydicom.dcmread(io.BytesIO(part))
    masks: dict[str, Any] = {}
    frames = data.pixel_array.reshape(int(data.NumberOfFrames), data.Rows, data.Columns)
    for frame, groups in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        masks[source] = masks.get(source, 0) + frame.astype(int)
    return masks


def drawn(page: Page) -> None:
    """Wait until what the viewport holds is on the screen."""
    page.wait_for_function(SHOWN)
    page.evaluate(f"() => {{ {VIEWPORT}.render(); return new Promise(requestAnimationFrame); }}")


def show(page: Page, sop_instance_uid: str) -> None:
    """Scroll to a slice and wait until it is drawn."""
    page.wait_for_function(SHOWN)
    page.evaluate(
        f"uid => {VIEWPORT}.setImageIdIndex({VIEWPORT}.getImageIds().findIndex(each => each.includes(uid)))",
        sop_instance_uid,
    )
    page.wait_for_function(AT, arg=sop_instance_uid)
    drawn(page)


def test_it_opens_on_the_most_telling_slice_with_a_real_picture(reader: Page, house: House, uid: str) -> None:
    result = house.hub.get(f"/api/v1/studies/{uid}/result")
    telling = result["slices"][result["key_slices"][0]["slice"]]["sop_instance_uid"]
    reader.wait_for_function(AT, arg=telling)
    drawn(reader)
    seen = picture(reader)
    greys = np.unique(seen[..., 0])
    assert len(greys) > 60
    assert 0.02 < (seen[..., 0] > 60).mean() < 0.9


@pytest.mark.parametrize(("key", "name", "width", "level"), [(str(n), *w) for n, w in enumerate(WINDOWS, 1)])
def test_a_key_sets_each_window(reader: Page, key: str, name: str, width: int, level: int) -> None:
    reader.keyboard.press(key)
    reader.wait_for_function(
        f"([width, level]) => {{ const range = {VIEWPORT}?.getProperties?.().voiRange;"
        " return range && Math.abs(range.upper - range.lower + 1 - width) < 2"
        " && Math.abs((range.upper + range.lower + 1) / 2 - level) < 2 }",
        arg=[width, level],
    )


def test_our_outline_lies_on_the_right_slices(reader: Page, house: House, uid: str) -> None:
    masks = masks_of(house.hub, uid)
    reader.keyboard.press("1")
    reader.get_by_text("AI suspected blood").first.dblclick()
    reader.wait_for_function("() => cornerstoneTools.segmentation.state.getSegmentations().length > 0")
    reader.wait_for_function(SHOWN)
    largest = max(masks, key=lambda source: int(masks[source].astype(bool).sum()))
    show(reader, largest)
    reader.wait_for_function(
        f"() => {{ const viewport = {VIEWPORT}; return viewport && {SEGMENTS}(viewport.id).length > 0 }}"
    )
    rows, columns = np.nonzero(masks[largest])
    outline = np.nonzero(red(picture(reader)))
    assert len(outline[0]) > 100
    wanted = reader.evaluate(
        f"([column, row]) => {VIEWPORT}.worldToCanvas(cornerstone.utilities.imageToWorldCoords("
        f"{VIEWPORT}.getCurrentImageId(), [column, row]))",
        [float(columns.mean()), float(rows.mean())],
    )
    found = float(outline[1].mean()), float(outline[0].mean())
    assert np.hypot(found[0] - wanted[0], found[1] - wanted[1]) < 15, (found, wanted)
    ids = reader.evaluate(f"() => {VIEWPORT}.getImageIds()")
    empty = next(each for each in ids if not any(source in each for source in masks))
    show(reader, empty.split("/instances/")[1].split("/")[0])
    assert not red(picture(reader)).any()


def test_nobody_but_the_hub_was_asked(reader: Page, house: House) -> None:
    hosts = {urlsplit(each).netloc for each in ASKED if each.startswith(("http", "ws"))}
    assert hosts == {urlsplit(house.hub.address).netloc}
    assert len(ASKED) > 30


def test_it_says_that_it_is_not_for_diagnosis_in_thai(reader: Page) -> None:
    assert "ไม่ใช่เพื่อการวินิจฉัย" in reader.locator(NOTICE).inner_text()


def test_another_hospitals_reader_gets_none_of_it(house: House, uid: str) -> None:
    page = house.enter(Role.RADIOLOGIST, LOEI)
    answers: list[tuple[int, str]] = []
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    with page.expect_response(lambda answer: "/dicomweb/" in answer.url):
        page.goto(f"/viewer/viewer?StudyInstanceUIDs={uid}")
    page.wait_for_load_state("networkidle")
    about = [(status, url) for status, url in answers if "/dicomweb/" in url]
    assert all(status in (204, 404) for status, _ in about), about
    assert page.locator(".cornerstone-canvas").count() == 0


def test_a_stranger_is_sent_to_the_door(house: House, uid: str) -> None:
    page = house.stranger()
    page.goto(f"/viewer/viewer?StudyInstanceUIDs={uid}")
    assert "/login" in page.url
