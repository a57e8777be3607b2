"""One night, whole: from a CT in a 30-bed hospital to the reply letter of the hospital that operated.

Real sockets, a real browser at a phone's width for the doctor, and an Orthanc as the receiving hospital's
PACS. Only time is moved: what waits for minutes is set back in the rows.
"""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from model.phantom import Lesion, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from pacs_gateway.headers import read_header
from service.accounts import OPERATOR
from service.alert_states import AlertState
from service.alerts import Alert
from service.contacts import Way, add_contact
from service.db import now, session_scope
from service.roles import Role
from service.sight import find_study
from tests.hub import running_hub, until
from tests.orthanc import Orthanc
from tests.service.factories import UDON
from tests.service.referring import SAKON, SMALL
from tests.service.web.days import House, chromium

HERE_HN = "UD-77/69"
PICTURES = os.environ.get("HUB_TEST_PICTURES")
"""A folder for pictures of the night's pages, for people who want to look."""


class Pager:
    """A hospital's own alarm server: keeps what it is told by webhook."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        pager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pager.told.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/alarm"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def pager() -> Iterator[Pager]:
    made = Pager()
    yield made
    made.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with (
        chromium() as browser,
        running_hub(tmp_path / "hub", callers=(("SMALL_CT", SMALL), ("ORTHANC", UDON))) as hub,
    ):
        made = House(hub, browser)
        yield made
        made.close()


@pytest.fixture
def pacs(house: House, tmp_path: Path) -> Iterator[Orthanc]:
    orthanc = Orthanc(
        tmp_path / "pacs", DicomModalities={"hub": ["IMAGINGHUB", "127.0.0.1", house.hub.dicom_port]}
    )
    orthanc.start()
    at = f"ORTHANC@127.0.0.1:{orthanc.port}"
    house.hub.hub(
        "peer", "add", "udon-pacs", at, "--hospital", UDON, "--object", "sr", "--role", "destination"
    )
    yield orthanc
    orthanc.close()


def look(page: Page, name: str) -> None:
    """Keep a picture, where somebody wants to look; no page of a phone is ever wider than the phone."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"night-{name}.png", full_page=True)
    width = page.viewport_size
    assert width is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], name


def scan(house: House, folder: Path) -> tuple[str, int]:
    """A CT of a patient with a bleed, sent by storescu; its UID and how many images it has."""
    phantom = simulate_head(
        31, lesions=(Lesion("iph", 2.0, "right", "putamen"),), side=192, slices=14, spacing_mm=10.0
    )
    paths = write_series(phantom, folder, dialect=DIALECTS[0], patient=draw_patient(31, age=66.0))
    house.hub.storescu(paths, calling="SMALL_CT")
    uid = read_header(paths[0]).study_instance_uid
    assert house.hub.result(uid)["state"] == "flagged"
    return uid, len(paths)


def alert(house: House, kind: str) -> dict[str, Any]:
    """The newest alert of a kind, once it is there."""

    def found() -> dict[str, Any] | None:
        rows = house.hub.get("/api/v1/alerts")["alerts"]
        return next((each for each in rows if each["kind"] == kind), None)

    return until(found, seconds=60, hint=f"an alert {kind}") or {}


def minutes_pass(house: House, number: int, minutes: int) -> None:
    """Set an alert back, as if so many minutes had gone by without an answer."""
    with session_scope(house.engine) as session:
        row = session.get_one(Alert, number)
        assert row.state is AlertState.RINGING
        row.raised_at -= timedelta(minutes=minutes)
        row.next_at = now()


