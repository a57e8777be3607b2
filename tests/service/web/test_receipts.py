"""The receipts page: whole or not and why, the own hospital's machines only, and no patient."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from pacs_gateway.arrivals import Ending
from service.accounts import Role
from service.thai_time import THAILAND
from tests.pacs import write_slice
from tests.service.factories import LOEI, UDON, sender
from tests.service.web.conftest import Enter

WHOLE, BROKEN, ELSEWHERE = "1.2.7.1", "1.2.7.2", "1.2.7.3"


@pytest.fixture(autouse=True)
def sent(app: FastAPI, tmp_path: Path) -> None:
    """A whole study and one without slices 11 and 12 from Udon; one from Loei."""
    inbox = app.state.inbox()
    for study, hcode, gone in ((WHOLE, UDON, ()), (BROKEN, UDON, (11, 12)), (ELSEWHERE, LOEI, ())):
        association = inbox.open_association(sender(hcode))
        for number in set(range(1, 31)) - set(gone):
            path = write_slice(tmp_path / study, study=study, number=number)
            inbox.add_part10(path, sender(hcode), association_id=association)
        inbox.close_association(association, Ending.RELEASED)


@pytest.mark.parametrize("role", [Role.VENDOR, Role.TECHNICIAN])
def test_the_own_hospital_is_told_what_is_whole_and_what_is_missing(enter: Enter, role: Role) -> None:
    page = enter(role).get("/receipts").text
    broken, whole = page.split("<tr>")[2:]  # after the head, the newest first
    assert BROKEN in broken
    assert "ขาดภาพที่ 11-12" in broken
    assert WHOLE in whole
    assert "complete, because 30 slices" in whole
    assert "30 จาก 30" in whole
    assert ELSEWHERE not in page


def test_no_patient_is_named(enter: Enter) -> None:
    page = enter(Role.ADMIN, None).get("/receipts").text
    assert ELSEWHERE in page
    assert "HN1" not in page
    assert "Simulated" not in page


def test_day_and_sender_narrow_and_the_table_is_the_same(enter: Enter) -> None:
    vendor = enter(Role.VENDOR)
    today = datetime.now(THAILAND).date()
    page = vendor.get(f"/receipts?day={today}&sender=UDON_CT1").text
    assert WHOLE in page
    table = page.split('href="/api/v1/receipts.csv')[1].split('"')[0].replace("&amp;", "&")
    assert WHOLE in vendor.get(f"/api/v1/receipts.csv{table}").text
    assert WHOLE not in vendor.get(f"/receipts?day={today - timedelta(days=1)}&sender=").text
    assert WHOLE not in vendor.get("/receipts?day=&sender=NOBODY").text
    assert vendor.get("/receipts?day=yesterday").status_code == 422


def test_a_duplicate_and_a_refused_caller_say_so(enter: Enter, app: FastAPI, tmp_path: Path) -> None:
    inbox = app.state.inbox()
    again = write_slice(tmp_path / WHOLE, study=WHOLE, number=1)
    inbox.add_part10(again, sender(UDON), association_id=inbox.open_association(sender(UDON)))
    inbox.close_association(inbox.open_association(sender(UDON)), Ending.LOST)
    page = enter(Role.VENDOR).get("/receipts").text
    assert "มีอยู่แล้ว 1 ภาพ" in page
    assert "การเชื่อมต่อขาด" in page
    assert "ยังเชื่อมต่ออยู่" in page


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.REFERRER, Role.SPECIALIST, Role.ML])
@pytest.mark.parametrize("path", ["/receipts", "/selftest"])
def test_who_does_not_care_for_machines_is_refused(enter: Enter, role: Role, path: str) -> None:
    someone = enter(role)
    assert someone.get(path).status_code == 403
    assert f'href="{path}"' not in someone.get("/account").text
