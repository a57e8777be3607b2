"""The ministry's files over HTTP: a hospital has its own, and nobody else's."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from service.accounts import Role
from service.audit import AuditEntry
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.factories import HN, NAME
from tests.service.referring import SAKON, SMALL, accepted

DAY = timedelta(days=1)


def test_the_files_over_http_are_audited_and_their_name_is_nobodys(engine: Engine, signed_in: SignIn) -> None:
    with session_scope(engine) as session:
        number = accepted(session).id
    today = datetime.now(UTC).date()
    days = {"since": str(today - DAY), "until": str(today + DAY)}
    client = signed_in(Role.REFERRER, SMALL)
    answer = client.get(f"/api/v1/hospitals/{SMALL}/43-files.zip", params=days)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert HN in archive.read("REFER_HISTORY.txt").decode()
        assert archive.read("REFER_RESULT.txt").decode().count("\r\n") == 1
    assert not any(word in answer.headers["content-disposition"] for word in (*NAME.split("^"), HN))
    one = client.get(f"/api/v1/referrals/{number}/43-files.zip")
    assert one.status_code == 200
    other = signed_in(Role.REFERRER, SAKON)
    assert other.get(f"/api/v1/hospitals/{SMALL}/43-files.zip", params=days).status_code == 404
    assert other.get(f"/api/v1/referrals/{number}/43-files.zip").status_code == 404
    wrong = client.get(f"/api/v1/hospitals/{SMALL}/43-files.zip", params={**days, "since": "2020-01-01"})
    assert wrong.status_code == 422
    with session_scope(engine, write=False) as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "moph.export")).all()
    assert len(entries) == 2
