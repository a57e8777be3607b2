"""How far the campaign's readers agree, live: by question, by pair, and of each reader with themselves."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy.orm import Session

from labeling.agreement import Agreement, Level, cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha
from labeling.labels import Presence, aspects_of, findings_of
from model.stroke import StrokeType
from service.reads import newest_reads, parse_label

CATEGORIES = tuple(presence.value for presence in Presence)
SCORES = tuple(str(score) for score in range(11))
ASPECTS = "aspects"

ByQuestion = dict[str, dict[int, dict[str, str]]]
"""By question, case and reader."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two readers on one question; of one reader with themselves where both are the same."""

    first: str
    second: str
    kappa: Agreement
    ac1: Agreement


def figures(session: Session) -> list[tuple[str, Agreement]]:
    """Every question with its coefficients over all who read the same cases."""
    first, _ = _answers(session)
    found = []
    for question in (*StrokeType, ASPECTS):
        ratings = [list(answers.values()) for answers in first[str(question)].values()]
        if question == ASPECTS:
            found.append((ASPECTS, krippendorff_alpha(ratings, SCORES, level=Level.ORDINAL)))
            continue
        for coefficient in (gwet_ac1, fleiss_kappa, krippendorff_alpha):
            found.append((str(question), coefficient(ratings, CATEGORIES)))
    return found


def pairs(session: Session, question: str) -> list[PairAgreement]:
    """Who agrees with whom on one question: every pair with common cases, and everybody's own re-reads."""
    first, again = _answers(session)
    common: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for case, answers in first[question].items():
        for one, other in combinations(sorted(answers), 2):
            common[one, other].append((answers[one], answers[other]))
        for reader, answer in again[question].get(case, {}).items():
            if reader in answers:
                common[reader, reader].append((answers[reader], answer))
    categories = SCORES if question == ASPECTS else CATEGORIES
    level = Level.QUADRATIC if question == ASPECTS else Level.NOMINAL
    return [
        PairAgreement(*names, cohen_kappa(rated, categories, level=level), gwet_ac1(rated, categories))
        for names, rated in sorted(common.items())
    ]


def _answers(session: Session) -> tuple[ByQuestion, ByQuestion]:
    """By question, case and reader: the first reads, and the planned re-reads."""
    first, again = _nested(), _nested()
    for read in newest_reads(session):
        label = parse_label(read.label)
        said = {str(kind): presence.value for kind, presence in findings_of(label).items()}
        if (score := aspects_of(label)) is not None:
            said[ASPECTS] = str(score)
        for question, answer in said.items():
            (first if read.read_no == 1 else again)[question][read.case_id][read.reader] = answer
    return first, again


def _nested() -> ByQuestion:
    return defaultdict(lambda: defaultdict(dict))


def questions() -> Iterable[str]:
    """Everything that is asked of a reader and measured."""
    return (*(kind.value for kind in StrokeType), ASPECTS)
