"""Pictures of every page, to be looked at: three widths, dark and light, Thai and English.

    python -m scripts.screenshots OUT [CT-FOLDER...] [--only PAGE]...

Starts a hub of its own with simulated studies (and those of the folders), lets a radiologist work on some,
opens every page as somebody who may, and writes OUT/PAGE-WIDTH-THEME-LANGUAGE.png. Says which pages failed,
which are wider than the window and which texts have too little contrast (WCAG 2.2 AA, 1.4.3); exit status 1
when any.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from pacs_gateway.sender import Peer
from scripts import demo
from scripts.handoff import RECEIVER, hand_off, other_pacs
from scripts.labelling import LabelReader, dispute_one, offer_cases
from service import accounts
from service.db import make_engine, session_scope
from service.roles import PERMISSIONS, Role
from service.settings import Settings, read_settings
from service.web.page import NAVIGATION

WIDTHS = {1440: 900, 1024: 768, 390: 844}
THEMES = ("dark", "light")
LANGUAGES = ("th", "en")
SILENT = "10705"
"""The hospital at which the AI only watches."""
DEFECTS = Path(__file__).with_name("defects.js")
DOORS = """
[[provider]]
name = "moph"
kind = "provider_id"
label_th = "เข้าด้วย Provider ID"
label_en = "Provider ID"
health_client_id = "hub"
client_id = "hub"

