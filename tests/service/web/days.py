"""People at a real browser: Chromium, a whole hub, and accounts to sign in with."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import Engine

from service import viewer
from service.accounts import Role, add_account
from service.db import make_engine, session_scope
from service.errors import Unavailable
from service.viewer import PACKAGE, VERSION, fetch_package, install_viewer
from tests.hub import RunningHub
from tests.service.web.conftest import PASSWORD

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 30_000
"""For a busy machine; every wait ends as soon as its condition holds."""
expect.set_options(timeout=PATIENCE_MS)
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; skips the test where it is not on this machine."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def install_ohif(place: Path) -> None:
    """Put the viewer where a hub serves it from: one that is kept between tests, at first from npm."""
    kept = Path(tempfile.gettempdir()) / f"{PACKAGE.replace('/', '-').strip('@')}-{VERSION}"
    package = kept.with_suffix(f"{kept.suffix}.tgz")
    if not package.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                shutil.move(fetch_package(Path(scratch)), package)
            except Unavailable as refusal:
                pytest.skip(str(refusal))
    how = sha256(Path(viewer.__file__).read_bytes()).hexdigest()[:16]
    folder = kept.with_name(f"{kept.name}-{how}")
    if not folder.is_dir():
        install_viewer(folder, package=package)
    place.symlink_to(folder)


class House:
    """A hub and the people who come to it with a browser."""

    def __init__(self, hub: RunningHub, browser: Browser) -> None:
        self.hub = hub
        self.browser = browser
        self.engine: Engine = make_engine(f"sqlite:///{hub.data / 'hub.sqlite'}")
        self._contexts: list[BrowserContext] = []

    def enter(
        self, role: Role, hcode: str | None = None, *, phone: bool = False, english: bool = False
    ) -> Page:
        """A page of somebody who has just signed in, through the form."""
        name = f"{role.value}-{len(self._contexts)}"
        with session_scope(self.engine) as session:
            add_account(session, name, role, hcode=hcode, password=PASSWORD)
        page = self.stranger(phone=phone)
        page.goto("/login")
        if english:
            page.click("button[value=en]")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_selector(".whoami")
        return page

    def stranger(self, *, phone: bool = False) -> Page:
        """A page of somebody who has not signed in."""
        more: dict[str, Any] = {"has_touch": True, "is_mobile": True} if phone else {}
        context = self.browser.new_context(
            base_url=self.hub.address, locale="th-TH", viewport=PHONE if phone else DESK, **more
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        return context.new_page()

    def close(self) -> None:
        """Close every browser window."""
        for context in self._contexts:
            context.close()
        self.engine.dispose()
