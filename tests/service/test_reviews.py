"""Reviews: added and never changed, in words that fit together, taken back in time, signed, and settled."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from model.stroke import Decision, StrokeType
from service import reviews
from service.accounts import Role, Viewer
from service.alert_budget import alert_budget
from service.disagreements import Conclusion, disagreements, settle
from service.errors import AlreadyExists, BadRequest, NotFound, NotReady
from service.findings import analysis_of, findings_of, record_prediction
from service.flags import flags_of
from service.reviews import Review, review_finding, reviews_of, standing_review, withdraw_review
from service.signatures import ReportStatus, report_status, sign_review
from service.states import StudyState
from service.studies import Study, begin_analysis, reopen
from service.verdicts import Disagreement, Hindrance, Place, Side, Verdict
from tests.service.factories import LOEI, UDON, analysed, prediction, registered

RADIOLOGIST = Viewer("malee", Role.RADIOLOGIST, UDON)
COLLEAGUE = Viewer("somchai", Role.RADIOLOGIST, UDON)
ML = Viewer("ml", Role.ML, None)


def analysing(session: Session) -> Study:
    study = registered(session)
    begin_analysis(session, study)
    return study


def abstained(session: Session) -> Study:
    study = analysing(session)
    record_prediction(session, study, prediction(decision=Decision.REVIEW))
    return study


class TestReviewFinding:
    def test_an_agreement_takes_the_study_from_the_head_of_the_worklist(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        place = study.place
        review = review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        assert (review.reviewer, review.present, review.revision) == ("malee", ["sdh"], 1)
        assert study.place > place
        assert study.state is StudyState.FLAGGED
        assert flags_of(session, [study.id]) == {study.id: [StrokeType.SDH]}

    def test_a_correction_flags_what_the_reviewer_named(self, session: Session) -> None:
        study = analysed(session)
        review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, present=[StrokeType.SAH])
        assert flags_of(session, [study.id]) == {study.id: [StrokeType.SAH]}
        assert study.state is StudyState.CLEAR

    def test_reviews_are_added_and_findings_never_changed(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        analysis = analysis_of(session, study)
        assert analysis is not None
        before = [(f.id, f.decision, f.probability) for f in findings_of(session, analysis)]
        for verdict in (Verdict.AGREE, Verdict.CORRECT):
            review_finding(session, study, RADIOLOGIST, verdict)
        assert [each.verdict for each in reviews_of(session, analysis)] == [Verdict.AGREE, Verdict.CORRECT]
        assert [(f.id, f.decision, f.probability) for f in findings_of(session, analysis)] == before

    def test_an_agreement_that_names_types_is_refused(self, session: Session) -> None:
        study = analysed(session)
        with pytest.raises(BadRequest, match="names no stroke types"):
            review_finding(session, study, RADIOLOGIST, Verdict.AGREE, present=[StrokeType.SAH])

    def test_what_has_no_result_cannot_be_reviewed(self, session: Session) -> None:
        study = analysing(session)
        with pytest.raises(NotReady, match="analysing"):
            review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        assert session.scalar(select(func.count()).select_from(Review)) == 0

    def test_a_new_result_is_not_yet_reviewed(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        reopen(session, study)
        begin_analysis(session, study)
        record_prediction(session, study, prediction(StrokeType.SDH))
        assert study.reviewed_at is None

    def test_places_are_kept_and_their_types_flagged(self, session: Session) -> None:
        study = analysed(session)
        place = Place(StrokeType.SAH, Side.LEFT, 0, 0)
        review = review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, places=[place])
        assert review.present == ["sah"]
        assert review.places == [{"stroke_type": "sah", "side": "left", "first_slice": 0, "last_slice": 0}]
        assert flags_of(session, [study.id]) == {study.id: [StrokeType.SAH]}

    @pytest.mark.parametrize(("first", "last"), [(0, 1), (-1, 0), (1, 0), (0, None), (None, 0)])
    def test_slices_that_do_not_exist_are_refused(
        self, session: Session, first: int | None, last: int | None
    ) -> None:
        study = analysed(session)
        place = Place(StrokeType.SAH, None, first, last)
        with pytest.raises(BadRequest, match=f"slices {first} to {last}"):
            review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, places=[place])

    def test_a_study_that_nobody_can_judge_keeps_its_flag(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        review = review_finding(
            session, study, RADIOLOGIST, Verdict.NOT_ASSESSABLE, hindrance=Hindrance.MOTION
        )
        assert review.disagreement is Disagreement.NOT_ASSESSABLE
        assert flags_of(session, [study.id]) == {study.id: [StrokeType.SDH]}

    @pytest.mark.parametrize(
        ("verdict", "hindrance"),
        [(Verdict.NOT_ASSESSABLE, None), (Verdict.AGREE, Hindrance.METAL), (Verdict.WITHDRAWN, None)],
    )
    def test_words_that_contradict_one_another_are_refused(
        self, session: Session, verdict: Verdict, hindrance: Hindrance | None
    ) -> None:
        with pytest.raises(BadRequest):
            review_finding(session, analysed(session), RADIOLOGIST, verdict, hindrance=hindrance)

    def test_there_is_nothing_to_agree_with_where_the_ai_abstained(self, session: Session) -> None:
        study = abstained(session)
        with pytest.raises(BadRequest, match="abstained"):
            review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        review = review_finding(session, study, RADIOLOGIST, Verdict.CORRECT)
        assert (review.present, review.disagreement) == ([], Disagreement.ABSTAINED)

    @pytest.mark.parametrize(
        ("flagged", "present", "kind"),
        [
            ((), (StrokeType.SAH,), Disagreement.MISSED),
            ((StrokeType.SDH,), (), Disagreement.FALSE_FLAG),
            ((StrokeType.SDH,), (StrokeType.SAH,), Disagreement.OTHER_TYPE),
            ((StrokeType.ANY_ICH, StrokeType.SDH), (StrokeType.SDH,), None),
        ],
    )
    def test_a_correction_says_in_what_the_ai_was_wrong(
        self,
        session: Session,
        flagged: tuple[StrokeType, ...],
        present: tuple[StrokeType, ...],
        kind: Disagreement | None,
    ) -> None:
        study = analysed(session, "1.2.3", *flagged)
        review = review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, present=present)
        assert review.disagreement is kind


class TestWithdrawReview:
    def test_what_stood_before_stands_again(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        unread = study.place
        review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        withdraw_review(session, study, RADIOLOGIST)
        assert (study.reviewed_at, study.place) == (None, unread)
        analysis = analysis_of(session, study)
        assert analysis is not None
        assert standing_review(session, analysis) is None
        assert [each.verdict for each in reviews_of(session, analysis)] == [Verdict.AGREE, Verdict.WITHDRAWN]

    def test_an_earlier_review_comes_back_with_its_flags(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        first = review_finding(session, study, COLLEAGUE, Verdict.AGREE)
        review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, present=[StrokeType.SAH])
        withdraw_review(session, study, RADIOLOGIST)
        assert flags_of(session, [study.id]) == {study.id: [StrokeType.SDH]}
        assert study.reviewed_at == first.at

    def test_anothers_word_cannot_be_taken_back(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        review_finding(session, study, COLLEAGUE, Verdict.AGREE)
        with pytest.raises(NotReady, match="nothing to take back"):
            withdraw_review(session, study, RADIOLOGIST)

    def test_after_a_minute_it_stays(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        review = review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        monkeypatch.setattr(reviews, "now", lambda: review.at + timedelta(seconds=61))
        with pytest.raises(NotReady, match="60 s"):
            withdraw_review(session, study, RADIOLOGIST)

    def test_what_is_signed_stays(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        sign_review(session, study, RADIOLOGIST)
        with pytest.raises(NotReady, match="signed"):
            withdraw_review(session, study, RADIOLOGIST)


class TestSignReview:
    def test_the_result_is_final_until_somebody_says_otherwise(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        analysis = analysis_of(session, study)
        assert analysis is not None
        assert report_status(session, analysis) is ReportStatus.PRELIMINARY
        review_finding(session, study, RADIOLOGIST, Verdict.AGREE)
        first = sign_review(session, study, COLLEAGUE)
        assert sign_review(session, study, RADIOLOGIST) is first
        assert report_status(session, analysis) is ReportStatus.FINAL
        review_finding(session, study, RADIOLOGIST, Verdict.CORRECT)
        assert report_status(session, analysis) is ReportStatus.PRELIMINARY

    def test_nothing_is_signed_unread(self, session: Session) -> None:
        with pytest.raises(NotReady, match="review it before signing"):
            sign_review(session, analysed(session), RADIOLOGIST)


class TestDisagreements:
    def test_what_stands_and_differs_waits_until_it_is_settled(self, session: Session) -> None:
        review_finding(session, analysed(session, "1", StrokeType.SDH), RADIOLOGIST, Verdict.AGREE)
        missed = review_finding(
            session, analysed(session, "2"), RADIOLOGIST, Verdict.CORRECT, present=[StrokeType.SAH]
        )
        mistaken = analysed(session, "3", StrokeType.SDH)
        review_finding(session, mistaken, RADIOLOGIST, Verdict.CORRECT)
        withdraw_review(session, mistaken, RADIOLOGIST)
        assert [each.review.id for each in disagreements(session, ML)] == [missed.id]
        settle(session, ML, missed.id, Conclusion.TO_LABEL)
        assert disagreements(session, ML) == []
        [settled] = disagreements(session, ML, settled=True)
        assert settled.settlement is not None
        assert settled.settlement.conclusion is Conclusion.TO_LABEL

    def test_a_page_goes_on_where_the_last_ended(self, session: Session) -> None:
        ids = [
            review_finding(
                session, analysed(session, str(n)), RADIOLOGIST, Verdict.CORRECT, present=[StrokeType.SAH]
            ).id
            for n in range(5)
        ]
        first = disagreements(session, ML, limit=3)
        rest = disagreements(session, ML, limit=3, before=first[-1].review.id)
        assert [each.review.id for each in (*first, *rest)] == ids[::-1]

    def test_another_hospital_sees_none_and_settles_none(self, session: Session) -> None:
        study = analysed(session)
        review = review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, present=[StrokeType.SAH])
        stranger = Viewer("x", Role.RADIOLOGIST, LOEI)
        assert disagreements(session, stranger) == []
        with pytest.raises(NotFound):
            settle(session, stranger, review.id, Conclusion.MODEL_WRONG)

    def test_it_is_settled_once(self, session: Session) -> None:
        study = analysed(session)
        review = review_finding(session, study, RADIOLOGIST, Verdict.CORRECT, present=[StrokeType.SAH])
        settle(session, ML, review.id, Conclusion.MODEL_WRONG)
        with pytest.raises(AlreadyExists, match="model_wrong"):
            settle(session, ML, review.id, Conclusion.REVIEW_WRONG)


class TestAlertBudget:
    def test_flags_are_counted_and_judged_by_the_last_word(self, session: Session) -> None:
        flagged = [analysed(session, str(n), StrokeType.SDH, received=reviews.now()) for n in range(4)]
        analysed(session, "clear", received=reviews.now())
        analysed(session, "elsewhere", StrokeType.SDH, hcode=LOEI, received=reviews.now())
        analysed(session, "old", StrokeType.SDH, received=reviews.now() - timedelta(days=40))
        review_finding(session, flagged[0], RADIOLOGIST, Verdict.AGREE)
        review_finding(session, flagged[1], RADIOLOGIST, Verdict.AGREE)
        review_finding(session, flagged[1], COLLEAGUE, Verdict.CORRECT)
        review_finding(session, flagged[2], RADIOLOGIST, Verdict.NOT_ASSESSABLE, hindrance=Hindrance.METAL)
        review_finding(session, flagged[3], RADIOLOGIST, Verdict.AGREE)
        withdraw_review(session, flagged[3], RADIOLOGIST)
        budget = alert_budget(session, UDON)
        assert (budget.flags, budget.reviewed, budget.right) == (4, 2, 1)
        assert budget.positive_predictive_value == 0.5
        assert budget.flags_per_day == pytest.approx(4 / 30)

    def test_nothing_judged_has_no_value(self, session: Session) -> None:
        assert alert_budget(session, UDON).positive_predictive_value is None
