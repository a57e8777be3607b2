"""The study page: what is said, and everything its reader may do, in the order of a night's work."""

import pytest
from sqlalchemy import Engine, select

from model.stroke import Refusal, StrokeType
from service.accounts import OPERATOR, Role
from service.audit import AuditEntry
from service.db import session_scope
from service.findings import analysis_of
from service.reviews import Review, standing_review
from service.sight import find_study
from service.studies import begin_analysis, mark_refused
from service.verdicts import Disagreement, Verdict
from tests.service.factories import HN, LOEI, NAME, analysed, registered
from tests.service.web.conftest import Enter

PAGE = "/studies/1.2.3"


@pytest.fixture(autouse=True)
def study(engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SDH)


def standing(engine: Engine) -> Review | None:
    with session_scope(engine, write=False) as session:
        analysis = analysis_of(session, find_study(session, "1.2.3", OPERATOR))
        assert analysis is not None
        return standing_review(session, analysis)


def test_it_says_what_the_ai_says_and_what_it_does_not(enter: Enter) -> None:
    page = enter().get(PAGE).text
    assert "เลือดใต้เยื่อดูรา" in page
    assert "ไม่ได้ประเมิน" in page
    assert "/dicomweb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.0/frames/1/rendered" in page


def test_one_tap_agrees_and_can_be_taken_back(enter: Enter, engine: Engine) -> None:
    someone = enter()
    answer = someone.post(f"{PAGE}/review", {"verdict": "agree"}, page=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    review = standing(engine)
    assert review is not None
    assert (review.verdict, review.disagreement) == (Verdict.AGREE, None)
    assert someone.post(f"{PAGE}/undo", {}, page=PAGE).status_code == 303
    assert standing(engine) is None


def test_a_correction_names_types_side_and_slices(enter: Enter, engine: Engine) -> None:
    values = {"verdict": "correct", "present": ["sah", "ivh"], "side": "left", "first": "1", "last": "1"}
    assert enter().post(f"{PAGE}/review", values, page=PAGE).status_code == 303
    review = standing(engine)
    assert review is not None
    assert sorted(review.present) == ["ivh", "sah"]
    assert {place["first_slice"] for place in review.places} == {0}
    assert review.disagreement is Disagreement.OTHER_TYPE


def test_a_correction_to_nothing_says_so(enter: Enter) -> None:
    someone = enter()
    assert someone.post(f"{PAGE}/review", {"verdict": "correct"}, page=PAGE).status_code == 303
    assert "แก้ไขแล้ว</b> · ไม่พบอะไร" in someone.get(PAGE).text


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": "correct", "present": "sah", "first": "99", "last": "99"},
        {"verdict": "correct", "present": "sah", "first": "x", "last": "1"},
        {"verdict": "not_assessable"},
        {"verdict": "maybe"},
    ],
)
def test_what_makes_no_sense_is_told_on_a_page(enter: Enter, engine: Engine, values: dict[str, str]) -> None:
    answer = enter().post(f"{PAGE}/review", values, page=PAGE)
    assert answer.status_code == 422
    assert "<html" in answer.text
    assert standing(engine) is None


def test_signing_makes_it_final(enter: Enter) -> None:
    someone = enter()
    someone.post(f"{PAGE}/review", {"verdict": "agree"}, page=PAGE)
    assert someone.post(f"{PAGE}/sign", {}, page=PAGE).status_code == 303
    assert someone.client.get("/api/v1/studies/1.2.3/result").json()["status"] == "final"
    assert "ผลสุดท้าย" in someone.get(PAGE).text


def test_a_report_is_kept_and_compared(enter: Enter) -> None:
    someone = enter()
    someone.post(f"{PAGE}/report", {"text": "ไม่พบเลือดออกในสมอง"}, page=PAGE)
    page = someone.get(PAGE).text
    assert "ไม่พบเลือดออกในสมอง" in page
    assert "AI แจ้งเตือนสิ่งที่รายงานไม่ได้กล่าว" in page


def test_who_may_not_review_is_offered_none_and_refused(enter: Enter) -> None:
    someone = enter(Role.REFERRER)
    assert f"{PAGE}/review" not in someone.get(PAGE).text
    assert someone.post(f"{PAGE}/review", {"verdict": "agree"}).status_code == 403


def test_who_works_without_names_sees_none(enter: Enter) -> None:
    page = enter(Role.ML, None).get(PAGE).text
    assert HN not in page
    assert NAME.split("^")[0] not in page


def test_another_hospitals_study_is_not_there(enter: Enter) -> None:
    someone = enter(Role.RADIOLOGIST, LOEI)
    assert someone.get(PAGE).status_code == 404
    for verb in ("review", "undo", "sign", "report"):
        values = {"verdict": "agree", "text": "x"}
        assert someone.post(f"{PAGE}/{verb}", values).status_code == 404


def test_a_refused_study_says_why(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        study = registered(session, "4.5")
        begin_analysis(session, study)
        mark_refused(session, study, [Refusal.CONTRAST])
    page = enter().get("/studies/4.5").text
    assert "ฉีดสารทึบรังสี" in page
    assert "/studies/4.5/review" not in page


def test_other_studies_of_the_patient_are_listed_across_hospitals(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "7.7", hcode=LOEI)
        analysed(session, "8.8", patient_id="other", patient_name="อื่น^คน")
    page = enter(Role.RADIOLOGIST, None).get(PAGE).text
    assert "/studies/7.7" in page
    assert "โปรดพิจารณา" in page
    assert "/studies/8.8" not in page


def test_every_look_is_in_the_audit(enter: Enter, engine: Engine) -> None:
    enter().get(PAGE)
    with session_scope(engine, write=False) as session:
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "study.read")).all()
