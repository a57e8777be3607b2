"""Three readers label their first cases on the hub's pages, in Chromium, by what the form offers."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.campaign_hub import TEAM, Hub
from benchmarks.campaign_readers import SimulatedReader
from benchmarks.campaign_truth import Truth

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

Told = Callable[[str], None]


def read_on_pages(
    hub: Hub, readers: Sequence[SimulatedReader], truth_of: Mapping[str, Truth], count: int, told: Told
) -> dict[str, Any]:
    """Each reads `count` cases on the page, those that a killed run has read counted in."""
    from benchmarks.visit import chromium  # not at the top: seconds of imports, which every start would pay

    path = chromium()
    if path is None:
        return {"left out": "no Chromium with Playwright"}
    from playwright.sync_api import sync_playwright

    seconds: list[float] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for reader in readers:
            done = next(row["done"] for row in _progress(hub) if row["reader"] == reader.name)
            if done >= count:
                continue
            page = browser.new_page(base_url=hub.address, locale="en-GB")
            page.goto("/login")
            page.fill("input[name=username]", reader.name)
            page.fill("input[name=password]", hub.password(reader.name))
            page.press("input[name=password]", "Enter")
            page.wait_for_selector("nav a[href='/label']", state="attached")
            for _ in range(count - done):
                seconds.append(_read(hub, page, reader, truth_of))
                told(reader.name)
            page.close()
        browser.close()
    made = sum(row["done"] for row in _progress(hub) if row["reader"] in {each.name for each in readers})
    return {"readers": len(readers), "reads": made, "slowest s": round(max(seconds, default=0.0), 1)}


def _progress(hub: Hub) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = hub.get(TEAM, "/api/v1/cases/progress")
    return rows


def _read(hub: Hub, page: "Page", reader: SimulatedReader, truth_of: Mapping[str, Truth]) -> float:
    """Fill the form in and hand it in; seconds from the page to the next one."""
    import time

    began = time.monotonic()
    page.goto("/label")
    page.wait_for_selector("[data-slice-number]:not(:empty)")
    turn = hub.get(reader.name, "/api/v1/labels/next")
    uids = turn["slices"]["sop_uids"]
    assert page.locator("[data-label]").get_attribute("data-label") == f"/api/v1/labels/{turn['number']}"
    _fill(page, reader.read(truth_of[uids[0]], turn["number"], uids), uids)
    with page.expect_navigation(), page.expect_response(_is_handed_in) as handed_in:
        page.keyboard.press("Control+Enter")
    if handed_in.value.status != 201:
        raise SystemExit(
            f"the page's read was answered {handed_in.value.status}: {handed_in.value.text()[:300]}"
        )
    return time.monotonic() - began


def _is_handed_in(answer: "Response") -> bool:
    return answer.request.method == "POST"


def _fill(page: "Page", label: Mapping[str, Any], uids: Sequence[str]) -> None:
    blood, infarct = label["haemorrhage"], label["ischaemia"]
    for kind, answer in blood["kinds"].items():
        page.check(f"input[name={kind}][value={answer}]")
    page.check(f"input[name=any][value={blood['any']}]")
    page.check(f"input[name=acute][value={infarct['acute']}]")
    if infarct["side"]:
        page.select_option("select[name=side]", infarct["side"])
    for territory in infarct["territory"]:
        page.check(f"input[name=territory][value={territory}]")
    for scored in infarct["aspects"]:
        for region in scored["affected"]:
            page.locator(f"[data-aspects={scored['side']}][data-region={region}]").press("Space")
    page.select_option("select[name=vessel]", infarct["hyperdense_vessel"])
    page.check(f"input[name=old][value={str(infarct['old_infarct']).lower()}]")
    page.fill("input[name=shift]", f"{label['mass_effect']['midline_shift_mm']:g}")
    page.select_option("select[name=triage]", label["triage"])
    page.select_option("select[name=confidence]", str(label["confidence"]))
    for extent in label["extents"]:
        for end in ("first", "last"):
            page.locator("input[type=range]").fill(str(uids.index(extent[end]) + 1))
            page.click(f"[data-extent={extent['finding']}] [data-end={end}]")
