"""Which cases the study takes: the criteria, judged from what hospitals say and what the data show.

Answers and data that contradict each other go to a person, never one over the other. Published are "over 18"
and "under 18"; the hub takes completed years, so 18 is in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from labeling.answers import (
    Answer,
    Answers,
    Criterion,
    Doubt,
    Doubtful,
    Facts,
    Source,
    hours_between,
    span_of,
)
from labeling.icd10 import Code, CodeKind, read_codes
from labeling.wording import DOUBTS, Both

MIN_AGE = 18
MAX_HOURS = 72
AGES_DIFFER = 1.5
"""Years; more than that between two ages is no birthday between booking and scan."""


class Verdict(StrEnum):
    """What becomes of a case."""

    ELIGIBLE = "eligible"
    EXCLUDED = "excluded"
    NEEDS_PERSON = "needs_person"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a case, and why."""

    verdict: Verdict
    excluded_by: tuple[Criterion, ...]
    """All that it does not meet, in their order; also where doubts keep it from being excluded yet."""
    doubts: tuple[Doubtful, ...]
    decided: Mapping[Criterion, tuple[Answer, Source]]
    """Every criterion: what holds, and who said so."""


def judge(
    answers: Answers, facts: Facts, *, confirmed: Mapping[Criterion, Answer] = MappingProxyType({})
) -> Judgement:
    """Judge one case.

    A contradiction always asks for a person. So does an open question, unless the case is out by another
    criterion anyway.

    Args:
        answers: What the hospital says.
        facts: What the data say.
        confirmed: What a person who looked has settled; ends every doubt of that criterion. UNKNOWN does not.

    Raises:
        ValueError: a moment without a time zone.
    """
    settled = {criterion: answer for criterion, answer in confirmed.items() if answer is not Answer.UNKNOWN}
    decided: dict[Criterion, tuple[Answer, Source]] = {}
    doubts: list[Doubtful] = []
    for criterion, rule in _RULES.items():
        answer, source, mine = rule(answers, facts)
        if criterion in settled:
            answer, source, mine = settled[criterion], Source.PERSON, []
        elif answer is Answer.UNKNOWN and not mine:
            mine = [_doubt(criterion, Doubt.UNANSWERED)]
        decided[criterion] = (answer, source)
        doubts += mine
    excluded_by = tuple(each for each, (answer, _) in decided.items() if answer is Answer.NO)
    contradictions = [each for each in doubts if each.doubt is not Doubt.UNANSWERED]
    if contradictions or (doubts and not excluded_by):
        verdict = Verdict.NEEDS_PERSON
    else:
        verdict = Verdict.EXCLUDED if excluded_by else Verdict.ELIGIBLE
    return Judgement(verdict, excluded_by, tuple(doubts), MappingProxyType(decided))


_Ruling = tuple[Answer, Source, list[Doubtful]]


def _adult(answers: Answers, facts: Facts) -> _Ruling:
    said = _said(answers, Criterion.ADULT)
    ages = [age for age in (facts.age_years, _age_at(facts)) if age is not None]
    doubts = []
    if len(ages) == 2 and abs(ages[0] - ages[1]) > AGES_DIFFER:
        doubts.append(_doubt(Criterion.ADULT, Doubt.AGES_DIFFER, age=ages[0], other=ages[1]))
    shown = {_yes(age >= MIN_AGE) for age in ages}
    if said is not Answer.UNKNOWN:
        doubts += [
            _doubt(Criterion.ADULT, Doubt.AGE_CONTRADICTS, said=said, age=age)
            for age in ages
            if _yes(age >= MIN_AGE) is not said
        ]
        return said, Source.HOSPITAL, doubts
    if len(shown) == 1 and not doubts:
        return shown.pop(), Source.DATA, []
    return Answer.UNKNOWN, Source.NOBODY, doubts


def _stroke_code(answers: Answers, _: Facts) -> _Ruling:
    said, codes = _said(answers, Criterion.STROKE_CODE), read_codes(answers.icd10)
    criterion = Criterion.STROKE_CODE
    doubts = [
        _doubt(criterion, Doubt.CODE_UNREADABLE, code=code.written)
        for code in codes
        if code.kind is CodeKind.UNREADABLE
    ]
    acute = _has(codes, CodeKind.ACUTE_STROKE)
    if acute and _has(codes, CodeKind.HEAD_INJURY):
        doubts.append(_doubt(criterion, Doubt.CODE_INJURY, code=answers.icd10))
    if not codes:
        return said, Source.NOBODY if said is Answer.UNKNOWN else Source.HOSPITAL, doubts
    readable = any(code.kind is not CodeKind.UNREADABLE for code in codes)
    coded = _yes(acute) if readable else Answer.UNKNOWN
    if Answer.UNKNOWN not in (said, coded) and said is not coded:
        doubts.append(_doubt(criterion, Doubt.CODE_CONTRADICTS, said=said, code=answers.icd10))
    # the code is the hospital's own word, so it decides where nothing else was said
    answer = coded if said is Answer.UNKNOWN else said
    return answer, Source.NOBODY if answer is Answer.UNKNOWN else Source.HOSPITAL, doubts


