"""Uploads: their rows, their bytes on disk, and every file in them with its verdict."""

import hashlib
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pacs_gateway.arrivals import StudyProgress
from pacs_gateway.inbox import Inbox
from service.accounts import Role, Viewer
from service.arrivals import PORTAL
from service.db import now, session_scope
from service.errors import (
    BadRequest,
    Busy,
    ChecksumMismatch,
    DiskFull,
    NotAllowed,
    NotFound,
    OffsetMismatch,
    TooLarge,
)
from service.failures import Failure
from service.pathway import admit
from service.settings import Settings
from service.states import Lane
from service.storage import FolderStorage
from service.studies import note_receiving
from service.unpacking import Unpacking
from service.upload_files import UploadFiles
from service.uploads import (
    LARGEST,
    Upload,
    UploadState,
    begin_upload,
    end_upload,
    expired_uploads,
    files_of,
    find_upload,
    list_uploads,
    note_whole,
    remove_upload,
    waiting_uploads,
)
from tests.pacs import write_slice, write_study
from tests.service.factories import LOEI, UDON

TECHNICIAN = Viewer("technician", Role.TECHNICIAN, UDON)


@pytest.fixture
def files(settings: Settings) -> UploadFiles:
    return UploadFiles(settings.data, reserve_bytes=0)


@pytest.fixture
def inbox(settings: Settings) -> Inbox:
    return Inbox(settings.inbox, reserve_bytes=0)


@pytest.fixture
def bring(engine: Engine, files: UploadFiles) -> Callable[[Path], int]:
    """Uploads a file whole; its number."""

    def bring(path: Path) -> int:
        content = path.read_bytes()
        with session_scope(engine) as session:
            upload = begin_upload(session, TECHNICIAN, name=path.name, size=len(content))
            token, number = upload.token, upload.id
        files.begin(token, len(content))
        with files.appending(token, 0, len(content)) as taken:
            taken.write(content)
        with session_scope(engine) as session:
            note_whole(session, number)
        return number

    return bring


@pytest.fixture
def unpacking(engine: Engine, files: UploadFiles, inbox: Inbox) -> Unpacking:
    return Unpacking(engine, lambda: inbox, files, ae_title="IMAGINGHUB")


def verdicts(engine: Engine, number: int) -> dict[str, tuple[str, str]]:
    with session_scope(engine, write=False) as session:
        found = files_of(session, session.get_one(Upload, number))
        return {each.name: (each.verdict.value, each.reason) for each in found}


class TestBytes:
    def test_what_came_before_the_line_broke_stays_and_the_rest_follows(self, files: UploadFiles) -> None:
        files.begin("a", 10)

        def break_off() -> None:
            with files.appending("a", 0, 10) as taken:
                taken.write(b"0123")
                raise ConnectionError

        with pytest.raises(ConnectionError):
            break_off()
        assert files.offset("a") == 4
        with files.appending("a", 4, 10) as taken:
            taken.write(b"456789")
        assert files.path("a").read_bytes() == b"0123456789"

    def test_another_offset_and_too_many_bytes_are_refused(self, files: UploadFiles) -> None:
        files.begin("a", 4)
        with pytest.raises(OffsetMismatch, match="0 bytes are here, not 2"), files.appending("a", 2, 4):
            pass
        with pytest.raises(TooLarge, match="4 bytes"), files.appending("a", 0, 4) as taken:
            taken.write(b"12345")
        assert files.offset("a") == 0

    def test_wrong_bytes_do_not_stay(self, files: UploadFiles) -> None:
        files.begin("a", 4)
        right = hashlib.sha256(b"1234").digest()
        with pytest.raises(ChecksumMismatch), files.appending("a", 0, 4, sha256=right) as taken:
            taken.write(b"1235")
        assert files.offset("a") == 0
        with files.appending("a", 0, 4, sha256=right) as taken:
            taken.write(b"1234")
        assert files.offset("a") == 4

    def test_two_at_once_do_not_mix(self, files: UploadFiles) -> None:
        files.begin("a", 4)
        refused: list[Exception] = []

        def other() -> None:
            try:
                with files.appending("a", 0, 4):
                    pass
            except Busy as error:
                refused.append(error)

        with files.appending("a", 0, 4) as taken:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            taken.write(b"1234")
        assert len(refused) == 1

    def test_no_room_is_said_before_a_byte_comes(self, settings: Settings) -> None:
        with pytest.raises(DiskFull, match="room for 0 bytes"):
            UploadFiles(settings.data, reserve_bytes=10**18).begin("a", 1)

    def test_bytes_that_are_gone_are_named(self, files: UploadFiles) -> None:
        with pytest.raises(NotFound, match="gone"), files.appending("b", 0, 1):
            pass


