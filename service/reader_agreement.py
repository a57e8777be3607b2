"""How far the readers agree, live: by question, by pair, by reader, and of each with themselves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import median_low

from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.agreement import Agreement, Level, cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha
from labeling.labels import Label, Presence, aspects_of, findings_of
from model.stroke import StrokeType
from service.adjudications import Adjudication
from service.reads import newest_reads, parse_label

CATEGORIES = tuple(presence.value for presence in Presence)
SCORES = tuple(str(score) for score in range(11))
ASPECTS = "aspects"

ByQuestion = Mapping[str, Mapping[int, Mapping[str, str]]]
"""By question, case and reader."""


@dataclass(frozen=True, slots=True)
class Said:
    """Everything that readers and adjudicators have said, parsed once."""

    first: ByQuestion
    again: ByQuestion
    """The planned re-reads."""
    decided: Mapping[str, Mapping[int, str]]
    """By question and case, an adjudicator's word."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two readers on one question; of one reader with themselves where both are the same."""

    first: str
    second: str
    kappa: Agreement
    ac1: Agreement


@dataclass(frozen=True, slots=True)
class ReaderAgreement:
    """One reader on one question, against what a case came to without them."""

    reader: str
    reads: int
    """Cases that they answered the question of."""
    kappa: Agreement
    ac1: Agreement
    found: tuple[int, int]
    """Of the cases that have it, how many the reader called so; (0, 0) for a score."""
    cleared: tuple[int, int]
    """Of the cases that have it not, how many the reader called so."""
    again: Agreement
    """Their planned re-reads against their first reads."""


def gather(session: Session) -> Said:
    """Everything that was said, as the figures take it."""
    first, again = _nested(), _nested()
    for read in newest_reads(session):
        for question, answer in _answers(parse_label(read.label)).items():
            (first if read.read_no == 1 else again)[question][read.case_id][read.reader] = answer
    decided: dict[str, dict[int, str]] = defaultdict(dict)
    for each in session.scalars(select(Adjudication).order_by(Adjudication.id)):
        for question, answer in _answers(parse_label(each.label)).items():
            decided[question][each.case_id] = answer
    return Said(first, again, decided)


def figures(session: Session, said: Said | None = None) -> list[tuple[str, Agreement]]:
    """Every question with its coefficients over all who read the same cases."""
    first = (said or gather(session)).first
    found = []
    for question in questions():
        ratings = [list(answers.values()) for answers in first.get(question, {}).values()]
        if question == ASPECTS:
            found.append((ASPECTS, krippendorff_alpha(ratings, SCORES, level=Level.ORDINAL)))
            continue
        for coefficient in (gwet_ac1, fleiss_kappa, krippendorff_alpha):
            found.append((question, coefficient(ratings, CATEGORIES)))
    return found


def pairs(session: Session, question: str, said: Said | None = None) -> list[PairAgreement]:
    """Who agrees with whom on one question: every pair with common cases, and everybody's own re-reads."""
    said = said or gather(session)
    common: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for case, answers in said.first.get(question, {}).items():
        for one, other in combinations(sorted(answers), 2):
            common[one, other].append((answers[one], answers[other]))
        for reader, answer in said.again.get(question, {}).get(case, {}).items():
            if reader in answers:
                common[reader, reader].append((answers[reader], answer))
    return [
        PairAgreement(*names, _kappa(question, rated), gwet_ac1(rated, _categories(question)))
        for names, rated in sorted(common.items())
    ]


def by_reader(session: Session, question: str, said: Said | None = None) -> list[ReaderAgreement]:
    """Every reader against the adjudicator's word, or where there is none against the others' majority.

    A reader's own answer never counts for what it is measured by, and a case on which the others are even
    measures nobody. Each case counts once, so the intervals hold.
    """
    said = said or gather(session)
    measured: dict[str, list[tuple[str, str]]] = defaultdict(list)
    repeated: dict[str, list[tuple[str, str]]] = defaultdict(list)
    reads: dict[str, int] = defaultdict(int)
    for case, answers in said.first.get(question, {}).items():
        word = said.decided.get(question, {}).get(case)
        for reader, answer in answers.items():
            reads[reader] += 1
            others = [each for name, each in answers.items() if name != reader]
            if (reference := word or _middle(question, others)) is not None:
                measured[reader].append((reference, answer))
            if (later := said.again.get(question, {}).get(case, {}).get(reader)) is not None:
                repeated[reader].append((answer, later))
    return [
        ReaderAgreement(
            reader,
            reads[reader],
            _kappa(question, measured[reader]),
            gwet_ac1(measured[reader], _categories(question)),
            _hits(measured[reader], Presence.PRESENT),
            _hits(measured[reader], Presence.ABSENT),
            _kappa(question, repeated[reader]),
        )
        for reader in sorted(reads)
    ]


def questions() -> Iterable[str]:
    """Everything that is asked of a reader and measured."""
    return (*(kind.value for kind in StrokeType), ASPECTS)


def _answers(label: Label) -> dict[str, str]:
    said = {kind.value: presence.value for kind, presence in findings_of(label).items()}
    if (score := aspects_of(label)) is not None:
        said[ASPECTS] = str(score)
    return said


def _middle(question: str, answers: list[str]) -> str | None:
    """What most answered, or of scores the middle one; None where nobody did, or they are even."""
    if not answers:
        return None
    if question == ASPECTS:
        return str(median_low(map(int, answers)))
    return next((word for word in CATEGORIES if 2 * answers.count(word) > len(answers)), None)


def _kappa(question: str, rated: list[tuple[str, str]]) -> Agreement:
    level = Level.QUADRATIC if question == ASPECTS else Level.NOMINAL
    return cohen_kappa(rated, _categories(question), level=level)


def _categories(question: str) -> tuple[str, ...]:
    return SCORES if question == ASPECTS else CATEGORIES


def _hits(rated: list[tuple[str, str]], presence: Presence) -> tuple[int, int]:
    own = [answer for reference, answer in rated if reference == presence.value]
    return sum(answer == presence.value for answer in own), len(own)


def _nested() -> dict[str, dict[int, dict[str, str]]]:
    return defaultdict(lambda: defaultdict(dict))
