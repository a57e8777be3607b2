"""QIDO-RS and WADO-RS: what is found, in which form it is sent, who may see it, and what is refused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sqlalchemy import Engine, select

from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.inbox import Inbox
from service.accounts import Role
from service.audit import AuditEntry
from service.db import session_scope
from service.pathway import admit
from service.settings import Settings
from service.storage import FolderStorage
from tests.pacs import write_slice, write_study
from tests.service.api.conftest import SignIn
from tests.service.described import described_routes
from tests.service.factories import LOEI, UDON

WEB = "/dicomweb"
THAI = "SOMYING^JAIDEE=สมหญิง^ใจดี"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
PARTS = 'multipart/related; type="application/dicom"'


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    yield inbox
    inbox.close()


@pytest.fixture
def take(engine: Engine, settings: Settings, inbox: Inbox) -> Any:
    """Admits files as one hospital's."""
    storage = FolderStorage(settings.storage_folder)

    def take(paths: list[Path], hcode: str = UDON) -> None:
        sender = Sender("CT1", "IMAGINGHUB", "127.0.0.1", hcode)
        association = inbox.open_association(sender)
        for path in paths:
            inbox.add_part10(path, sender, association_id=association)
        inbox.close_association(association, Ending.RELEASED)
        for arrived in inbox.ready_studies(datetime.now(UTC) + timedelta(hours=1)):
            admit(arrived, engine, storage)
            inbox.hand_over(arrived.study_instance_uid, arrived.digest)

    return take


@pytest.fixture
def studies(take: Any, tmp_path: Path) -> None:
    take(
        write_study(
            tmp_path / "a",
            study="1.2.3.1",
            slices=3,
            PatientName=THAI,
            SpecificCharacterSet="ISO_IR 192",
            StudyDate="20261120",
            AccessionNumber="A7",
            StudyTime="061500",
        )
    )
    take(
        write_study(tmp_path / "b", study="1.2.3.2", slices=2, syntax=ImplicitVRLittleEndian, PatientID="HN2")
    )
    take(write_study(tmp_path / "c", study="1.2.3.3", slices=1, PatientID="HN3"), LOEI)


def uids(answer: Any) -> list[str]:
    assert answer.status_code == 200, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/dicom+json"
    return [row["0020000D"]["Value"][0] for row in answer.json()]


def parts(answer: Any) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    boundary = answer.headers["content-type"].rpartition("boundary=")[2]
    pieces = answer.content.split(f"--{boundary}".encode())[1:-1]
    return [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces]