class TestRows:
    def test_only_a_hospitals_people_bring_and_see(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            token = begin_upload(session, TECHNICIAN, name="a.zip", size=5).token
        with session_scope(engine) as session:
            assert find_upload(session, TECHNICIAN, token).size == 5
            other = Viewer("other", Role.TECHNICIAN, LOEI)
            with pytest.raises(NotFound):
                find_upload(session, other, token)
            assert list_uploads(session, other) == []
            with pytest.raises(NotAllowed):
                begin_upload(session, Viewer("nowhere", Role.ADMIN, None), name="a", size=1)

    @pytest.mark.parametrize(("name", "size"), [("", 1), ("a", 0), ("a" * 1001, 1)])
    def test_a_file_has_a_name_and_bytes(self, engine: Engine, name: str, size: int) -> None:
        with session_scope(engine) as session, pytest.raises(BadRequest):
            begin_upload(session, TECHNICIAN, name=name, size=size)

    def test_the_largest_is_named(self, engine: Engine) -> None:
        with session_scope(engine) as session, pytest.raises(TooLarge, match=str(LARGEST)):
            begin_upload(session, TECHNICIAN, name="a", size=LARGEST + 1)

    def test_given_up_only_before_it_is_whole(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            upload = begin_upload(session, TECHNICIAN, name="a.zip", size=5)
            upload.created_at = now() - timedelta(days=8)
            session.flush()
            assert [each.id for each in expired_uploads(session)] == [upload.id]
            note_whole(session, upload.id)
            assert expired_uploads(session) == []
            assert waiting_uploads(session) == [upload.id]
            with pytest.raises(BadRequest):
                remove_upload(session, TECHNICIAN, upload)
            end_upload(session, upload.id, [])
            note_whole(session, upload.id)  # a late note opens nothing again
            assert upload.state is UploadState.DONE


class TestUnpacking:
    def test_a_zip_of_two_studies_and_what_does_not_belong(
        self,
        bring: Callable[[Path], int],
        unpacking: Unpacking,
        engine: Engine,
        inbox: Inbox,
        settings: Settings,
        tmp_path: Path,
    ) -> None:
        good = [
            *write_study(tmp_path / "a", study="1.2.3", slices=2),
            write_slice(tmp_path / "b", study="1.2.4"),
        ]
        cut = write_slice(tmp_path / "c", study="1.2.5").read_bytes()[:-40]
        packed = tmp_path / "cases.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, path in enumerate(good):
                archive.write(path, f"case/{number}")
            archive.write(good[0], "again")
            archive.writestr("cut.dcm", cut)
            archive.writestr("Thumbs.db", b"not an image")
            archive.writestr("empty", b"")
            archive.writestr("DICOMDIR", b"")
            archive.writestr("more.zip", b"PK")
            archive.writestr("bomb.dcm", bytes(1_000_000))
        number = bring(packed)
        unpacking.unpack({"upload": number})
        found = verdicts(engine, number)
        assert {name for name, (verdict, _) in found.items() if verdict == "stored"} == {
            "case/0",
            "case/1",
            "case/2",
        }
        assert found["again"][0] == "duplicate"
        reasons = {name: reason for name, (verdict, reason) in found.items() if verdict == "refused"}
        assert reasons.keys() == {"cut.dcm", "Thumbs.db", "empty", "DICOMDIR", "more.zip", "bomb.dcm"}
        assert all(reasons.values())
        assert "grow" in reasons["bomb.dcm"]
        with session_scope(engine, write=False) as session:
            upload = session.get_one(Upload, number)
            assert (upload.state, upload.kept, upload.refused) == (UploadState.DONE, 4, 6)
            assert not UploadFiles(settings.data, reserve_bytes=0).path(upload.token).exists()
        arrived = inbox.ready_studies(now() + timedelta(hours=1))
        assert {each.study_instance_uid for each in arrived} == {"1.2.3", "1.2.4"}
        assert {each.calling_ae for study in arrived for each in study.senders} == {PORTAL}
        shown = StudyProgress(arrived[0].study_instance_uid, arrived[0].senders, 1, 1, now(), now())
        with session_scope(engine) as session:
            assert note_receiving(session, shown).lane is Lane.RETROSPECTIVE
        study = admit(arrived[0], engine, FolderStorage(settings.storage_folder))
        assert (study.lane, study.hcode) == (Lane.RETROSPECTIVE, UDON)

    def test_a_hundred_bad_files_have_a_hundred_reasons(
        self, bring: Callable[[Path], int], unpacking: Unpacking, engine: Engine, tmp_path: Path
    ) -> None:
        packed = tmp_path / "bad.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for number in range(100):
                archive.writestr(f"{number}.dcm", b"x" * number)
        number = bring(packed)
        unpacking.unpack({"upload": number})
        found = verdicts(engine, number)
        assert len(found) == 100
        assert all(verdict == "refused" and reason for verdict, reason in found.values())

    def test_a_single_image_and_a_damaged_zip(
        self, bring: Callable[[Path], int], unpacking: Unpacking, engine: Engine, tmp_path: Path
    ) -> None:
        image = write_slice(tmp_path, study="1.2.6")
        single = bring(image)
        unpacking.unpack({"upload": single})
        assert verdicts(engine, single) == {image.name: ("stored", "")}
        packed = tmp_path / "a.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(image, "image")
        content = bytearray(packed.read_bytes())
        content[200] ^= 0xFF
        packed.write_bytes(bytes(content))
        damaged = bring(packed)
        unpacking.unpack({"upload": damaged})
        [(verdict, reason)] = verdicts(engine, damaged).values()
        assert (verdict, reason.partition(":")[0]) == ("refused", "damaged or locked in the zip")

    def test_once_is_enough_and_a_failure_is_told(
        self, bring: Callable[[Path], int], unpacking: Unpacking, engine: Engine, tmp_path: Path
    ) -> None:
        number = bring(write_slice(tmp_path, study="1.2.7"))
        failure = Failure("unpack:1", "unpack", {"upload": number}, "unpack", "disk gone", now(), False)
        unpacking.give_up(failure)
        with session_scope(engine, write=False) as session:
            upload = session.get_one(Upload, number)
            assert (upload.state, upload.reason) == (UploadState.FAILED, "unpack: disk gone")
        unpacking.unpack({"upload": number})  # somebody pressed "try again"
        unpacking.unpack({"upload": number})
        assert [verdict for verdict, _ in verdicts(engine, number).values()] == ["stored"]