[[provider]]
name = "hospital"
label_th = "บัญชีโรงพยาบาล"
label_en = "Hospital account"
issuer = "https://login.example"
client_id = "hub"
"""


ROOMS = (
    (Role.ML, "/cases/alike"),
    *((Role.ML, path) for path in ("/datasets", "/console/drift", "/console/next-cases")),
    (Role.ML, f"/console/thresholds/{RECEIVER}"),
    *((Role.ADMIN, f"/console/{page}") for page in ("audit", "forms", "moph", "neighbours", "subscriptions")),
    (Role.TECHNICIAN, "/upload"),
    (Role.TECHNICIAN, "/upload/answers"),
)
"""Pages behind a place of the navigation."""


@dataclass(frozen=True, slots=True)
class View:
    """One page as one person opens it."""

    name: str
    role: Role | None
    path: str


def views(client: httpx.Client) -> Iterator[View]:
    """Every place of the navigation, a study of each state, and the pages without a place."""
    yield View("login", None, "/login")
    yield View("login-left", None, "/login?left=hospital")
    for place in NAVIGATION:
        may = place.permission in (None, *PERMISSIONS[Role.RADIOLOGIST])
        role = Role.RADIOLOGIST if may else Role.ADMIN
        yield View(place.key, role, place.path)
    yield View("worklist-empty", Role.RADIOLOGIST, "/?state=failed")
    yield View("worklist-unnamed", Role.ML, "/")
    yield View("selftest-vendor", Role.VENDOR, "/selftest")
    yield View("not-found", Role.RADIOLOGIST, "/studies/9.9")
    yield View("not-allowed", Role.VENDOR, "/console")
    yield View("account", Role.REFERRER, "/account")
    yield View("accounts", Role.ADMIN, "/console/accounts")
    yield View("accounts-one", Role.ADMIN, "/console/accounts/specialist.demo")
    yield from views_of_care(client)
    seen: dict[str, str] = {}
    for study in client.get("/api/v1/studies").json()["studies"]:
        seen.setdefault(study["state"], study["study_instance_uid"])
    for state, uid in seen.items():
        yield View(f"study-{state}", Role.RADIOLOGIST, f"/studies/{uid}")
    own = client.get("/api/v1/studies", params={"hospital": RECEIVER, "state": "clear"}).json()["studies"]
    for study in own[:1]:
        yield View("study-clear-referrer", Role.REFERRER, f"/studies/{study['study_instance_uid']}")
    yield from (View(path.strip("/").replace("/", "-"), role, path) for role, path in ROOMS)


def views_of_care(client: httpx.Client) -> Iterator[View]:
    """What follows a flag: the forms, a thread, a referral, an alert, and the link for who has no account."""
    consult = client.get("/api/v1/consults").json()["consults"][0]
    referral = client.get("/api/v1/referrals").json()["referrals"][0]
    alert = client.get("/api/v1/alerts").json()["alerts"][0]
    link = client.post(f"/api/v1/referrals/{referral['number']}/links", json={"hours": 1}).json()
    own = client.get("/api/v1/studies", params={"hospital": RECEIVER}).json()["studies"][0][
        "study_instance_uid"
    ]
    yield View("consult", Role.SPECIALIST, f"/consults/{consult['id']}")
    yield View("consult-form", Role.REFERRER, f"/studies/{own}/consult")
    yield View("referral", Role.SPECIALIST, f"/referrals/{referral['number']}")
    yield View("referral-form", Role.REFERRER, f"/studies/{own}/refer")
    yield View("alert", Role.SPECIALIST, f"/alerts/{alert['id']}")
    yield View("share", None, urlsplit(link["address"]).path)


def label(client: httpx.Client, settings: Settings) -> list[View]:
    """A reader's next case, one on which two differ, and the ML team's view of it.

    After all the others: who is to read a study blind sees it nowhere else.
    """
    studies = client.get("/api/v1/studies").json()["studies"]
    read = [each["study_instance_uid"] for each in studies if each["state"] not in ("refused", "failed")]
    (case, *_) = offer_cases(client, read)
    with (
        client_of(settings, client, "specialist.demo") as first,
        client_of(settings, client, "dr.demo") as second,
    ):
        dispute_one(client, LabelReader("specialist.demo", first), LabelReader("dr.demo", second))
    return [
        View("label", Role.SPECIALIST, "/label"),
        View("adjudicate", Role.ADMIN, "/adjudicate"),
        View("case", Role.ML, f"/cases/{case}"),
        *(View(f"cases-{page}", Role.ML, f"/cases/{page}") for page in ("progress", "agreement", "readers")),
    ]


def client_of(settings: Settings, client: httpx.Client, username: str) -> httpx.Client:
    """A client that acts for one of the demo's people."""
    engine = make_engine(settings.database)
    with session_scope(engine) as session:
        token = accounts.issue_token(session, accounts.find_account(session, username), label="pictures")
    engine.dispose()
    return httpx.Client(base_url=client.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def work(client: httpx.Client) -> None:
    """What a night leaves behind: one flag confirmed, one corrected, reports, a silent hospital."""
    studies = client.get("/api/v1/studies", params={"state": "flagged"}).json()["studies"]
    bled = "Haemorrhage: right basal ganglia. Midline shift: 4 mm. Impression: acute ICH."
    for study, verdict, text in zip(
        reversed(studies), ("agree", "correct"), (bled, "No intracranial hemorrhage."), strict=False
    ):
        place = f"/api/v1/studies/{study['study_instance_uid']}"
        client.post(f"{place}/review", json={"verdict": verdict, "present": []}).raise_for_status()
        client.post(f"{place}/report", json={"text": text}).raise_for_status()
    client.post(f"/api/v1/hospitals/{SILENT}/mode", json={"mode": "silent"}).raise_for_status()


def pictures(browser: Browser, address: str, wanted: list[View], password: str, out: Path) -> list[str]:
    """Take them all; what is wrong with each, in words."""
    wrong = []
    for theme, language in product(THEMES, LANGUAGES):
        for role in dict.fromkeys(view.role for view in wanted):
            context = browser.new_context(base_url=address, locale="th-TH")
            chosen = {"hub_theme": theme, "hub_language": language}
            context.add_cookies([{"name": k, "value": v, "url": address} for k, v in chosen.items()])
            page = context.new_page()
            if role is not None:
                sign_in(page, role, password)
            for view, (width, height) in product([v for v in wanted if v.role is role], WIDTHS.items()):
                name = f"{view.name}-{width}-{theme}-{language}"
                page.set_viewport_size({"width": width, "height": height})
                answer = page.goto(view.path)
                if answer is None or answer.status >= 500:
                    wrong.append(f"{name}: the hub failed")
                page.wait_for_load_state("networkidle")
                if page.locator("[data-viewer]").count():
                    page.wait_for_selector("[data-ohif-ready], [data-scene=simple]")
                page.screenshot(path=out / f"{name}.png", full_page=True)
                wrong += [f"{name}: {each}" for each in page.evaluate(DEFECTS.read_text())]
            context.close()
    return wrong


def doors(data: Path) -> Path:
    """A list of two identity providers, so that the door can be seen with them; neither is asked anything."""
    data.mkdir(parents=True, exist_ok=True)
    listed = data / "providers.toml"
    listed.write_text(DOORS, encoding="utf-8")
    return listed


def sign_in(page: Page, role: Role, password: str) -> None:
    """Through the form."""
    page.goto("/login")
    page.fill("input[name=username]", next(name for name, (each, _) in demo.PEOPLE.items() if each is role))
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".whoami")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts.screenshots", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("folders", nargs="*", type=Path, help="folders of CT studies to send as well")
    parser.add_argument("--only", action="append", default=[], help="pages whose name begins so")
    arguments = parser.parse_args()
    only = tuple(arguments.only) or ("",)
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("Chromium is not on this machine (Debian: apt-get install chromium)")
    arguments.out.mkdir(parents=True, exist_ok=True)
    demo.DEMO.mkdir(exist_ok=True)
    parcels = list(demo.simulated_parcels(demo.simulate()))
    parcels += [parcel for folder in arguments.folders for parcel in demo.folder_parcels(folder.resolve())]
    data = demo.DEMO / "screenshots"
    shutil.rmtree(data, ignore_errors=True)
    http_port, dicom_port = demo.free_port(0), demo.free_port(0)
    environment = os.environ | {
        "HUB_DATA": str(data), "HUB_HTTP_PORT": str(http_port), "HUB_DICOM_PORT": str(dicom_port),
        "HUB_PROVIDERS": str(doors(data)),
    }  # fmt: skip
    settings = read_settings(environment)
    token, answers, password = demo.prepare(settings)
    settings.viewer.symlink_to(demo.VIEWER)  # OHIF is in the pictures where it was installed for the demo
    address = f"http://127.0.0.1:{http_port}"
    with demo.hub(environment, address), sync_playwright() as playwright:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            flagged = demo.send_and_print(parcels, Peer(settings.ae_title, "127.0.0.1", dicom_port), client)
            work(client)
            others = {"Authorization": f"Bearer {answers}"}
            with (
                httpx.Client(base_url=address, headers=others, timeout=30) as receiver,
                other_pacs(demo.DEMO / "other-pacs") as pacs,
            ):
                # of a hospital where the AI only watches no result travels, and the demo waits for one
                here = (RECEIVER, SILENT)
                away = next(each for each in flagged if demo.CALLERS.get(each.calling_ae) not in here)
                hand_off(client, receiver, away.study_instance_uid, pacs, demo.say)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            wrong = []
            for scene in (lambda: list(views(client)), lambda: label(client, settings)):
                wanted = [view for view in scene() if view.name.startswith(only)]
                wrong += pictures(browser, address, wanted, password, arguments.out)
            browser.close()
    demo.say(f"{len(list(arguments.out.glob('*.png')))} pictures in {arguments.out}")
    for each in wrong:
        demo.say(each)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
