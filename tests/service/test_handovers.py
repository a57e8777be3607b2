"""Handover: what is put in line for whom under which number, corrected numbers, silence, lost files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service import audit, deliveries
from service.accounts import OPERATOR, Viewer
from service.db import session_scope
from service.deliveries import Delivery, DeliveryState, Purpose
from service.errors import HandoverUnderWay, NotAllowed, NotReady
from service.handover_orders import order_handover
from service.handovers import Handover, waiting_handovers
from service.hospital_modes import Mode, switch_mode
from service.peers import Peer, add_peer
from service.referral_steps import accept_referral, identify_patient
from service.referrals import Referral
from service.result_objects import ResultObject
from service.series import series_of
from service.storage import FolderStorage
from service.studies import Study
from tests.pacs import make_slice
from tests.service.factories import HN, UDON
from tests.service.referring import RECEIVER, SENDER, SMALL, STRANGER, requested, small_study

Hand = Callable[[], list[Delivery]]


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def number(engine: Engine, storage: FolderStorage, tmp_path: Path) -> int:
    """An accepted referral of a study of three images and one report, for a hospital with a PACS."""
    with session_scope(engine) as session:
        study = small_study(session)
        (series,) = series_of(session, study.id)
        series.instances = [_stored(storage, tmp_path, row) for row in series.instances]
        _report(session, storage, tmp_path, study)
        add_peer(session, "udon-pacs", ae_title="PACS", host="127.0.0.1", port=104, hcode=UDON)
        add_peer(session, "small-pacs", ae_title="PACS", host="127.0.0.1", port=104, hcode=SMALL)
        referral = requested(session, study)
        accept_referral(session, referral, RECEIVER, version=None)
        return referral.id


@pytest.fixture
def hand(engine: Engine, storage: FolderStorage, tmp_path: Path, woken: list[str]) -> Hand:
    """Carry out what waits, and give every delivery."""
    handover = Handover(
        engine, storage, data=tmp_path, address="https://hub.example.go.th", wake=woken.append
    )

    def hand() -> list[Delivery]:
        with session_scope(engine, write=False) as session:
            waiting = waiting_handovers(session)
        for argument in waiting:
            handover.hand_over(argument)
        with session_scope(engine, write=False) as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))

    return hand


def identify(engine: Engine, number: int, hn: str) -> None:
    with session_scope(engine) as session:
        identify_patient(session, session.get_one(Referral, number), RECEIVER, hn)


def numbers(storage: FolderStorage, delivery: Delivery) -> set[tuple[str, str]]:
    copies = [dcmread(storage.path(item["storage_key"])) for item in delivery.items]
    return {(str(each.PatientID), str(each.IssuerOfPatientID)) for each in copies}


def test_nothing_goes_until_the_number_is_known_then_all_goes_under_it(
    engine: Engine, storage: FolderStorage, number: int, hand: Hand, woken: list[str]
) -> None:
    assert hand() == []
    identify(engine, number, "650012")
    study, letter = hand()
    assert (study.purpose, letter.purpose) == (Purpose.STUDY, Purpose.LETTER)
    assert {study.peer, letter.peer, *woken} == {"udon-pacs"}
    assert sorted(item["kind"] for item in study.items) == ["", "", "", "sr"]
    assert numbers(storage, study) == numbers(storage, letter) == {("650012", UDON)}
    pdf = dcmread(storage.path(letter.items[0]["storage_key"]))
    assert pdf.EncapsulatedDocument.startswith(b"%PDF-")
    assert study.urgent
    assert len(hand()) == 2  # nothing is made twice
    with session_scope(engine, write=False) as session:
        (row,) = [row for row in audit.search(session) if row.action == "referral.handed_over"]
        assert row.detail["instances"] == 4
        assert not any(text in str(row.detail) for text in (HN, "650012"))


def test_a_corrected_number_sends_new_copies_of_the_same_instances(
    engine: Engine, storage: FolderStorage, number: int, hand: Hand
) -> None:
    identify(engine, number, "1")
    first = hand()
    with session_scope(engine) as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.state = DeliveryState.SENT
    identify(engine, number, "2")
    again = hand()
    assert [each.id for each in again] == [each.id for each in first]
    for delivery in again:
        assert delivery.state is DeliveryState.WAITING
        assert numbers(storage, delivery) == {("2", UDON)}


def test_a_result_that_is_made_later_follows_alone(
    engine: Engine, storage: FolderStorage, number: int, hand: Hand, tmp_path: Path
) -> None:
    identify(engine, number, "1")
    hand()
    with session_scope(engine) as session:
        study = session.get_one(Study, session.get_one(Referral, number).study_id)
        _report(session, storage, tmp_path, study, uid="2.25.9", final=True)
    for _ in range(2):
        *_, last = hand()
        assert [(item["sop_instance_uid"], item["kind"]) for item in last.items] == [("2.25.9", "sr")]
        assert last.purpose is Purpose.STUDY
        assert numbers(storage, last) == {("1", UDON)}
    assert len(hand()) == 3


def test_a_silent_hospitals_ai_is_not_handed_over(engine: Engine, number: int, hand: Hand) -> None:
    with session_scope(engine) as session:
        switch_mode(session, OPERATOR, SMALL, Mode.SILENT)
    identify(engine, number, "1")
    assert {item["kind"] for item in hand()[0].items} == {""}


def test_without_a_destination_nothing_is_copied(engine: Engine, number: int, hand: Hand) -> None:
    with session_scope(engine) as session:
        session.delete(session.scalars(select(Peer).where(Peer.name == "udon-pacs")).one())
    identify(engine, number, "1")
    assert hand() == []
    with session_scope(engine, write=False) as session:
        assert session.get_one(Referral, number).packed_hn == "1"


def test_an_image_that_cannot_be_read_is_left_out_and_told(
    engine: Engine, storage: FolderStorage, number: int, hand: Hand
) -> None:
    with session_scope(engine) as session:
        study = session.get_one(Study, session.get_one(Referral, number).study_id)
        (series,) = series_of(session, study.id)
        rows = [list(row) for row in series.instances]
        rows[0][3] = storage.keep_bytes(b"no dicom")
        series.instances = rows
    identify(engine, number, "1")
    assert len(hand()[0].items) == 3
    with session_scope(engine, write=False) as session:
        (row,) = [row for row in audit.search(session) if row.action == "referral.handed_over"]
        assert row.detail["left_out"] == 1


def _stored(storage: FolderStorage, tmp_path: Path, row: list[Any]) -> list[Any]:
    path = tmp_path / "slice.dcm"
    ds = make_slice(study="1.2.3", PatientID=HN)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = row[0]
    ds.save_as(path, enforce_file_format=True)
    return [*row[:3], storage.keep_bytes(path.read_bytes()), *row[4:]]


def _report(
    session: Session,
    storage: FolderStorage,
    tmp_path: Path,
    study: Study,
    *,
    uid: str = "2.25.1",
    final: bool = False,
) -> None:
    path = tmp_path / "report.dcm"
    ds = make_slice(study="1.2.3", PatientID=HN, modality="SR")
    ds.save_as(path, enforce_file_format=True)
    session.add(
        ResultObject(
            study_id=study.id,
            revision=study.revision,
            kind="sr",
            final=final,
            sop_class_uid=str(ds.SOPClassUID),
            sop_instance_uid=uid,
            series_instance_uid="2.25.2",
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            modality="SR",
            series_number=1,
            instance_number=1,
            series_description="",
            storage_key=storage.keep_bytes(path.read_bytes()),
            size=1,
        )
    )
    session.flush()


class TestAgain:
    """Sent once more, by hand."""

    def order(self, engine: Engine, number: int, viewer: Viewer = RECEIVER) -> None:
        with session_scope(engine) as session:
            order_handover(session, session.get_one(Referral, number, with_for_update=True), viewer)

    def end(self, engine: Engine, state: DeliveryState = DeliveryState.SENT) -> None:
        with session_scope(engine) as session:
            for delivery in session.scalars(select(Delivery)):
                deliveries.note_outcomes(
                    delivery, {item["sop_instance_uid"]: deliveries.STORED for item in delivery.items}
                )
                delivery.state = state

    @pytest.mark.parametrize("viewer", [SENDER, RECEIVER], ids=lambda viewer: viewer.username)
    def test_all_goes_again_whatever_became_of_it(
        self, engine: Engine, number: int, hand: Hand, viewer: Viewer
    ) -> None:
        identify(engine, number, "1")
        first = hand()
        for ended in (DeliveryState.SENT, DeliveryState.EXPIRED):
            self.end(engine, ended)
            self.order(engine, number, viewer)
            again = hand()
            assert [each.id for each in again] == [each.id for each in first]
            assert {each.state for each in again} == {DeliveryState.WAITING}
            assert [each.purpose for each in again] == [Purpose.STUDY, Purpose.LETTER]
            assert {item["outcome"] for each in again for item in each.items} == {""}
        with session_scope(engine, write=False) as session:
            asked = [row for row in audit.search(session) if row.action == "referral.handover_again"]
        assert [row.actor for row in asked] == [viewer.username] * 2

    def test_while_it_is_under_way_it_is_not_asked_twice(
        self, engine: Engine, number: int, hand: Hand
    ) -> None:
        identify(engine, number, "1")
        with pytest.raises(HandoverUnderWay, match="copies are being made"):
            self.order(engine, number)
        hand()
        with pytest.raises(HandoverUnderWay, match="udon-pacs"):
            self.order(engine, number)
        self.end(engine)
        self.order(engine, number)
        with pytest.raises(HandoverUnderWay):
            self.order(engine, number)

    def test_it_needs_a_number_a_pacs_and_a_side(self, engine: Engine, number: int, hand: Hand) -> None:
        with pytest.raises(NotReady, match=f"no number of the patient at hospital {UDON}"):
            self.order(engine, number)
        identify(engine, number, "1")
        hand()
        self.end(engine)
        with pytest.raises(NotAllowed):
            self.order(engine, number, STRANGER)
        with session_scope(engine) as session:
            session.delete(session.scalars(select(Peer).where(Peer.name == "udon-pacs")).one())
        with pytest.raises(NotReady, match="no PACS"):
            self.order(engine, number)