def _within_72_h(answers: Answers, facts: Facts) -> _Ruling:
    said, criterion = _said(answers, Criterion.WITHIN_72_H), Criterion.WITHIN_72_H
    source = Source.NOBODY if said is Answer.UNKNOWN else Source.HOSPITAL
    if answers.onset is None or facts.acquired is None:
        return said, source, []
    low, high = hours_between(answers.onset, facts.acquired)
    doubts = []
    if facts.birth_date is not None and span_of(answers.onset)[1] < span_of(facts.birth_date)[0]:
        doubts.append(_doubt(criterion, Doubt.ONSET_BEFORE_BIRTH, onset=answers.onset))
    if high < 0:
        return said, source, [*doubts, _doubt(criterion, Doubt.CT_BEFORE_ONSET, hours=-high)]
    shown = Answer.YES if high <= MAX_HOURS else Answer.NO if low > MAX_HOURS else Answer.UNKNOWN
    if said is Answer.UNKNOWN:
        return shown, Source.NOBODY if shown is Answer.UNKNOWN else Source.DATA, doubts
    if shown is not Answer.UNKNOWN and shown is not said:
        hours = low if shown is Answer.NO else high
        doubts.append(_doubt(criterion, Doubt.HOURS_CONTRADICT, said=said, hours=hours))
    return said, source, doubts


def _deficit(answers: Answers, _: Facts) -> _Ruling:
    return _as_said(answers, Criterion.DEFICIT)


def _diagnostic(answers: Answers, facts: Facts) -> _Ruling:
    return _as_said(answers, Criterion.DIAGNOSTIC, Doubt.MOTION if facts.motion else None)


def _report(answers: Answers, facts: Facts) -> _Ruling:
    said = _said(answers, Criterion.REPORT)
    if said is Answer.UNKNOWN and facts.report:
        return Answer.YES, Source.DATA, []
    if said is Answer.NO and facts.report:
        return said, Source.HOSPITAL, [_doubt(Criterion.REPORT, Doubt.REPORT_TEXT)]
    return _as_said(answers, Criterion.REPORT, Doubt.NO_REPORT_TEXT if facts.report is False else None)


def _no_surgery(answers: Answers, facts: Facts) -> _Ruling:
    return _as_said(answers, Criterion.NO_SURGERY, Doubt.SKULL_DEFECT if facts.skull_defect else None)


def _as_said(answers: Answers, criterion: Criterion, seen: Doubt | None = None) -> _Ruling:
    """What was said; what the data show against it is a doubt unless the case is out by the answer itself."""
    said = _said(answers, criterion)
    doubts = [_doubt(criterion, seen)] if seen and said is not Answer.NO else []
    return said, Source.NOBODY if said is Answer.UNKNOWN else Source.HOSPITAL, doubts


_RULES = {
    Criterion.ADULT: _adult,
    Criterion.DEFICIT: _deficit,
    Criterion.STROKE_CODE: _stroke_code,
    Criterion.WITHIN_72_H: _within_72_h,
    Criterion.DIAGNOSTIC: _diagnostic,
    Criterion.REPORT: _report,
    Criterion.NO_SURGERY: _no_surgery,
}


def _said(answers: Answers, criterion: Criterion) -> Answer:
    return answers.said.get(criterion, Answer.UNKNOWN)


def _yes(holds: bool) -> Answer:
    return Answer.YES if holds else Answer.NO


def _has(codes: tuple[Code, ...], kind: CodeKind) -> bool:
    return any(code.kind is kind for code in codes)


def _age_at(facts: Facts) -> float | None:
    """Completed years at the CT."""
    if facts.birth_date is None or facts.acquired is None:
        return None
    born, day = facts.birth_date, span_of(facts.acquired)[0].date()
    return float(day.year - born.year - ((day.month, day.day) < (born.month, born.day)))


def _doubt(criterion: Criterion, doubt: Doubt, **values: object) -> Doubtful:
    shown = {name: f"{value:.1f}" if isinstance(value, float) else value for name, value in values.items()}
    text = DOUBTS[doubt]
    return Doubtful(criterion, doubt, Both(text.th.format(**shown), text.en.format(**shown)))
