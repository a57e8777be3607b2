"""The ministry's files over HTTP: a hospital has its own, and nobody else's."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from service.accounts import Role
from service.audit import AuditEntry
from service.db import now, session_scope
from service.moph.messages import MessageState, messages_of, settle
from service.moph.outbox import Outbox
from service.referrals import Referral
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


def test_keys_go_in_and_never_come_out(engine: Engine, signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    keys = {"api_key": "the-api-key", "secret_key": "the-secret"}
    put = client.put(f"/api/v1/moph/keys/{SMALL}", json=keys)
    assert put.status_code == 200
    listed = client.get("/api/v1/moph/keys")
    assert [each["hospital"] for each in listed.json()] == [SMALL]
    with session_scope(engine, write=False) as session:
        audited = str([entry.detail for entry in session.scalars(select(AuditEntry))])
    assert not any(key in put.text + listed.text + audited for key in keys.values())
    assert client.put("/api/v1/moph/keys/99999", json=keys).status_code == 404
    assert client.put(f"/api/v1/moph/keys/{SMALL}", json={**keys, "api_key": ""}).status_code == 422
    assert client.delete(f"/api/v1/moph/keys/{SMALL}").status_code == 204
    assert client.delete(f"/api/v1/moph/keys/{SMALL}").status_code == 404


def test_a_refused_record_is_told_on_the_referral_and_tried_again(engine: Engine, signed_in: SignIn) -> None:
    admin = signed_in(Role.ADMIN, None)
    admin.put(f"/api/v1/moph/keys/{SMALL}", json={"api_key": "a", "secret_key": "b"})
    with session_scope(engine) as session:
        number = accepted(session).id
    Outbox(engine, lambda *_: None).look()
    with session_scope(engine) as session:
        for each in messages_of(session, session.get_one(Referral, number)):
            settle(each, MessageState.REFUSED, "statusCode 400 no such hospital", now())
    told = signed_in(Role.REFERRER, SMALL).get(f"/api/v1/referrals/{number}").json()["moph_refer"]
    assert [(each["kind"], each["state"]) for each in told] == [
        ("history", "refused"),
        ("investigation", "refused"),
    ]
    assert told[0]["reason"] == "statusCode 400 no such hospital"
    found = admin.get("/api/v1/moph/messages", params={"state": "refused"}).json()
    assert len(found) == 2
    again = admin.post(f"/api/v1/moph/messages/{found[0]['number']}/retry")
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    assert admin.post(f"/api/v1/moph/messages/{found[0]['number']}/retry").status_code == 422
    assert signed_in(Role.SPECIALIST, SAKON).get("/api/v1/moph/messages").json() == []
