"""The self-test page: where to push, and what each push of the own hospital showed."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select

from service.accounts import Role
from service.audit import AuditEntry
from service.db import session_scope
from service.settings import Settings
from tests.pacs import write_slice
from tests.service.factories import LOEI, UDON, sender
from tests.service.web.conftest import Enter


def test_nothing_came_yet_so_it_says_where_to_push(enter: Enter, settings: Settings) -> None:
    page = enter(Role.VENDOR).get("/selftest").text
    for value in ("IMAGINGHUBTEST", "testserver", str(settings.dicom_port)):
        assert f"<code>{value}</code>" in page
    assert "ยังไม่มีการส่งใน 24 ชั่วโมงที่ผ่านมา" in page
    assert 'hx-trigger="every 5s"' in page


@pytest.fixture
def trials(app: FastAPI, tmp_path: Path) -> None:
    for at, hcode in enumerate((UDON, LOEI), start=1):
        app.state.trials().add_part10(write_slice(tmp_path / "in", study=f"1.2.9.{at}"), sender(hcode))


@pytest.mark.usefixtures("trials")
def test_a_vendor_reads_each_check_in_its_language_and_no_patient(enter: Enter) -> None:
    vendor = enter(Role.VENDOR)
    page = vendor.get("/selftest").text
    assert "UDON_CT1 ลงทะเบียนไว้กับโรงพยาบาล 10671" in page
    vendor.client.cookies.set("hub_language", "en")
    page = vendor.get("/selftest").text
    assert "UDON_CT1 is listed for hospital 10671." in page
    assert "1.2.9.1" in page
    assert "1.2.9.2" not in page
    assert "HN1" not in page
    assert "Simulated" not in page


@pytest.mark.usefixtures("trials")
def test_a_person_is_audited_and_the_page_that_refreshes_itself_is_not(enter: Enter, engine: Engine) -> None:
    vendor = enter(Role.VENDOR)
    vendor.get("/selftest")
    assert "1.2.9.1" in vendor.get("/selftest", headers={"X-Hub-Unattended": "1"}).text
    with session_scope(engine, write=False) as session:
        query = select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "selftests.read")
        assert session.scalars(query).one() == 1