@pytest.mark.usefixtures("studies")
class TestSearch:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["1.2.3.2", "1.2.3.1"]),
            ("StudyInstanceUID=1.2.3.1", ["1.2.3.1"]),
            ("0020000D=1.2.3.1,1.2.3.2", ["1.2.3.2", "1.2.3.1"]),
            ("PatientID=HN2", ["1.2.3.2"]),
            ("PatientID=HN?", ["1.2.3.2", "1.2.3.1"]),
            ("PatientName=somying*", ["1.2.3.1"]),
            ("PatientName=สมหญิง*", ["1.2.3.1"]),
            ("00100010=%E0%B8%AA%E0%B8%A1%E0%B8%AB%E0%B8%8D%E0%B8%B4%E0%B8%87^*", ["1.2.3.1"]),
            ("StudyDate=20261101-20261130", ["1.2.3.1"]),
            ("StudyDate=-20261101", ["1.2.3.2"]),
            ("AccessionNumber=A7", ["1.2.3.1"]),
            ("ModalitiesInStudy=CT&limit=1", ["1.2.3.2"]),
            ("limit=1&offset=1", ["1.2.3.1"]),
        ],
    )
    def test_studies_are_found(self, signed_in: SignIn, query: str, found: list[str]) -> None:
        assert uids(signed_in().get(f"{WEB}/studies?{query}")) == found

    @pytest.mark.parametrize("query", ["PatientID=HN3", "PatientName=%25", "offset=9", "StudyDate=19990101"])
    def test_nothing_found_has_no_content(self, signed_in: SignIn, query: str) -> None:
        answer = signed_in().get(f"{WEB}/studies?{query}")
        assert (answer.status_code, answer.content) == (204, b"")

    @pytest.mark.parametrize("query", ["Nonsense=1", "limit=-1", "limit=x", "StudyDate=yesterday"])
    def test_what_makes_no_sense_is_refused(self, signed_in: SignIn, query: str) -> None:
        assert signed_in().get(f"{WEB}/studies?{query}").status_code == 400

    def test_a_study_is_told_as_repaired_and_whole(self, signed_in: SignIn, studies: None) -> None:
        client = signed_in()
        client.get(f"{WEB}/studies/1.2.3.1/series")  # describes it
        [row] = client.get(f"{WEB}/studies?StudyInstanceUID=1.2.3.1").json()
        assert row["00100010"]["Value"] == [{"Alphabetic": "SOMYING^JAIDEE", "Ideographic": "สมหญิง^ใจดี"}]
        assert (row["00080061"]["Value"], row["00201206"]["Value"], row["00201208"]["Value"]) == (
            ["CT"],
            [1],
            [3],
        )
        assert row["00080030"]["Value"] == ["061500"]
        assert row["00081190"]["Value"] == ["http://testserver/dicomweb/studies/1.2.3.1"]

    def test_time_is_searched_among_what_was_described(self, signed_in: SignIn) -> None:
        client = signed_in()
        client.get(f"{WEB}/studies/1.2.3.1/series")
        assert uids(client.get(f"{WEB}/studies?StudyTime=06-07")) == ["1.2.3.1"]

    def test_more_is_said_to_be_there(self, signed_in: SignIn) -> None:
        answer = signed_in().get(f"{WEB}/studies?limit=1")
        assert answer.headers["warning"] == (
            '299 imaging-hub "There are 1 additional results that can be requested"'
        )
        assert (
            "fuzzymatching"
            in signed_in(Role.ADMIN).get(f"{WEB}/studies?fuzzymatching=true").headers["warning"]
        )

    def test_series_and_instances_are_found(self, signed_in: SignIn) -> None:
        client = signed_in()
        [series] = client.get(f"{WEB}/studies/1.2.3.1/series?Modality=CT").json()
        assert (series["0020000E"]["Value"], series["00201209"]["Value"]) == (["1.2.3.1.1"], [3])
        assert client.get(f"{WEB}/studies/1.2.3.1/series?Modality=MR").status_code == 204
        rows = client.get(f"{WEB}/studies/1.2.3.1/series/1.2.3.1.1/instances?limit=2").json()
        assert [row["00200013"]["Value"] for row in rows] == [[1], [2]]
        assert "00180050" not in rows[0]
        everything = client.get(f"{WEB}/studies/1.2.3.1/instances?includefield=all&InstanceNumber=3").json()
        assert everything[0]["00200032"]["Value"] == [-120.0, -120.0, 15.0]
        assert len(client.get(f"{WEB}/instances?PatientID=HN2").json()) == 2
        assert len(client.get(f"{WEB}/series").json()) == 2

    def test_who_works_without_names_gets_none_and_asks_for_none(self, signed_in: SignIn) -> None:
        client = signed_in(Role.ML, None)
        answer = client.get(f"{WEB}/studies")
        assert len(answer.json()) == 3
        metadata = client.get(f"{WEB}/studies/1.2.3.1/metadata")
        for each in (answer, metadata):
            assert "SOMYING" not in each.text
            assert "HN1" not in each.text
        assert client.get(f"{WEB}/studies?PatientID=HN1").status_code == 403
        assert client.get(f"{WEB}/studies/1.2.3.1").status_code == 403


