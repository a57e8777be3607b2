"""Priors: found at the PACS of the patient's own hospital, sent here when asked for, and news to nobody."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)
from sqlalchemy import Engine

from pacs_gateway.callers import Callers, Sender
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from service.accounts import OPERATOR, Role
from service.audit import entries_of
from service.db import now, session_scope
from service.pathway import admit
from service.peers import add_peer
from service.priors import lane_of
from service.settings import Settings
from service.sight import find_study
from service.states import Lane
from service.storage import FolderStorage
from tests.pacs import write_study
from tests.service.api.conftest import SignIn
from tests.service.factories import HN, LOEI, UDON, analysed

PRIORS = "/api/v1/studies/1.2.3/priors"
OLD, TODAY = "1.2.9", "1.2.10"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_study(tmp_path / "old", study=OLD, slices=3, PatientID=HN, StudyDate="20240301")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[Listener, Inbox]]:
    inbox = Inbox(tmp_path / "moved", reserve_bytes=0)
    listener = Listener(inbox, Callers(tmp_path / "callers.json"), host="127.0.0.1", port=0, learn=True)
    listener.start()
    yield listener, inbox
    listener.stop()
    inbox.close()


@contextmanager
def archive(files: list[Path], to_port: int = 0) -> Iterator[int]:
    """A PACS with a study of 2024, one of today, one of somebody else, and the study of the hub itself."""

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        today = now().strftime("%Y%m%d")
        for uid, day, patient in (
            ("1.2.3", today, HN),
            (OLD, "20240301", HN),
            (TODAY, today, HN),
            ("1.3", "", "7"),
        ):
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", uid
            answer.StudyDate, answer.PatientID, answer.ModalitiesInStudy = day, patient, "CT"
            answer.StudyDescription, answer.NumberOfStudyRelatedInstances = "CT BRAIN", 3
            yield 0xFF00, answer

    def move(event: evt.Event) -> Iterator[object]:
        if not to_port:
            yield None, None  # A801: it does not know the destination
            return
        yield "127.0.0.1", to_port
        yield len(files)
        for path in files:
            yield 0xFF00, dcmread(path)

    ae = AE(ae_title="UDON_PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    ae.add_requested_context(CTImageStorage)
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()


def source(engine: Engine, port: int, *, hcode: str = UDON) -> None:
    with session_scope(engine) as session:
        analysed(session)
        add_peer(
            session, "pacs", ae_title="UDON_PACS", host="127.0.0.1", port=port, hcode=hcode, roles=["priors"]
        )


def lane(engine: Engine, uid: str, hcode: str = UDON) -> Lane:
    with session_scope(engine, write=False) as session:
        return lane_of(session, hcode, uid)


class TestList:
    def test_the_patients_other_studies_are_listed_and_the_question_is_audited(
        self, engine: Engine, signed_in: SignIn
    ) -> None:
        with archive([]) as port:
            source(engine, port)
            answer = signed_in().get(PRIORS)
        (found,) = answer.json()
        assert (found["peer"], found["error"]) == ("pacs", "")
        assert [(each["study_instance_uid"], each["instances"]) for each in found["studies"]] == [
            (TODAY, 3),
            (OLD, 3),
        ]
        with session_scope(engine, write=False) as session:
            study = find_study(session, "1.2.3", OPERATOR)
            assert [entry.action for entry in entries_of(session, study.id)][-1] == "priors.find"

    def test_another_hospitals_pacs_is_not_asked(self, engine: Engine, signed_in: SignIn) -> None:
        source(engine, 1, hcode=LOEI)
        assert signed_in().get(PRIORS).json() == []

    def test_a_pacs_that_is_away_is_told(self, engine: Engine, signed_in: SignIn) -> None:
        source(engine, 1)
        (found,) = signed_in().get(PRIORS).json()
        assert found["studies"] == []
        assert "cannot be reached" in found["error"]


class TestFetch:
    def test_an_old_study_comes_and_waits_behind_the_living(
        self, engine: Engine, signed_in: SignIn, listener: tuple[Listener, Inbox], files: list[Path]
    ) -> None:
        with archive(files, listener[0].port) as port:
            source(engine, port)
            answer = signed_in().post(PRIORS, json={"peer": "pacs", "study_instance_uid": OLD})
        assert answer.json() == {"completed": 3, "failed": 0, "warned": 0}
        assert sum(receipt.stored for receipt in listener[1].receipts()) == 3
        assert (lane(engine, OLD), lane(engine, OLD, LOEI)) == (Lane.RETROSPECTIVE, Lane.LIVE)

    def test_todays_study_stays_news(
        self, engine: Engine, signed_in: SignIn, listener: tuple[Listener, Inbox], files: list[Path]
    ) -> None:
        with archive(files, listener[0].port) as port:
            source(engine, port)
            signed_in().post(PRIORS, json={"peer": "pacs", "study_instance_uid": TODAY}).raise_for_status()
        assert lane(engine, TODAY) is Lane.LIVE

    @pytest.mark.parametrize("uid", ["1.3", "1.2.3", "9.9"])
    def test_nothing_but_this_patients_other_studies(
        self, engine: Engine, signed_in: SignIn, uid: str
    ) -> None:
        with archive([]) as port:
            source(engine, port)
            answer = signed_in().post(PRIORS, json={"peer": "pacs", "study_instance_uid": uid})
        assert answer.status_code == 404
        assert lane(engine, uid) is Lane.LIVE

    def test_a_source_of_nobody_and_a_role_without_review(self, engine: Engine, signed_in: SignIn) -> None:
        source(engine, 1)
        asked = {"peer": "elsewhere", "study_instance_uid": OLD}
        assert signed_in().post(PRIORS, json=asked).status_code == 404
        assert signed_in(Role.REFERRER).post(PRIORS, json=asked).status_code == 403
        assert signed_in(Role.SPECIALIST).post(PRIORS, json={**asked, "peer": "pacs"}).status_code == 503


def test_a_prior_is_admitted_to_the_line_of_the_archive(
    engine: Engine, settings: Settings, signed_in: SignIn, files: list[Path]
) -> None:
    with archive(files) as port:
        source(engine, port)
        answer = signed_in().post(PRIORS, json={"peer": "pacs", "study_instance_uid": OLD})
    assert (answer.status_code, "A801" in answer.json()["detail"]) == (503, True)
    # somebody tells the PACS who we are, and it sends the study after all
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    for path in files:
        inbox.add_part10(path, Sender("UDON_PACS", "IMAGINGHUB", "127.0.0.1", UDON))
    (arrived,) = inbox.ready_studies(now() + timedelta(minutes=5))
    study = admit(arrived, engine, FolderStorage(settings.storage_folder))
    inbox.close()
    assert (study.lane, study.hcode) == (Lane.RETROSPECTIVE, UDON)
