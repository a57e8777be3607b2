"""Findings: recorded once, superseded visibly; and the result as one value."""

import json

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from model.stroke import Decision, Refusal, StrokeType
from service import metrics
from service.accounts import Role, Viewer
from service.findings import (
    Analysis,
    Finding,
    analyses_of,
    analysis_of,
    record_prediction,
)
from service.results import INTENDED_USE, result
from service.reviews import review_finding
from service.states import StudyState
from service.studies import Study, begin_analysis, mark_failed, mark_refused
from service.verdicts import Verdict
from tests.service.factories import HN, NAME, UDON, analysed, instance, prediction, registered

RADIOLOGIST = Viewer("malee", Role.RADIOLOGIST, UDON)


def analysing(session: Session) -> Study:
    study = registered(session)
    begin_analysis(session, study)
    return study


class TestRecordPrediction:
    @pytest.mark.parametrize(
        ("decision", "flagged", "state"),
        [
            (Decision.FLAG, (StrokeType.SAH,), StudyState.FLAGGED),
            (Decision.CLEAR, (), StudyState.CLEAR),
            (Decision.REVIEW, (), StudyState.REVIEW),
            (Decision.NOT_ASSESSED, (), StudyState.REVIEW),
        ],
    )
    def test_the_decision_is_the_state(
        self, session: Session, decision: Decision, flagged: tuple[StrokeType, ...], state: StudyState
    ) -> None:
        study = analysing(session)
        record_prediction(session, study, prediction(*flagged, decision=decision))
        assert study.state is state
        assert study.result_at is not None

    def test_every_stroke_type_is_recorded_with_its_numbers(self, session: Session) -> None:
        findings = record_prediction(session, analysing(session), prediction(StrokeType.SDH))
        assert [(f.stroke_type, f.probability, f.decision) for f in findings] == [
            (StrokeType.ANY_ICH, 0.02, Decision.CLEAR),
            (StrokeType.SDH, 0.91, Decision.FLAG),
            (StrokeType.SAH, 0.02, Decision.CLEAR),
            (StrokeType.ACUTE_ISCHAEMIA, None, Decision.NOT_ASSESSED),
        ]

    def test_recording_again_changes_nothing(self, session: Session) -> None:
        study = analysing(session)
        first = record_prediction(session, study, prediction(StrokeType.SDH))
        again = record_prediction(session, study, prediction())
        assert [each.id for each in again] == [each.id for each in first]
        assert study.state is StudyState.FLAGGED
        assert session.scalar(select(func.count()).select_from(Analysis)) == 1

    def test_a_late_answer_for_an_older_revision_is_kept_as_history(self, session: Session) -> None:
        study = analysing(session)
        registered(session, instances=[instance(n) for n in range(5)])
        record_prediction(session, study, prediction(StrokeType.SDH), revision=1)
        assert (study.state, study.revision) == (StudyState.READY, 2)
        assert analysis_of(session, study) is None
        assert [each.revision for each in analyses_of(session, study)] == [1]

    def test_the_wait_is_measured_from_the_last_slice(self, session: Session) -> None:
        study = analysed(session)
        kept = metrics.tallies(session, metrics.RESULT_SECONDS)
        assert study.result_at is not None
        waited = (study.result_at - study.last_received_at).total_seconds()
        assert kept["sum"] == pytest.approx(max(waited, 0))
        assert sum(value for label, value in kept.items() if label != "sum") == 1


class TestResult:
    def test_clear_says_of_what_and_what_was_not_assessed(self, session: Session) -> None:
        answer = result(session, analysed(session))
        assert answer["state"] == "clear"
        assert answer["of"] == ["any_ich", "sdh", "sah"]
        assert answer["not_assessed"] == ["acute_ischaemia"]
        assert answer["findings"][3] == {
            "stroke_type": "acute_ischaemia",
            "decision": "not_assessed",
            "probability": None,
            "threshold": None,
            "reason": "not proven for this package",
            "threshold_set_by": None,
        }
        assert answer["intended_use"] == INTENDED_USE

    def test_the_evidence_is_there(self, session: Session) -> None:
        study = analysing(session)
        record_prediction(
            session, study, prediction(StrokeType.SDH), [(7, "a" * 64), (3, "b" * 64)], runner_up="1.2.3.2"
        )
        answer = result(session, study)
        assert answer["model"] == {"name": "stroke-ct-0.2.0", "digest": "d" * 64, "engine": "openvino"}
        assert answer["series"] == {"chosen": "1.2.3.1", "runner_up": "1.2.3.2"}
        assert answer["key_slices"] == [{"n": 1, "slice": 7}, {"n": 2, "slice": 3}]
        assert answer["slices"] == [
            {
                "sop_instance_uid": "1.2.3.1.0",
                "z_mm": 0.0,
                "probabilities": {"any_ich": 0.9},
                "box": [0.1, 0.2, 0.3, 0.4],
            }
        ]
        assert answer["notes"] == [{"code": "thick_slices", "text": "slices of 5.0 mm"}]
        assert answer["seconds"] == {"load": 0.2, "infer": 0.4}

    def test_a_refused_study_says_why(self, session: Session) -> None:
        study = analysing(session)
        mark_refused(session, study, [Refusal.CONTRAST])
        answer = result(session, study)
        assert (answer["state"], answer["reasons"], answer["findings"]) == ("refused", ["contrast"], [])

    def test_a_failed_study_says_where(self, session: Session) -> None:
        study = analysing(session)
        mark_failed(session, study, "load", "disk gone")
        assert result(session, study)["failure"] == {"step": "load", "error": "disk gone"}

    def test_an_earlier_result_is_shown_as_superseded(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        registered(session, instances=[instance(n) for n in range(5)])
        answer = result(session, study)
        assert (answer["state"], answer["revision"], answer["findings"]) == ("ready", 2, [])
        [earlier] = answer["superseded"]
        assert (earlier["revision"], earlier["superseded"], earlier["decision"]) == (1, True, "flag")
        assert [each["verdict"] for each in earlier["reviews"]] == ["agree"]
        assert len(earlier["findings"]) == session.scalar(select(func.count()).select_from(Finding))

    def test_it_can_be_printed_and_names_no_patient(self, session: Session) -> None:
        text = json.dumps(result(session, analysed(session, "1.2.3", StrokeType.SDH)), ensure_ascii=False)
        assert NAME not in text
        assert HN not in text
