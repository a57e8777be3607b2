"""The reply letter: what it says, and that it reaches the sending hospital's PACS under its own number."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service import audit
from service.accounts import OPERATOR, Role, Viewer
from service.db import session_scope
from service.deliveries import Delivery, Purpose
from service.errors import BadRequest, Changed, NotFound, NotReady
from service.forms import Form, save_version
from service.peers import add_peer, remove_peer
from service.referral_states import Verb
from service.referral_steps import (
    accept_referral,
    complete_referral,
    move_referral,
    request_referral,
    steps_of,
)
from service.referrals import Referral, open_draft, sender_hn
from service.replies import Replies, waiting_replies
from service.reply_drafts import ReplyDraft, draft_for, save_draft
from service.reply_letters import drafted_letter, reply_letter, reply_values
from service.storage import FolderStorage
from service.studies import Study
from service.web.words import Language
from tests.service.factories import HN, UDON
from tests.service.referring import RECEIVER, SAKON, SENDER, SMALL, accepted, details, requested

REPLY = "ผ่าตัดระบายเลือดแล้ว รู้สึกตัวดี นัดติดตาม 2 สัปดาห์"
ADDRESS = "https://hub.example.go.th"
COLLEAGUE = Viewer("colleague", Role.SPECIALIST, UDON)


def completed(session: Session) -> Referral:
    referral = accepted(session, hn="650012")
    move_referral(session, referral, RECEIVER, Verb.ARRIVE, version=None)
    complete_referral(session, referral, RECEIVER, reply=REPLY, version=None)
    return referral


def text_of(pdf: bytes) -> str:
    """What a reader of the PDF finds in it."""
    done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return done.stdout.decode()


def arrived(session: Session) -> Referral:
    referral = accepted(session, hn="650012")
    move_referral(session, referral, RECEIVER, Verb.ARRIVE, version=None)
    return referral


class TestDraft:
    def test_it_is_gone_on_with_looked_at_and_gone_once_sent(self, session: Session, tmp_path: Path) -> None:
        referral = arrived(session)
        assert draft_for(session, referral, RECEIVER) is None
        first = save_draft(session, referral, RECEIVER, "Craniotomy", seen=0)
        save_draft(session, referral, COLLEAGUE, "Craniotomy on day 1\r\nHome on day 9", seen=first.version)
        with pytest.raises(Changed, match="colleague has gone on"):
            save_draft(session, referral, RECEIVER, "Craniectomy", seen=1)
        pdf = drafted_letter(
            session, referral, COLLEAGUE, data=tmp_path, address=ADDRESS, language=Language.EN
        )
        text = text_of(pdf)
        assert "Home on day 9" in text
        assert "DRAFT, not sent" in text
        complete_referral(session, referral, RECEIVER, reply="Home on day 9", version=None)
        assert draft_for(session, referral, RECEIVER) is None
        assert session.get(ReplyDraft, referral.id) is None
        with pytest.raises(NotReady, match="completed: no reply is being written"):
            save_draft(session, referral, RECEIVER, "more")

    def test_the_sending_hospital_sees_none_of_it(self, session: Session, tmp_path: Path) -> None:
        referral = arrived(session)
        save_draft(session, referral, RECEIVER, "Craniotomy")
        assert draft_for(session, referral, SENDER) is None
        with pytest.raises(NotFound):
            save_draft(session, referral, SENDER, "Craniotomy")
        with pytest.raises(NotFound, match="has no reply letter"):
            drafted_letter(session, referral, SENDER, data=tmp_path, address=ADDRESS)

    def test_none_is_begun_before_the_patient_is_there_and_none_is_too_long(self, session: Session) -> None:
        with pytest.raises(NotReady, match="is requested: no reply"):
            save_draft(session, requested(session), RECEIVER, "x")
        session.rollback()
        with pytest.raises(BadRequest, match="4001 characters; it may have 4000"):
            save_draft(session, arrived(session), RECEIVER, "x" * 4001)


class TestLetter:
    def test_what_it_says(self, session: Session) -> None:
        referral = completed(session)
        values = reply_values(session, referral, steps_of(session, referral))
        assert values["reply"] == REPLY
        assert (values["from"]["hcode"], values["to"]["hcode"]) == (UDON, SMALL)
        assert (values["patient"]["hn"], values["patient"]["hn_there"]) == (HN, "650012")
        assert (values["by"], values["doctor"]) == ("receiver", "Dr. A")
        assert len(values["times"]) == len((Verb.REQUEST, Verb.ACCEPT, Verb.ARRIVE, Verb.COMPLETE))

    def test_it_is_the_same_pdf_each_time(self, session: Session, tmp_path: Path) -> None:
        referral = completed(session)
        pdf = reply_letter(session, referral, data=tmp_path, address=ADDRESS)
        assert pdf.startswith(b"%PDF-1.")
        assert b"IBMPlexSansThai" in pdf
        assert pdf == reply_letter(session, referral, data=tmp_path, address=ADDRESS)

    def test_it_speaks_both_languages_and_keeps_what_people_wrote(
        self, session: Session, tmp_path: Path
    ) -> None:
        referral = completed(session)
        read = {
            language: text_of(
                reply_letter(session, referral, data=tmp_path, address=ADDRESS, language=language)
            )
            for language in Language
        }
        assert "Reply to a referral" in read[Language.EN]
        assert "Nong Wua So" in read[Language.EN]
        assert "Times" in read[Language.EN]
        assert "หนองวัวซอ" in read[Language.TH]
        for text in read.values():
            assert "650012" in text
            assert "receiver" in text
            assert "DRAFT" not in text

    def test_a_form_of_the_region_is_used_from_then_on(self, session: Session, tmp_path: Path) -> None:
        own = '#let d = json("letter.json")\n#set page(width: 9cm)\nOURS #d.patient.hn_there'
        save_version(session, OPERATOR, Form.REPLY, own)
        referral = completed(session)
        text = text_of(reply_letter(session, referral, data=tmp_path, address=ADDRESS))
        assert text.split() == ["OURS", "650012"]

    def test_before_the_reply_there_is_none(self, session: Session, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="is accepted: it has no reply letter"):
            reply_letter(session, accepted(session), data=tmp_path, address=ADDRESS)

    def test_an_onward_senders_number_is_the_one_it_took_the_patient_under(self, session: Session) -> None:
        first = completed(session)
        onward = open_draft(
            session, session.get_one(Study, first.study_id), RECEIVER, to=SAKON, urgency=2, details=details()
        )
        assert sender_hn(session, onward) == "650012"
        request_referral(session, onward, RECEIVER, version=None)
        accept_referral(session, onward, Viewer("sakon", Role.SPECIALIST, SAKON), version=None)
        assert sender_hn(session, first) == HN


class TestDelivery:
    @pytest.fixture
    def storage(self, tmp_path: Path) -> FolderStorage:
        return FolderStorage(tmp_path / "storage")

    @pytest.fixture
    def number(self, engine: Engine) -> int:
        with session_scope(engine) as session:
            for name, hcode in (("small-pacs", SMALL), ("udon-pacs", UDON)):
                add_peer(session, name, ae_title="PACS", host="127.0.0.1", port=104, hcode=hcode)
            return completed(session).id

    def carry(self, engine: Engine, storage: FolderStorage, data: Path) -> list[Delivery]:
        """Do what waits, and give every reply in line."""
        woken: list[str] = []
        replies = Replies(engine, storage, data=data, address=ADDRESS, wake=woken.append)
        with session_scope(engine, write=False) as session:
            waiting = waiting_replies(session)
        for argument in waiting:
            replies.reply(argument)
            replies.reply(argument)  # a job that is run again does nothing twice
        with session_scope(engine, write=False) as session:
            made = session.scalars(select(Delivery).where(Delivery.purpose == Purpose.REPLY)).all()
        if waiting:
            assert woken == [each.peer for each in made]
        return list(made)

    def instance(self, storage: FolderStorage, delivery: Delivery) -> tuple[Path, FileDataset]:
        (item,) = delivery.items
        path = storage.path(item["storage_key"])
        return path, dcmread(path)

    def test_it_goes_once_under_the_senders_own_number(
        self, engine: Engine, storage: FolderStorage, number: int, tmp_path: Path
    ) -> None:
        (delivery,) = self.carry(engine, storage, tmp_path)
        assert delivery.peer == "small-pacs"
        path, ds = self.instance(storage, delivery)
        assert (ds.PatientID, ds.IssuerOfPatientID, ds.StudyInstanceUID) == (HN, SMALL, "1.2.3")
        assert (ds.Modality, ds.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
        assert ds.EncapsulatedDocument.startswith(b"%PDF-")
        assert self.carry(engine, storage, tmp_path)[0].id == delivery.id
        with session_scope(engine, write=False) as session:
            (row,) = [row for row in audit.search(session) if row.action == "referral.replied"]
            assert row.detail == {"referral": number, "from": SMALL, "to": UDON, "destinations": 1}
        if shutil.which("dciodvfy"):
            said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60)
            assert "Error" not in said.stdout + said.stderr, said.stderr

    def test_without_a_destination_it_can_be_read_and_is_not_made_again(
        self, engine: Engine, storage: FolderStorage, number: int, tmp_path: Path
    ) -> None:
        with session_scope(engine) as session:
            remove_peer(session, "small-pacs")
        assert self.carry(engine, storage, tmp_path) == []
        with session_scope(engine, write=False) as session:
            assert waiting_replies(session) == []
