"""The letter: what is in it, what is not, its bytes, and a template of the hospital's own."""

import io
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.findings import analysis_of
from service.letter_values import letter_values
from service.letters import TEMPLATE, referral_letter
from service.referral_states import Verb
from service.referral_steps import move_referral
from service.referrals import Referral, open_draft
from service.storage import FolderStorage, Storage
from service.studies import Study
from tests.service.factories import HN, UDON
from tests.service.referring import RECEIVER, SAKON, accepted, details, draft, small_study

AT = datetime(2026, 11, 28, 3, 0, 0, 5, tzinfo=UTC)
ADDRESS = "https://hub.example.go.th"
FILLS = '#assert(json("letter.json").patient.hn == "0012345")\n#image("qr.svg")\n'


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path / "storage")


def letter(session: Session, referral: Referral, storage: Storage, data: Path) -> bytes:
    return referral_letter(session, referral, storage, data=data, address=ADDRESS, at=AT)


def test_it_is_a_pdf_for_archives_with_its_fonts_and_the_key_slice(
    session: Session, storage: Storage, tmp_path: Path
) -> None:
    study = small_study(session)
    analysis = analysis_of(session, study)
    assert analysis is not None
    plain = letter(session, draft(session, study), storage, tmp_path)
    picture = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(picture, "WEBP")
    analysis.key_slices = [[0, storage.keep_bytes(picture.getvalue())], [0, "0" * 64]]
    session.flush()
    pdf = letter(session, draft(session, study), storage, tmp_path)
    assert pdf.startswith(b"%PDF-1.")
    assert b"pdfaid:part" in pdf
    assert b"IBMPlexSansThai" in pdf
    assert len(pdf) > len(plain) + 2000  # the picture; the one that storage has lost is left out


def test_the_same_state_at_the_same_time_gives_the_same_bytes(
    session: Session, storage: Storage, tmp_path: Path
) -> None:
    referral = draft(session)
    assert letter(session, referral, storage, tmp_path) == letter(session, referral, storage, tmp_path)


def test_what_it_says(session: Session) -> None:
    told = details(onset_at="2026-11-28T08:30:00+07:00", citizen_id="1471445676574", inr=1.2)
    referral = accepted(session, hn="0099", details=told)
    referral.created_at = AT
    said = letter_values(session, referral, AT)
    assert said["patient"]["hn_there"] == "0099"
    assert said["patient"]["warns"]
    assert said["from"]["name"] == "หนองวัวซอ"
    assert ["เวลาเริ่มมีอาการ", "28 พ.ย. 2569 08:30 (1.5 ชม. ก่อนส่ง)"] in said["told"]
    assert ["INR", "1.2"] in said["told"]
    assert all("เกล็ดเลือด" not in label for label, _ in said["told"])
    assert ["เลือดออก", "แจ้งเตือน (91%)"] in said["ai"]["words"]
    assert "วินิจฉัย" in said["ai"]["use"]


def test_a_patient_who_is_referred_on_has_the_number_of_the_hospital_that_refers(session: Session) -> None:
    study = small_study(session)
    first = accepted(session, study, hn="0099")
    move_referral(session, first, RECEIVER, Verb.ARRIVE, version=None)
    onward = open_draft(session, study, RECEIVER, to=SAKON, urgency=2, details=details())
    assert letter_values(session, onward, AT)["patient"]["hn"] == "0099"
    assert letter_values(session, first, AT)["patient"]["hn"] == HN


def test_clear_is_not_written_as_absent(session: Session) -> None:
    referral = draft(session, small_study(session, "1.2.3", StrokeType.SDH))
    assert ["เลือดออกใต้เยื่ออะแร็กนอยด์", "AI ไม่แจ้งเตือน (2%)"] in letter_values(session, referral, AT)["ai"][
        "words"
    ]


def test_a_template_of_the_hospitals_own_is_used_and_a_broken_one_does_not_hold_up_the_patient(
    session: Session, storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    referral = draft(session)
    shipped = letter(session, referral, storage, tmp_path)
    (tmp_path / TEMPLATE).write_text(FILLS)
    own = letter(session, referral, storage, tmp_path)
    assert own.startswith(b"%PDF-")
    assert own != shipped
    assert not caplog.records
    (tmp_path / TEMPLATE).write_text(FILLS.replace(HN, "1"))
    with caplog.at_level(logging.ERROR):
        instead = letter(session, referral, storage, tmp_path)
    assert instead.startswith(b"%PDF-")
    assert len(instead) > len(shipped)  # it says that it is the shipped one
    assert "template is broken" in caplog.text
    (tmp_path / TEMPLATE).write_text('#panic(json("letter.json").patient.hn)')
    letter(session, referral, storage, tmp_path)
    whys = [record.__dict__["why"] for record in caplog.records]
    assert "assertion failed" in whys[0]
    assert HN not in whys[1]


def test_markup_in_what_the_doctor_typed_stays_text(
    session: Session, storage: Storage, tmp_path: Path
) -> None:
    told = details(request='#read("/etc/passwd") *bold* $x$ @x "quoted" \\ ]', doctor="#panic()")
    assert letter(session, draft(session, details=told), storage, tmp_path).startswith(b"%PDF-")


def test_a_study_without_an_answer_has_a_letter_too(
    session: Session, storage: Storage, tmp_path: Path
) -> None:
    referral = draft(session)
    study = session.get_one(Study, referral.study_id)
    study.revision += 1
    study.patient_name = study.sex = ""
    study.birth_date = study.age_years = None
    assert letter_values(session, referral, AT)["ai"]["words"] == []
    assert letter(session, referral, storage, tmp_path).startswith(b"%PDF-")
    assert referral.to_hcode == UDON
