"""Answering for a case from the archive: what is asked, what is contradicted, and what comes of it."""

import pytest
from sqlalchemy import Engine

from service.accounts import OPERATOR, Role
from service.case_quotas import set_quotas
from service.cases import case_of
from service.db import session_scope
from service.reports import reports_of
from service.sight import find_study
from tests.service.factories import HN, LOEI, UDON, analysed
from tests.service.web.conftest import Enter, Person

PAGE = "/studies/1.2.3/offer"
GOOD = {
    **dict.fromkeys(("adult", "deficit", "stroke_code", "within_72_h", "diagnostic", "report"), "yes"),
    "no_surgery": "yes",
    "icd10": "I61.9",
    "text": "Right basal ganglia haemorrhage.",
}


@pytest.fixture
def technician(enter: Enter, engine: Engine) -> Person:
    with session_scope(engine) as session:
        analysed(session)
    return enter(Role.TECHNICIAN, UDON)


def test_a_case_is_answered_for_and_taken(technician: Person, engine: Engine) -> None:
    page = technician.get(PAGE).text
    assert HN in page
    assert page.count('type="radio"') == 21
    with session_scope(engine, write=False) as session:
        made = find_study(session, "1.2.3", OPERATOR).study_date
        assert made is not None
    answer = technician.post(PAGE, GOOD | {"day": made.isoformat()}, page=PAGE)
    assert answer.status_code == 303
    page = technician.get(PAGE).text
    assert "เข้าเกณฑ์ รอมอบให้รังสีแพทย์อ่าน" in page
    assert f'value="{made.isoformat()}"' in page
    assert 'value="I61.9"' in page
    with session_scope(engine, write=False) as session:
        study = find_study(session, "1.2.3", OPERATOR)
        case = case_of(session, study)
        assert case is not None
        assert case.state.value == "eligible"
        assert [each.text for each in reports_of(session, study)] == ["Right basal ganglia haemorrhage."]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("พบเลือดออกในสมอง".encode("cp874"), ""),
        ("\ufeffไม่พบเลือดออก".encode(), ""),
        (b"%PDF-1.7 x", "no text file"),
        (b"x" * 60_001, "more than 60000 bytes"),
    ],
)
def test_a_report_is_attached_as_a_text_file(
    technician: Person, engine: Engine, content: bytes, says: str
) -> None:
    values = {key: value for key, value in GOOD.items() if key != "text"}
    sent = technician.post(PAGE, values, page=PAGE, files={"attached": ("report.txt", content)})
    assert sent.status_code == (422 if says else 303), sent.text
    with session_scope(engine, write=False) as session:
        kept = [each.text for each in reports_of(session, find_study(session, "1.2.3", OPERATOR))]
    assert kept == ([] if says else [content.decode("cp874" if content[0] != 0xEF else "utf-8-sig")])


def test_what_the_images_contradict_is_shown_and_what_excludes_is_named(technician: Person) -> None:
    young = technician.post(PAGE, GOOD | {"adult": "no", "no_surgery": "no"}, page=PAGE)
    assert young.status_code == 303
    page = technician.get(PAGE).text
    assert "ต้องมีผู้ตรวจสอบ" in page  # the images say 68 years
    assert "เคยผ่าตัดสมอง" in page


@pytest.mark.parametrize("wrong", [{"day": "yesterday"}, {"day": "2026-11-20", "clock": "noon"}])
def test_an_onset_that_is_none_keeps_nothing(
    technician: Person, engine: Engine, wrong: dict[str, str]
) -> None:
    assert technician.post(PAGE, GOOD | wrong, page=PAGE).status_code == 422
    with session_scope(engine, write=False) as session:
        study = find_study(session, "1.2.3", OPERATOR)
        assert case_of(session, study) is None
        assert list(reports_of(session, study)) == []


def test_another_hospitals_study_is_not_offered(technician: Person, enter: Enter) -> None:
    other = enter(Role.TECHNICIAN, LOEI)
    assert other.get(PAGE).status_code == 404
    assert other.post(PAGE, GOOD, page="/account").status_code == 404


def test_a_batch_is_answered_on_a_page_and_counts_against_the_quota(
    technician: Person, engine: Engine
) -> None:
    with session_scope(engine) as session:
        set_quotas(session, OPERATOR, {UDON: 4})
    sent = "study_uid,adult,deficit,within_72_h,diagnostic,no_surgery,icd10,report_text\n" + (
        "1.2.3,yes,yes,yes,yes,yes,I63.9,No hemorrhage\n9.9,yes,,,,,,\n"
    )
    files = {"batch": ("answers.csv", sent.encode(), "text/csv")}
    answer = technician.post("/upload/answers", {}, page="/upload/answers", files=files)
    assert answer.status_code == 200, answer.text
    assert "รับ 1 แถว ไม่รับ 1 แถว" in answer.text
    assert "ไม่พบการตรวจนี้ในโรงพยาบาลของท่าน" in answer.text
    assert "รับแล้ว 1 จาก 4" in technician.get("/upload").text
    assert technician.post("/upload/answers", {}, page="/upload/answers").status_code == 422
