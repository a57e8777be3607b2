"""The study's criteria: every reason is named, and a contradiction goes to a person."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.answers import Answer, Answers, Criterion, Doubt, Facts, Source, hours_between
from labeling.criteria import Judgement, Verdict, judge
from labeling.icd10 import CodeKind, read_codes
from labeling.wording import DOUBTS

YES = dict.fromkeys(Criterion, Answer.YES)
CT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
GOOD = Facts(age_years=61, birth_date=date(1964, 5, 1), acquired=CT, report=True)

answers = st.builds(
    Answers,
    said=st.dictionaries(st.sampled_from(Criterion), st.sampled_from(Answer)),
    icd10=st.sampled_from(["", "I63.9", "I619", "I69.3", "S06.5", "I61 S06", "G45.9", "l63.9", "stroke"]),
    onset=st.none()
    | st.dates(date(2026, 2, 20), date(2026, 3, 5))
    | st.floats(-100, 200).map(lambda hours: CT - timedelta(hours=hours)),
)
facts = st.builds(
    Facts,
    age_years=st.none() | st.integers(0, 100),
    birth_date=st.none() | st.dates(date(1920, 1, 1), date(2026, 1, 1)),
    acquired=st.sampled_from([None, CT, CT.date()]),
    skull_defect=st.sampled_from([None, True, False]),
    motion=st.sampled_from([None, True, False]),
    report=st.sampled_from([None, True, False]),
)


def said(**changes: Answer) -> Answers:
    return Answers({**YES, **{Criterion(word): answer for word, answer in changes.items()}}, icd10="I63.9")


def doubts(judgement: Judgement) -> set[Doubt]:
    return {each.doubt for each in judgement.doubts}


class TestCodes:
    @pytest.mark.parametrize(
        ("written", "plain", "kind"),
        [
            ("I63.9", "I639", CodeKind.ACUTE_STROKE),
            ("i6390", "I6390", CodeKind.ACUTE_STROKE),
            ("I60", "I60", CodeKind.ACUTE_STROKE),
            ("I64*", "I64", CodeKind.ACUTE_STROKE),
            ("I๖๑.๐", "I610", CodeKind.ACUTE_STROKE),
            ("I69.3", "I693", CodeKind.SEQUELA),
            ("S06.5", "S065", CodeKind.HEAD_INJURY),
            ("I65.2", "I652", CodeKind.OTHER),
            ("G459", "G459", CodeKind.OTHER),
            ("l63.9", "L639", CodeKind.UNREADABLE),
            ("163.9", "", CodeKind.UNREADABLE),
            ("stroke", "", CodeKind.UNREADABLE),
        ],
    )
    def test_a_code_is_read_as_hospitals_write_it(self, written: str, plain: str, kind: CodeKind) -> None:
        (code,) = read_codes(written)
        assert (code.plain, code.kind) == (plain, kind)

    def test_several_codes_are_in_one_field(self) -> None:
        assert [code.plain for code in read_codes(" I61.0; I10,E119 ")] == ["I610", "I10", "E119"]
        assert read_codes("  ") == ()


class TestJudge:
    def test_a_case_that_meets_everything_is_eligible(self) -> None:
        judgement = judge(Answers(YES, "I63.9", CT - timedelta(hours=5)), GOOD)
        assert (judgement.verdict, judgement.doubts) == (Verdict.ELIGIBLE, ())

    def test_every_reason_of_an_excluded_case_is_named(self) -> None:
        no = said(adult=Answer.NO, report=Answer.NO, no_surgery=Answer.NO)
        judgement = judge(no, Facts(age_years=9))
        assert judgement.verdict is Verdict.EXCLUDED
        assert judgement.excluded_by == (Criterion.ADULT, Criterion.REPORT, Criterion.NO_SURGERY)
        assert judgement.excluded_by[0].reason.en == "Under 18 years"

    @pytest.mark.parametrize(
        ("given", "seen", "doubt"),
        [
            (said(), Facts(age_years=17), Doubt.AGE_CONTRADICTS),
            (said(adult=Answer.NO), Facts(age_years=70), Doubt.AGE_CONTRADICTS),
            (said(), Facts(age_years=60, birth_date=date(1950, 1, 1), acquired=CT), Doubt.AGES_DIFFER),
            (Answers(YES, "I69.3"), GOOD, Doubt.CODE_CONTRADICTS),
            (Answers(YES, "I61.0 S06.5"), GOOD, Doubt.CODE_INJURY),
            (Answers(YES, "l63.9"), GOOD, Doubt.CODE_UNREADABLE),
            (Answers(YES, "I63", CT - timedelta(hours=73)), GOOD, Doubt.HOURS_CONTRADICT),
            (
                Answers({**YES, Criterion.WITHIN_72_H: Answer.NO}, "I63", CT - timedelta(hours=3)),
                GOOD,
                Doubt.HOURS_CONTRADICT,
            ),
            (Answers(YES, "I63", CT + timedelta(hours=1)), GOOD, Doubt.CT_BEFORE_ONSET),
            (said(), Facts(skull_defect=True), Doubt.SKULL_DEFECT),
            (said(), Facts(motion=True), Doubt.MOTION),
            (said(), Facts(report=False), Doubt.NO_REPORT_TEXT),
            (said(report=Answer.NO), Facts(report=True), Doubt.REPORT_TEXT),
        ],
    )
    def test_a_contradiction_goes_to_a_person(self, given: Answers, seen: Facts, doubt: Doubt) -> None:
        judgement = judge(given, seen)
        assert judgement.verdict is Verdict.NEEDS_PERSON
        assert doubt in doubts(judgement)

    def test_doubts_name_the_values_in_both_languages(self) -> None:
        (doubtful,) = judge(Answers(YES, "I63", CT - timedelta(hours=80)), GOOD).doubts
        assert "80.0 hours" in doubtful.text.en
        assert "80.0" in doubtful.text.th

    def test_a_contradiction_holds_up_even_a_case_that_another_reason_excludes(self) -> None:
        judgement = judge(said(report=Answer.NO), Facts(age_years=9))
        assert judgement.verdict is Verdict.NEEDS_PERSON
        assert judgement.excluded_by == (Criterion.REPORT,)

    def test_an_open_question_does_not_hold_up_an_exclusion(self) -> None:
        assert judge(said(deficit=Answer.UNKNOWN, report=Answer.NO), Facts()).verdict is Verdict.EXCLUDED
        assert judge(said(deficit=Answer.UNKNOWN), Facts()).verdict is Verdict.NEEDS_PERSON

    def test_data_answer_what_nobody_said(self) -> None:
        open_questions = said(adult=Answer.UNKNOWN, within_72_h=Answer.UNKNOWN, report=Answer.UNKNOWN)
        judgement = judge(Answers(open_questions.said, "I63", CT - timedelta(hours=2)), GOOD)
        assert judgement.verdict is Verdict.ELIGIBLE
        assert judgement.decided[Criterion.ADULT] == (Answer.YES, Source.DATA)

    def test_eighteen_is_adult_and_the_day_before_is_not(self) -> None:
        unknown = said(adult=Answer.UNKNOWN)
        for born, verdict in ((date(2008, 3, 2), Verdict.ELIGIBLE), (date(2008, 3, 3), Verdict.EXCLUDED)):
            assert judge(unknown, Facts(birth_date=born, acquired=CT)).verdict is verdict

    def test_a_day_without_an_hour_decides_only_where_every_hour_of_it_would(self) -> None:
        unknown = said(within_72_h=Answer.UNKNOWN)
        for day, answer in ((1, Answer.YES), (-3, Answer.NO)):
            onset = date(2026, 3, 1) - timedelta(days=1 - day)
            judgement = judge(Answers(unknown.said, "I63", onset), Facts(acquired=CT))
            assert judgement.decided[Criterion.WITHIN_72_H][0] is answer
        edge = judge(Answers(unknown.said, "I63", date(2026, 2, 27)), Facts(acquired=CT))
        assert doubts(edge) == {Doubt.UNANSWERED}

    def test_a_moment_without_a_time_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="2026-03-01T08:00:00 has no time zone"):
            hours_between(datetime(2026, 3, 1, 8), CT)

    def test_every_doubt_has_words(self) -> None:
        assert set(DOUBTS) == {each.value for each in Doubt}


class TestProperties:
    @given(answers, facts)
    def test_only_what_surely_holds_is_eligible_and_only_what_surely_fails_excluded(
        self, given: Answers, seen: Facts
    ) -> None:
        judgement = judge(given, seen)
        holds = {answer for answer, _ in judgement.decided.values()}
        contradicted = doubts(judgement) - {Doubt.UNANSWERED}
        assert (judgement.verdict is Verdict.ELIGIBLE) == (holds == {Answer.YES} and not judgement.doubts)
        assert (judgement.verdict is Verdict.EXCLUDED) == (Answer.NO in holds and not contradicted)
        assert judgement.excluded_by == tuple(
            each for each in Criterion if judgement.decided[each][0] is Answer.NO
        )

    @given(answers, facts, st.dictionaries(st.sampled_from(Criterion), st.sampled_from(Answer)))
    def test_a_persons_word_ends_the_doubts_of_its_criterion_and_no_others(
        self, given: Answers, seen: Facts, confirmed: dict[Criterion, Answer]
    ) -> None:
        before, after = judge(given, seen), judge(given, seen, confirmed=confirmed)
        settled = {each for each, answer in confirmed.items() if answer is not Answer.UNKNOWN}
        assert after.doubts == tuple(each for each in before.doubts if each.criterion not in settled)
        for criterion in settled:
            assert after.decided[criterion] == (confirmed[criterion], Source.PERSON)

    @given(answers, facts)
    def test_an_answer_is_never_overruled_by_data(self, given: Answers, seen: Facts) -> None:
        judgement = judge(given, seen)
        for criterion, answer in given.said.items():
            if answer is not Answer.UNKNOWN:
                assert judgement.decided[criterion] == (answer, Source.HOSPITAL)
