"""STOW-RS: what is answered is on disk, and every part has its result."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select

from pacs_gateway.arrivals import Ending, Receipt
from service.accounts import Role
from service.audit import AuditEntry
from service.db import session_scope
from service.settings import Settings
from tests.pacs import make_slice, write_slice, write_study
from tests.service.api.conftest import SignIn
from tests.service.factories import UDON

pytestmark = pytest.mark.one_database  # what is received lies in the inbox; its rows are tested with intake

STUDIES = "/dicomweb/studies"
RELATED = 'multipart/related; type="application/dicom"; boundary=XX'


@pytest.fixture
def client(signed_in: SignIn) -> Any:
    return signed_in(Role.TECHNICIAN)


def body_of(contents: Iterable[bytes], kind: str = "application/dicom") -> bytes:
    parts = b"".join(
        b"\r\n--XX\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + content for content in contents
    )
    return parts + b"\r\n--XX--\r\n"


def post(client: Any, contents: Iterable[bytes], *, path: str = STUDIES, related: str = RELATED) -> Any:
    return client.post(path, content=body_of(contents), headers={"Content-Type": related})


def receipt_of(app: FastAPI) -> Receipt:
    [receipt] = app.state.inbox().receipts()
    return receipt


def test_a_study_is_kept_and_every_instance_has_its_address(
    app: FastAPI, client: Any, tmp_path: Path
) -> None:
    paths = write_study(tmp_path / "study", slices=12)
    answer = post(client, [path.read_bytes() for path in paths])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    report = answer.json()
    assert report["00081190"]["Value"] == ["http://testserver/dicomweb/studies/1.2.3.1"]
    items = report["00081199"]["Value"]
    assert [each["00081155"]["Value"] for each in items] == [[f"1.2.3.1.1.{n}"] for n in range(1, 13)]
    assert items[0]["00081190"]["Value"][0].endswith(
        "/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1"
    )
    receipt = receipt_of(app)
    assert (receipt.stored, receipt.refused, receipt.ending) == (12, 0, Ending.RELEASED)
    assert (receipt.sender.hcode, receipt.sender.calling_ae) == (UDON, "technician-10671")


def test_the_bytes_are_kept_as_sent(client: Any, app: FastAPI, settings: Settings) -> None:
    thai = make_slice(PatientName="Simulated")
    thai[0x00100010].value = "สมชาย^ใจดี"
    thai.SpecificCharacterSet = "ISO_IR 166"
    path = settings.data / "thai.dcm"
    thai.save_as(path, enforce_file_format=True)
    assert post(client, [path.read_bytes()]).status_code == 200
    [kept] = [each for each in (settings.inbox / "instances").glob("*/*") if each.is_file()]
    assert "สมชาย^ใจดี".encode("tis-620") in kept.read_bytes()


@pytest.mark.parametrize(
    "related",
    [
        "multipart/related; type=application/dicom; boundary=XX",
        'Multipart/Related; boundary="XX"',
        'multipart/related; boundary=XX; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1',
    ],
)
def test_media_types_are_taken_as_senders_write_them(client: Any, tmp_path: Path, related: str) -> None:
    assert post(client, [write_slice(tmp_path).read_bytes()], related=related).status_code == 200


def test_one_instance_may_come_alone(client: Any, tmp_path: Path) -> None:
    content = write_slice(tmp_path).read_bytes()
    answer = client.post(STUDIES, content=content, headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 200
    assert len(answer.json()["00081199"]["Value"]) == 1


def test_a_duplicate_is_success_and_other_bytes_of_the_same_uid_are_kept_beside(
    app: FastAPI, client: Any, tmp_path: Path
) -> None:
    first, other = write_slice(tmp_path, pixel=0), write_slice(tmp_path, pixel=1)
    assert post(client, [first.read_bytes(), first.read_bytes(), other.read_bytes()]).status_code == 200
    receipt = receipt_of(app)
    assert (receipt.stored, receipt.duplicate, receipt.conflict) == (1, 1, 1)


def test_only_the_study_of_the_address_is_taken(app: FastAPI, client: Any, tmp_path: Path) -> None:
    own, other = write_slice(tmp_path, study="1.2.3.1"), write_slice(tmp_path, study="1.2.3.2")
    answer = post(client, [own.read_bytes(), other.read_bytes()], path=f"{STUDIES}/1.2.3.1")
    assert answer.status_code == 202
    [kept], [failed] = answer.json()["00081199"]["Value"], answer.json()["00081198"]["Value"]
    assert kept["00081155"]["Value"] == ["1.2.3.1.1.1"]
    assert (failed["00081155"]["Value"], failed["00081197"]["Value"]) == (["1.2.3.2.1.1"], [0xC409])
    assert post(client, [other.read_bytes()], path=f"{STUDIES}/1.2.3.1").status_code == 409
    assert {each.study_instance_uid: each.stored for each in app.state.inbox().receipts()}["1.2.3.2"] == 0


def test_what_is_no_dicom_is_told_apart_from_what_is(client: Any, tmp_path: Path) -> None:
    whole = write_slice(tmp_path).read_bytes()
    answer = post(client, [b"hello", whole, whole[:-40], b""])
    assert answer.status_code == 202
    report = answer.json()
    assert len(report["00081199"]["Value"]) == 1
    [cut_off] = report["00081198"]["Value"]
    assert (cut_off["00081155"]["Value"], cut_off["00081197"]["Value"]) == (["1.2.3.1.1.1"], [0xC000])
    assert [each["00081197"]["Value"] for each in report["0008119A"]["Value"]] == [[0xC000], [0xC000]]


def test_a_class_that_is_not_stored_is_refused(client: Any, tmp_path: Path) -> None:
    ds = make_slice(SOPClassUID="1.2.840.10008.1.1")
    ds.save_as(tmp_path / "echo.dcm", enforce_file_format=True)
    answer = post(client, [(tmp_path / "echo.dcm").read_bytes()])
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0122]


def test_a_stale_meta_group_does_no_harm(client: Any, tmp_path: Path) -> None:
    ds = make_slice()
    ds.file_meta.MediaStorageSOPInstanceUID = "9.9.9"
    ds.save_as(tmp_path / "stale.dcm", enforce_file_format=False)
    answer = post(client, [(tmp_path / "stale.dcm").read_bytes()])
    assert answer.status_code == 200
    assert answer.json()["00081199"]["Value"][0]["00081155"]["Value"] == ["1.2.3.1.1.1"]


@pytest.mark.parametrize(
    ("kind", "content", "status", "word"),
    [
        ("application/json", b"{}", 415, "application/json"),
        ('multipart/related; type="application/dicom+xml"; boundary=XX', b"", 415, "in XML"),
        ("", b"x", 415, "none"),
        ("multipart/related; type=application/dicom", b"x", 400, "boundary"),
        (RELATED, b"", 400, "closing"),
        (RELATED, b"--XX\r\n\r\nhalf", 400, "closing"),
        (f"{RELATED}{'X' * 200}", b"", 400, "1 to 200"),
    ],
)
def test_a_body_that_cannot_be_taken_says_why(
    client: Any, kind: str, content: bytes, status: int, word: str
) -> None:
    answer = client.post(STUDIES, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.json()["detail"]


def test_a_body_without_parts_stores_nothing(client: Any) -> None:
    assert post(client, []).status_code == 400


def test_parts_of_another_type_are_not_taken(client: Any) -> None:
    answer = client.post(STUDIES, content=body_of([b"<p/>"], "text/html"), headers={"Content-Type": RELATED})
    assert answer.status_code == 415


def test_what_came_whole_before_the_body_broke_off_is_kept(client: Any, tmp_path: Path) -> None:
    one, two = (write_slice(tmp_path, number=n).read_bytes() for n in (1, 2))
    broken = body_of([one, two])[:-200]
    answer = client.post(STUDIES, content=broken, headers={"Content-Type": RELATED})
    assert answer.status_code == 202
    assert [each["00081155"]["Value"] for each in answer.json()["00081199"]["Value"]] == [["1.2.3.1.1.1"]]


def test_too_large_and_no_room_are_told_apart(
    app: FastAPI, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_slice(tmp_path, side=128).read_bytes()
    spool = app.state.inbox()._spool
    monkeypatch.setattr(spool, "instance_limit", 1000)
    assert post(client, [content]).status_code == 413
    monkeypatch.setattr(spool, "reserve_bytes", 1 << 60)
    answer = post(client, [content])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]


def test_an_answer_in_xml_cannot_be_had(client: Any) -> None:
    headers = {"Content-Type": RELATED, "Accept": "application/dicom+xml"}
    assert client.post(STUDIES, content=b"", headers=headers).status_code == 406


@pytest.mark.parametrize(
    ("role", "hcode", "status"),
    [
        (Role.VENDOR, UDON, 200),
        (Role.ADMIN, UDON, 200),
        (Role.ADMIN, None, 403),
        (Role.RADIOLOGIST, UDON, 403),
    ],
)
def test_only_accounts_that_speak_for_a_hospital_may_send(
    signed_in: SignIn, tmp_path: Path, role: Role, hcode: str | None, status: int
) -> None:
    answer = post(signed_in(role, hcode), [write_slice(tmp_path).read_bytes()])
    assert answer.status_code == status


def test_sending_is_in_the_audit_without_a_patient(client: Any, engine: Engine, tmp_path: Path) -> None:
    post(client, [write_slice(tmp_path).read_bytes(), b"no"])
    with session_scope(engine, write=False) as session:
        [row] = session.scalars(select(AuditEntry).where(AuditEntry.action == "instances.store"))
        assert row.detail == {"kept": 1, "refused": 1}