def test_a_whole_night(house: House, pacs: Orthanc, tmp_path: Path) -> None:
    hub = house.hub
    with pager() as small, pager() as provincial:
        with session_scope(house.engine) as session:
            for hcode, at in ((SMALL, small), (UDON, provincial)):
                add_contact(session, OPERATOR, Way.WEBHOOK, at.address, hcode=hcode)
        uid, images = scan(house, tmp_path / "ct")

        # the flag rings; nobody answers, and the hub hospital hears of it
        flag = alert(house, "flag")
        until(lambda: small.told, seconds=60, hint="the first hop")
        minutes_pass(house, flag["id"], 11)
        until(lambda: provincial.told, seconds=60, hint="the hub hospital's hop")
        with session_scope(house.engine, write=False) as session:
            study = find_study(session, uid, OPERATOR)
            secrets = (study.patient_id, *study.patient_name.replace("=", "^").split("^"))
        said = json.dumps([*small.told, *provincial.told], ensure_ascii=False)
        assert flag["case"] in said
        assert not [each for each in secrets if each and each in said]

    # the doctor on a phone answers the alert and asks the stroke specialist
    doctor = house.enter(Role.REFERRER, SMALL, phone=True)
    hub.client.post(f"/api/v1/alerts/{flag['id']}/acknowledge").raise_for_status()
    doctor.goto(f"/studies/{uid}")
    look(doctor, "1-study")
    form = doctor.request.post(f"/studies/{uid}/times", form=marked(doctor) | door(uid, house))
    assert form.status == 200
    doctor.goto(f"/studies/{uid}/consult")
    doctor.select_option("select[name=to]", UDON)
    doctor.fill("textarea[name=question]", "thrombolysis or transfer?")
    doctor.fill("input[name=nihss]", "14")
    look(doctor, "2-ask")
    doctor.click("form[action$='/consult'] button.primary")
    doctor.wait_for_url("**/consults/*")
    specialist = house.enter(Role.SPECIALIST, UDON)
    specialist.goto("/consults")
    specialist.click("table.list a")
    specialist.click("form[action$='/accept'] button")
    specialist.check("input[name=thrombolysis][value=no]")
    specialist.check("input[name=transfer][value=true]")
    specialist.fill("form[action$='/answer'] textarea[name=text]", "a haematoma: refer for surgery")
    specialist.click("form[action$='/answer'] button.primary")
    doctor.reload()
    expect(doctor.locator("main")).to_contain_text("a haematoma: refer for surgery")
    look(doctor, "3-advice")

    # the first hospital has no bed, the next takes the patient under its own number
    doctor.goto(f"/studies/{uid}/refer")
    look(doctor, "4-refer")
    choose(doctor, SAKON)
    doctor.fill("input[name=diagnosis]", "ICH, right putamen")
    doctor.fill("textarea[name=request_text]", "surgery")
    doctor.fill("input[name=doctor]", "Dr. Night")
    doctor.click("form[action$='/refer'] button.primary")
    doctor.wait_for_url("**/referrals/*")
    full = house.enter(Role.SPECIALIST, SAKON)
    full.goto("/referrals")
    full.click("a[href^='/referrals/']")
    full.click("details:has(form[action$='/reject']) summary")
    full.select_option("form[action$='/reject'] select[name=reason]", "no_bed")
    full.click("form[action$='/reject'] button")
    expect(full.locator("main")).not_to_contain_text(secrets[0])
    doctor.reload()
    look(doctor, "5-rejected")
    doctor.click(f"form[action$='/next']:has(input[value='{UDON}']) button")
    expect(doctor.locator("main")).not_to_contain_text("no_bed")
    specialist.goto("/referrals")
    look(specialist, "6-board")
    specialist.click("a[href^='/referrals/']")
    specialist.fill("form[action$='/accept'] input[name=hn]", HERE_HN)
    specialist.click("form[action$='/accept'] button.primary")

    # images, result and letter lie in the receiving hospital's PACS
    until(lambda: len(pacs.instances()) >= images + 2, seconds=90, hint="images, SR and letter in the PACS")
    patients = pacs.rest.get("/patients?expand").json()
    assert [each["MainDicomTags"]["PatientID"] for each in patients] == [HERE_HN]
    kinds = {each["MainDicomTags"]["Modality"] for each in pacs.rest.get("/series?expand").json()}
    assert {"CT", "SR", "DOC"} <= kinds

    # on the road, there, and the reply
    doctor.reload()
    doctor.click("form[action$='/depart'] button")
    specialist.reload()
    specialist.click("form[action$='/arrive'] button")
    specialist.fill("form[action$='/complete'] textarea", "operated, awake")
    specialist.click("form[action$='/complete'] button.primary")
    doctor.reload()
    expect(doctor.locator("main")).to_contain_text("operated, awake")
    look(doctor, "7-reply")

    # and the clock has run all the while
    line = hub.get(f"/api/v1/studies/{uid}/timeline")
    known = [each["milestone"] for each in line["moments"]]
    for milestone in (
        "scan",
        "result",
        "alert",
        "alert_answered",
        "consult_asked",
        "consult_answered",
        "referral_requested",
        "referral_accepted",
        "departed",
        "arrived",
        "completed",
    ):
        assert milestone in known
    spans = {each["interval"]: each for each in line["intervals"]}
    assert 30 <= spans["door_in_door_out"]["minutes"] < 60
    doctor.goto("/clock")
    look(doctor, "8-clock")
    expect(doctor.locator("svg.months").first).to_be_visible()
    with session_scope(house.engine, write=False) as session:
        rows = session.scalars(select(Alert).where(Alert.kind == "referral_requested")).all()
        assert {each.hcode for each in rows} == {SAKON, UDON}


def marked(page: Page) -> dict[str, str]:
    """The mark of the page's forms."""
    return {"csrf_token": page.locator("input[name=csrf_token]").first.input_value()}


def door(uid: str, house: House) -> dict[str, str]:
    """The patient came half an hour before the images."""
    with session_scope(house.engine, write=False) as session:
        at = find_study(session, uid, OPERATOR).first_received_at - timedelta(minutes=30)
    local = at + timedelta(hours=7)
    return {"milestone": "door", "day": f"{local:%Y-%m-%d}", "clock": f"{local:%H:%M}"}


def choose(page: Page, hcode: str) -> None:
    """A hospital among those offered, or further down."""
    offered = page.locator(f"input[name=to][value='{hcode}']")
    if offered.count():
        offered.check()
    else:
        page.select_option("select[name=other]", hcode)
