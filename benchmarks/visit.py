"""A first visit over a slow line, in Chromium: what is seen when, and what was transferred.

The line is Chromium's own emulation of 1.6 Mbit/s and 150 ms; the figures come from its performance entries.
"""

import importlib.util
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.reader import REGION, ReadyHub

if TYPE_CHECKING:
    from playwright.sync_api import Page

BYTES_PER_S = 1.6e6 / 8
LATENCY_MS = 150
WATCH = """
const seen = window.__seen = {lcp: 0, cls: 0, slice: 0};
const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note))
    .observe({type, buffered: true});
watch("largest-contentful-paint", (entry) => { seen.lcp = entry.startTime; });
watch("layout-shift", (entry) => { if (!entry.hadRecentInput) seen.cls += entry.value; });
watch("element", (entry) => { if (entry.identifier === "key-slice") seen.slice = entry.renderTime; });
new MutationObserver(() => {
    document.querySelector(".keys-row img")?.setAttribute("elementtiming", "key-slice");
}).observe(document, {childList: true, subtree: true});
"""
READ = """() => {
    const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return {
        ...window.__seen, fcp: paint ? paint.startTime : 0, requests: all.length,
        bytes: all.reduce((sum, each) => sum + each.transferSize, 0),
    };
}"""


@dataclass(frozen=True, slots=True)
class Visit:
    """One page as the reader saw it come: seconds, and bytes over the line."""

    page: str
    first_paint: float
    largest_paint: float
    key_slice: float | None
    """When the first key slice was painted; None on a page without."""
    layout_shift: float
    requests: int
    kilobytes: float


def chromium() -> str | None:
    """Chromium's path, or None where it or Playwright is missing."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found if importlib.util.find_spec("playwright") else None


def visits(hub: ReadyHub, browser_path: str, *, cpu_slowdown: int = 1) -> list[Visit]:
    """Sign-in, worklist and study page with an empty cache each, and the study page after the worklist."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        context = browser.new_context(locale="th-TH", viewport={"width": 1440, "height": 900})
        context.add_init_script(WATCH)
        page = context.new_page()
        tools = context.new_cdp_session(page)
        tools.send("Network.enable")
        line = {"offline": False, "latency": LATENCY_MS, "downloadThroughput": BYTES_PER_S}
        tools.send("Network.emulateNetworkConditions", {**line, "uploadThroughput": BYTES_PER_S})
        tools.send("Emulation.setCPUThrottlingRate", {"rate": cpu_slowdown})

        def forget() -> None:
            tools.send("Network.clearBrowserCache")

        found = [_open(page, "sign-in, empty cache", f"{hub.address}/login")]
        page.fill("input[name=username]", REGION)
        page.fill("input[name=password]", hub.password)
        page.click("button.primary")
        page.wait_for_selector("table.list")
        forget()
        found.append(_open(page, "worklist, empty cache", f"{hub.address}/"))
        study = f"{hub.address}/studies/{hub.uid}"
        found.append(_open(page, "study, after the worklist", study, pictures=True))
        forget()
        found.append(_open(page, "study, empty cache", study, pictures=True))
        browser.close()
    return found


def _open(page: "Page", name: str, address: str, *, pictures: bool = False) -> Visit:
    page.goto(address, wait_until="load")
    if pictures:
        page.wait_for_function("() => window.__seen.slice > 0")
    page.wait_for_load_state("networkidle")
    seen: dict[str, Any] = page.evaluate(READ)
    return Visit(
        page=name,
        first_paint=seen["fcp"] / 1000,
        largest_paint=seen["lcp"] / 1000,
        key_slice=seen["slice"] / 1000 if pictures else None,
        layout_shift=seen["cls"],
        requests=seen["requests"],
        kilobytes=seen["bytes"] / 1000,
    )
