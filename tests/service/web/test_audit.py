"""The page of the audit: searched by a form, paged, taken as a table, its seals checked."""

import csv
import io

import pytest
from sqlalchemy import Engine, text

from service import audit
from service.accounts import Role
from service.db import session_scope
from tests.service.factories import HN, NAME, UDON, registered
from tests.service.web.conftest import Enter

pytestmark = pytest.mark.one_database

PAGE = "/console/audit"


@pytest.fixture(autouse=True)
def entries(engine: Engine) -> None:
    with session_scope(engine) as session:
        registered(session, "1.1")
        for _ in range(150):
            audit.record(session, "nurse", "study.read", study_id=1)
        audit.record(session, "=cmd", "clock.read", detail={"hospital": UDON})


def test_a_patient_is_looked_for_in_a_form_and_never_named(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    assert "=cmd" in admin.get(PAGE).text
    page = admin.post(PAGE, {"hn": HN, "hospital": UDON}, page=PAGE).text
    assert page.count("<b>nurse</b>") == 100
    assert f'name="hn" value="{HN}"' in page  # in the form that asks for older ones, in no address
    assert f"hn={HN}" not in page
    assert not any(part in page for part in NAME.split("^"))
    with session_scope(engine, write=False) as session:
        newest = audit.search(session, limit=1)[0]
    assert (newest.action, newest.detail["by"], newest.detail["studies"]) == (
        "audit.read",
        "hcode,patient",
        [1],
    )
    before = page.split('name="before" value="')[1].split('"')[0]
    older = admin.post(PAGE, {"hn": HN, "before": before}, page=PAGE).text
    assert older.count("<b>nurse</b>") in (50, 51)
    assert "ไม่พบรายการ" in admin.post(PAGE, {"hn": "nobody"}, page=PAGE).text
    assert admin.post(PAGE, {"hospital": "99999"}, page=PAGE).status_code == 404


def test_the_table_holds_no_formula_and_the_seals_are_checked(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    answer = admin.post(f"{PAGE}/table", {"what": "clock"}, page=PAGE)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["actor"], row["action"]) for row in rows] == [("'=cmd", "clock.read")]
    assert answer.headers["content-disposition"].endswith('"audit.csv"')
    assert "ครบถ้วน" in admin.post(f"{PAGE}/check", {}, page=PAGE).text
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER IF EXISTS audit_entries_no_update"))
        connection.execute(text("UPDATE audit_entries SET actor = 'somebody' WHERE id = 7"))
    assert "รายการที่ 7 ไม่ต่อเนื่อง" in admin.post(f"{PAGE}/check", {}, page=PAGE).text
