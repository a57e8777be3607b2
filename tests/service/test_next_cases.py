"""Next cases: what people, shadows and the model are at odds about, offered once, taken with the reason."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from model.stroke import Decision, StrokeType
from service.accounts import OPERATOR, Role, Viewer
from service.audit import entries_of
from service.case_states import CaseState
from service.disagreements import Conclusion, disagreements, settle
from service.errors import AlreadyExists, NotFound
from service.findings import analysis_of, record_prediction
from service.next_cases import DRAWN, Why, next_cases, take_next
from service.reviews import review_finding
from service.shadows import record_shadow
from service.studies import Study, begin_analysis
from service.thai_time import THAILAND
from service.verdicts import Verdict
from tests.service.factories import LOEI, UDON, analysed, prediction, registered
from tests.service.labelling import KEY
from tests.service.modelling import ML, registered_model

pytestmark = pytest.mark.one_database  # ordered in Python


def unsure(session: Session, uid: str, score: float, **changes: object) -> Study:
    study = registered(session, uid, **changes)
    begin_analysis(session, study)
    said = prediction(decision=Decision.REVIEW)
    scores = [
        replace(s, probability=score if s.stroke_type is StrokeType.ANY_ICH else s.probability)
        for s in said.scores
    ]
    record_prediction(session, study, replace(said, scores=tuple(scores)))
    return study


def offered(session: Session, viewer: Viewer = ML) -> list[tuple[str, Why]]:
    return [(each.study.study_instance_uid, each.why) for each in next_cases(session, viewer)]


def test_disagreements_come_first_then_shadows_then_the_least_sure(session: Session) -> None:
    unsure(session, "1.2.1", 0.7)
    unsure(session, "1.2.2", 0.48, hcode=LOEI)
    unsure(session, "1.2.9", 0.02)
    differs = analysed(session, "1.2.3")
    analysis = analysis_of(session, differs)
    assert analysis is not None
    record_shadow(session, analysis, differs, registered_model(session), prediction(StrokeType.ANY_ICH))
    wrong = analysed(session, "1.2.4")
    review_finding(session, wrong, OPERATOR, Verdict.CORRECT, present=[StrokeType.SAH])
    assert offered(session) == [
        ("1.2.4", Why.DISAGREEMENT),
        ("1.2.3", Why.SHADOW),
        ("1.2.2", Why.UNCERTAIN),
        ("1.2.1", Why.UNCERTAIN),
    ]
    shadows = next_cases(session, ML, why=Why.SHADOW)
    assert [each.study.study_instance_uid for each in shadows] == ["1.2.3"]
    here = Viewer("ml-udon", Role.ML, UDON)
    assert "1.2.2" not in [uid for uid, _ in offered(session, here)]
    settle(session, ML, disagreements(session, ML)[0].review.id, Conclusion.REVIEW_WRONG)
    assert "1.2.4" not in [uid for uid, _ in offered(session)]


def test_what_is_taken_waits_for_a_person_and_is_offered_no_more(session: Session) -> None:
    study = unsure(session, "1.2.1", 0.5)
    unsure(session, "1.2.2", 0.4)
    (case,) = take_next(session, ML, KEY, ["1.2.1", "1.2.1"])
    assert (case.state, case.said, case.admitted_by) == (CaseState.UPLOADED, {}, "ml")
    assert [(e.action, e.detail.get("source")) for e in entries_of(session, study.id)][-1] == (
        "case.next",
        "uncertain",
    )
    assert offered(session) == [("1.2.2", Why.UNCERTAIN)]
    with pytest.raises(AlreadyExists, match=r"1\.2\.1 is a case already"):
        take_next(session, ML, KEY, ["1.2.1"])
    with pytest.raises(NotFound):
        take_next(session, Viewer("ml-loei", Role.ML, LOEI), KEY, ["1.2.2"])


def test_twenty_cleared_studies_of_the_week_before_are_drawn_by_lot(session: Session) -> None:
    monday = datetime(2026, 11, 23, tzinfo=THAILAND)
    for n in range(30):
        study = analysed(session, f"1.2.{n + 1}", hcode=UDON if n % 2 else LOEI)
        study.result_at = monday - timedelta(days=1, minutes=n)
    for number, moment in ((91, monday), (92, monday - timedelta(days=7, seconds=1))):
        analysed(session, f"1.2.{number}").result_at = moment  # a week's own, and of the week before that
    bled = analysed(session, "1.2.93", StrokeType.ANY_ICH)
    bled.result_at = monday - timedelta(days=1)
    session.flush()

    def drawn(viewer: Viewer = ML, days: int = 0) -> list[str]:
        found = next_cases(session, viewer, why=Why.DRAWN, at=monday + timedelta(days=days, hours=1))
        return [each.study.study_instance_uid for each in found]

    first = drawn()
    assert len(set(first)) == DRAWN
    assert not {"1.2.91", "1.2.92", "1.2.93"} & set(first)
    assert drawn(days=6) == first
    assert drawn(days=7) == ["1.2.91"]
    here = drawn(Viewer("ml-udon", Role.ML, UDON))
    assert len(here) == 15
    assert first != [f"1.2.{n + 1}" for n in range(DRAWN)]
    take_next(session, ML, KEY, first[:1])
    assert drawn() == first[1:]