@pytest.mark.usefixtures("studies")
class TestRetrieve:
    def test_an_instance_comes_as_it_was_stored(self, signed_in: SignIn) -> None:
        path = f"{WEB}/studies/1.2.3.2/series/1.2.3.2.1/instances/1.2.3.2.1.1"
        [stored] = parts(signed_in().get(path, headers={"Accept": STORED}))
        ds = dcmread(BytesIO(stored))
        assert ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert ds.SOPInstanceUID == "1.2.3.2.1.1"

    @pytest.mark.parametrize("accept", [PARTS, "*/*", f'{PARTS}; transfer-syntax="1.2.840.10008.1.2.1"'])
    def test_without_a_syntax_it_comes_explicit(self, signed_in: SignIn, accept: str) -> None:
        contents = parts(signed_in().get(f"{WEB}/studies/1.2.3.2", headers={"Accept": accept}))
        assert len(contents) == 2
        for content in contents:
            ds = dcmread(BytesIO(content))
            assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
            assert (ds.PatientID, ds.pixel_array.shape) == ("HN2", (16, 16))

    def test_a_single_instance_may_come_alone(self, signed_in: SignIn) -> None:
        path = f"{WEB}/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.2"
        answer = signed_in().get(path, headers={"Accept": "application/dicom"})
        assert answer.headers["content-type"] == "application/dicom"
        assert dcmread(BytesIO(answer.content)).InstanceNumber == 2

    @pytest.mark.parametrize(
        ("path", "accept"),
        [
            ("studies/1.2.3.1", "application/dicom"),
            ("studies/1.2.3.1", "text/html"),
            ("studies/1.2.3.1", f'{PARTS}; transfer-syntax="1.2.840.10008.1.2.4.90"'),
            ("studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1/frames/1", "video/mp4"),
            ("studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1/rendered", "image/gif"),
        ],
    )
    def test_what_cannot_be_sent_is_not_acceptable(self, signed_in: SignIn, path: str, accept: str) -> None:
        assert signed_in().get(f"{WEB}/{path}", headers={"Accept": accept}).status_code == 406

    def test_metadata_is_the_headers_without_the_pixels(self, signed_in: SignIn) -> None:
        client = signed_in()
        rows = client.get(f"{WEB}/studies/1.2.3.1/metadata").json()
        assert [row["00200013"]["Value"][0] for row in rows] == [1, 2, 3]
        uri = rows[0]["7FE00010"]["BulkDataURI"]
        [pixels] = parts(client.get(uri))
        assert len(pixels) == 16 * 16 * 2
        one = client.get(f"{WEB}/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.3/metadata").json()
        assert one == [rows[2]]
        assert json.dumps(rows[0]["00083002"]) == '{"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}'

    def test_late_slices_are_described_anew(self, signed_in: SignIn, take: Any, tmp_path: Path) -> None:
        client = signed_in()
        assert len(client.get(f"{WEB}/studies/1.2.3.1/metadata").json()) == 3
        take(write_study(tmp_path / "late", study="1.2.3.1", slices=4, PatientID="HN1"))
        assert len(client.get(f"{WEB}/studies/1.2.3.1/metadata").json()) == 4

    def test_frames_come_by_number(self, signed_in: SignIn) -> None:
        path = f"{WEB}/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1/frames"
        answer = signed_in().get(
            f"{path}/1", headers={"Accept": "multipart/related; type=application/octet-stream"}
        )
        [frame] = parts(answer)
        assert len(frame) == 16 * 16 * 2
        assert signed_in(Role.ADMIN).get(f"{path}/2").status_code == 404

    def test_a_picture_is_drawn_to_size(self, signed_in: SignIn) -> None:
        client = signed_in()
        path = f"{WEB}/studies/1.2.3.1/series/1.2.3.1.1"
        drawn = client.get(
            f"{path}/instances/1.2.3.1.1.1/rendered?window=40,80&viewport=8,8",
            headers={"Accept": "image/png"},
        )
        assert Image.open(BytesIO(drawn.content)).size == (8, 8)
        assert client.get(f"{path}/thumbnail").headers["content-type"] == "image/jpeg"
        assert client.get(f"{path}/instances/1.2.3.1.1.1/rendered?window=x").status_code == 400

    def test_another_hospitals_study_is_not_there(self, signed_in: SignIn) -> None:
        client = signed_in()
        for path in (
            "",
            "/metadata",
            "/series/1.2.3.3.1",
            "/series/1.2.3.3.1/instances/1.2.3.3.1.1/frames/1",
        ):
            assert client.get(f"{WEB}/studies/1.2.3.3{path}").status_code == 404
        assert client.get(f"{WEB}/studies/1.2.3.3/series").status_code == 204

    def test_every_look_is_in_the_audit(self, signed_in: SignIn, engine: Engine) -> None:
        client = signed_in()
        client.get(f"{WEB}/studies/1.2.3.1/metadata")
        client.get(f"{WEB}/studies/1.2.3.1", headers={"Accept": STORED})
        with session_scope(engine, write=False) as session:
            actions = session.scalars(
                select(AuditEntry.action)
                .where(AuditEntry.actor == f"radiologist-{UDON}")
                .order_by(AuditEntry.id)
            ).all()
        assert actions == ["dicomweb.metadata", "dicomweb.retrieve"]


def test_a_file_that_stands_twice_under_one_uid_is_shown_once(
    signed_in: SignIn, take: Any, tmp_path: Path
) -> None:
    take([write_slice(tmp_path, study="1.2.9", number=1, pixel=pixel) for pixel in (1, 2)])
    assert len(signed_in().get(f"{WEB}/studies/1.2.9/metadata").json()) == 1


def test_the_app_still_names_every_route() -> None:
    assert f"{WEB}/studies/{{study}}/series/{{series}}/metadata" in described_routes()
