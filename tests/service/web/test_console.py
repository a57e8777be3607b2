"""The console: what the administrator sees, and that its two buttons do what they say."""

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role
from service.certificates import init_authority, issue
from service.circuits import note_failure, note_success
from service.db import now, session_scope
from service.hospital_modes import Mode, mode_of
from service.peers import add_peer
from service.reviews import review_finding
from service.settings import Settings
from service.sight import find_study
from service.states import StudyState
from service.studies import begin_analysis, mark_failed
from service.verdicts import Verdict
from tests.service.factories import HN, LOEI, UDON, analysed, registered
from tests.service.web.conftest import Enter


@pytest.fixture(autouse=True)
def studies(engine: Engine) -> None:
    """Two flags at Udon, one of them read and right; a failed study at Loei."""
    with session_scope(engine) as session:
        analysed(session, "1.1", StrokeType.SDH)
        review_finding(session, analysed(session, "1.2", StrokeType.SDH), OPERATOR, Verdict.AGREE)
        failed = registered(session, "1.3", hcode=LOEI)
        begin_analysis(session, failed)
        mark_failed(session, failed, "analyse", "the disk is full")


def row_of(page: str, hcode: str) -> str:
    """The hospital's line of the table."""
    [row] = [each for each in page.split("<tr>") if f"/console/hospitals/{hcode}/mode" in each]
    return row


def test_flags_are_counted_where_there_are_any_and_no_patient_is_named(enter: Enter) -> None:
    page = enter(Role.ADMIN, None).get("/console").text
    assert "1 ครั้งล่าสุดที่มีผู้อ่าน ถูกต้อง 1 ครั้ง" in row_of(page, UDON)
    assert "ไม่มีการแจ้งเตือน" in row_of(page, LOEI)
    assert page.count('/mode"') == 88
    assert HN not in page
    assert "สมหญิง" not in page
    assert len(page) < 150_000


def test_a_hospital_is_silenced_and_heard_again(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    for mode in (Mode.SILENT, Mode.LIVE):
        path = f"/console/hospitals/{UDON}/mode"
        assert admin.post(path, {"mode": mode.value}, page="/console").status_code == 303
        with session_scope(engine, write=False) as session:
            assert mode_of(session, UDON) is mode
        assert "เปลี่ยนแล้ว" in admin.get("/console").text
    assert admin.post(path, {"mode": "loud"}, page="/console").status_code == 422


def test_a_failed_study_is_put_in_line_again(enter: Enter, engine: Engine, app: FastAPI) -> None:
    queue: list[tuple[int, int]] = []
    app.state.enqueue = lambda *study: queue.append(study)
    admin = enter(Role.ADMIN, None)
    assert "หยุดที่ขั้น: analyse" in admin.get("/console").text
    assert admin.post("/console/studies/1.3/again", {}, page="/console").status_code == 303
    with session_scope(engine, write=False) as session:
        study = find_study(session, "1.3", OPERATOR)
        assert (study.state, queue) == (StudyState.READY, [(study.id, study.revision)])
    assert "ไม่มีการตรวจที่ล้มเหลว" in admin.get("/console").text


def test_peers_say_whether_they_answer_and_certificates_when_they_end(
    enter: Enter, engine: Engine, settings: Settings
) -> None:
    with session_scope(engine) as session:
        for name in ("good-pacs", "dead-pacs"):
            add_peer(session, name, ae_title="PACS", host="127.0.0.1", port=104, hcode=UDON)
        note_success(session, "good-pacs", now())
        note_failure(session, "dead-pacs", "connection refused", now())
    init_authority(settings.tls, "IMAGINGHUB")
    issue(settings.tls, "UDON_CT1", UDON, days=7)
    page = enter(Role.ADMIN, None).get("/console").text
    assert "connection refused" in page.split("<b>dead-pacs</b>")[1].split("</tr>")[0]
    assert "ตอบ ล่าสุด" in page.split("<b>good-pacs</b>")[1].split("</tr>")[0]
    assert "<b>UDON_CT1</b> 10671 · หมดอายุ" in page
    (settings.tls / "ca.pem").write_text("torn")
    assert "is no certificate in PEM" in enter(Role.ADMIN, LOEI).get("/console").text


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_nobody_else_gets_in(enter: Enter, role: Role) -> None:
    someone = enter(role)
    assert someone.get("/console").status_code == 403
    path = f"/console/hospitals/{UDON}/mode"
    assert someone.post(path, {"mode": "silent"}).status_code == 403
