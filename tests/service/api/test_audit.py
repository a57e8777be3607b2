"""The audit over HTTP and by hand: who saw a patient, and whether the record is whole."""

import pytest
from sqlalchemy import Engine, text

from service.accounts import Role
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.factories import UDON, analysed

AUDIT = "/api/v1/audit"


@pytest.fixture
def seen(engine: Engine, signed_in: SignIn) -> None:
    with session_scope(engine) as session:
        analysed(session)
    signed_in(Role.RADIOLOGIST, UDON).get("/api/v1/studies/1.2.3")


@pytest.mark.usefixtures("seen")
def test_who_saw_a_patient_is_found_by_study_and_by_person(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    found = client.get(AUDIT, params={"study": "1.2.3"}).json()["entries"]
    assert f"radiologist-{UDON}" in [each["actor"] for each in found]
    mine = client.get(AUDIT, params={"actor": f"radiologist-{UDON}"}).json()["entries"]
    assert {each["actor"] for each in mine} == {f"radiologist-{UDON}"}
    assert client.get(AUDIT, params={"actor": "nobody"}).json()["entries"] == []
    assert client.get(AUDIT, params={"since": "2100-01-01T00:00:00Z"}).json()["entries"] == []
    newest = client.get(AUDIT, params={"limit": 1}).json()["entries"][0]
    assert newest["action"] == "audit.read"  # looking is on record too
    older = client.get(AUDIT, params={"before": newest["number"], "limit": 1}).json()["entries"][0]
    assert older["number"] == newest["number"] - 1


@pytest.mark.usefixtures("seen")
def test_a_changed_entry_is_shown(engine: Engine, signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    assert client.get(f"{AUDIT}/chain").json()["broken_at"] is None
    with engine.begin() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("the guard is taken off in SQLite's way")
        for (name,) in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entries'")
        ).fetchall():
            connection.execute(text(f'DROP TRIGGER "{name}"'))
        connection.execute(text("UPDATE audit_entries SET actor = 'nobody' WHERE id = 1"))
    assert client.get(f"{AUDIT}/chain").json()["broken_at"] == 1
