"""How far readers agree beyond chance: Cohen, Fleiss, Gwet and Krippendorff, with intervals and prevalence.

One figure alone misleads: at 2.5 % prevalence two readers who agree in 95 % of cases have a kappa below 0 and
an AC1 of 0.95. A figure that cannot be had (no case was read twice, or every answer was the same) has no
value and says why; it is never NaN.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from labeling.student import t975

Ratings = Sequence[Sequence[str]]
"""By case, what each of its readers answered, in any order; cases and readers may be many or few."""
Floats = npt.NDArray[np.float64]

Z95 = 1.959964
RESAMPLES = 1000


class Undefined(StrEnum):
    """Why there is no figure."""

    NO_OVERLAP = "no_overlap"
    """No case was read twice."""
    ONE_CATEGORY = "one_category"
    """Every answer is the same, so chance alone would agree as well."""


class Level(StrEnum):
    """How far apart two categories are."""

    NOMINAL = "nominal"
    LINEAR = "linear"
    """By their places in the order, as Cicchetti and Allison weigh them."""
    QUADRATIC = "quadratic"
    """By the square of that distance, as Fleiss and Cohen weigh them."""
    ORDINAL = "ordinal"
    """Krippendorff's: by how many answers lie between them."""


class UnknownCategory(ValueError):
    """An answer is not among the categories; the text names both."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One coefficient with its 95 % interval, and what it must be read with."""

    coefficient: str
    value: float | None
    low: float | None
    """None where one case alone was read twice."""
    high: float | None
    undefined: Undefined | None
    observed: float | None
    """Share of pairs of answers to one case that agree, weighted where categories are."""
    expected: float | None
    """The same by chance, as the coefficient has it."""
    cases: int
    """Cases that have two answers or more."""
    answers: int
    """Answers to those cases."""
    prevalence: Mapping[str, float]
    """Share of every category in those answers."""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.coefficient} undefined ({self.undefined}), {self.cases} cases"
        ends = "no interval" if self.low is None else f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.coefficient} {self.value:.3f} ({ends}), {self.cases} cases"


def cohen_kappa(pairs: Ratings, categories: Sequence[str], *, level: Level = Level.NOMINAL) -> Agreement:
    """Kappa of two readers; weighted where the level is linear or quadratic.

    Args:
        pairs: By case, the first reader's answer and the second's.
        categories: All that could be answered, in their order.
        level: How disagreements weigh; not ordinal.

    Raises:
        UnknownCategory: an answer is not among the categories.
        ValueError: a case has not two answers, or the level is ordinal.

    Cohen, Educ Psychol Meas 1960;20:37. Interval: Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323.
    """
    name = "cohen_kappa" if level is Level.NOMINAL else f"cohen_kappa_{level}"
    if odd := next((each for each in pairs if len(each) != 2), None):
        raise ValueError(f"{list(odd)} are {len(odd)} answers to one case; Cohen's kappa takes 2")
    counts = _counts(pairs, categories)
    if not len(counts):
        return _without(name, Undefined.NO_OVERLAP, counts, categories)
    place = {word: index for index, word in enumerate(categories)}
    table = np.zeros((len(categories), len(categories)))
    for first, second in pairs:
        table[place[first], place[second]] += 1
    table /= len(pairs)
    weights = _weights(len(categories), level)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, expected = float((weights * table).sum()), float(rows @ weights @ columns)
    if expected > 1 - 1e-12:
        return _without(name, Undefined.ONE_CATEGORY, counts, categories, observed)
    value = (observed - expected) / (1 - expected)
    spread = weights - ((weights @ columns)[:, None] + (rows @ weights)[None, :]) * (1 - value)
    inner = float((table * (spread - (table * spread).sum()) ** 2).sum())
    error = float(np.sqrt(inner / len(pairs))) / (1 - expected)
    ends = _ends(value, error, observed, expected, len(pairs), Z95)
    return _agreement(name, value, ends, observed, expected, counts, categories)


def fleiss_kappa(ratings: Ratings, categories: Sequence[str]) -> Agreement:
    """Fleiss' kappa of any number of readers, generalised to cases with differing numbers of answers.

    Raises:
        UnknownCategory: an answer is not among the categories.

    Fleiss, Psychol Bull 1971;76:378. Interval: Gwet, Handbook of Inter-Rater Reliability, 4th ed. 2014.
    """
    return _by_chance("fleiss_kappa", ratings, categories, lambda shares: shares)


def gwet_ac1(ratings: Ratings, categories: Sequence[str]) -> Agreement:
    """Gwet's AC1, which holds where a category is rare and kappa does not.

    Raises:
        UnknownCategory: an answer is not among the categories.
        ValueError: there are fewer than two categories.

    Gwet, Br J Math Stat Psychol 2008;61:29.
    """
    if len(categories) < 2:
        raise ValueError(f"AC1 needs two categories or more, not {list(categories)}")
    return _by_chance("gwet_ac1", ratings, categories, lambda shares: (1 - shares) / (len(categories) - 1))


def krippendorff_alpha(
    ratings: Ratings, categories: Sequence[str], *, level: Level = Level.NOMINAL, seed: int = 0
) -> Agreement:
    """Krippendorff's alpha; the interval is that of a bootstrap by case.

    Raises:
        UnknownCategory: an answer is not among the categories.

    Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011; Hayes and Krippendorff, 2007.
    """
    name = "krippendorff_alpha" if level is Level.NOMINAL else f"krippendorff_alpha_{level}"
    counts = _counts(ratings, categories)
    if not len(counts):
        return _without(name, Undefined.NO_OVERLAP, counts, categories)
    alone = _pairings(counts)
    observed, expected = (float(each[0]) for each in _alphas(alone.sum(axis=0)[None], level))
    if expected > 1 - 1e-12:
        return _without(name, Undefined.ONE_CATEGORY, counts, categories, observed)
    value = (observed - expected) / (1 - expected)
    ends: tuple[float, float] | None = None
    if value > 1 - 1e-12:
        ends = _ends(value, 0.0, observed, expected, len(counts), Z95)
    elif len(counts) > 1:
        share = np.full(len(counts), 1 / len(counts))
        drawn = np.random.default_rng(seed).multinomial(len(counts), share, size=RESAMPLES)
        flat = drawn @ alone.reshape(len(counts), -1)
        agreed, chance = _alphas(flat.reshape(RESAMPLES, *alone.shape[1:]), level)
        # a resample of one category alone has no alpha and says nothing of it
        told = chance < 1 - 1e-12
        low, high = np.quantile((agreed[told] - chance[told]) / (1 - chance[told]), [0.025, 0.975])
        ends = float(low), float(high)
    return _agreement(name, value, ends, observed, expected, counts, categories)


def _by_chance(
    name: str, ratings: Ratings, categories: Sequence[str], weigh: Callable[[Floats], Floats]
) -> Agreement:
    """A coefficient whose chance agreement is the shares times `weigh` of them, with Gwet's variance."""
    counts = _counts(ratings, categories, least=1)
    twice = counts.sum(axis=1) >= 2
    if not twice.any():
        return _without(name, Undefined.NO_OVERLAP, counts[twice], categories)
    reads = counts.sum(axis=1)
    portions = counts / reads[:, None]
    shares = portions.mean(axis=0)
    agreed = np.where(twice, (counts * (counts - 1)).sum(axis=1) / np.maximum(reads * (reads - 1), 1), 0.0)
    observed, expected = float(agreed[twice].mean()), float(shares @ weigh(shares))
    if expected > 1 - 1e-12:
        return _without(name, Undefined.ONE_CATEGORY, counts[twice], categories, observed)
    value = (observed - expected) / (1 - expected)
    scale = len(counts) / int(twice.sum())
    each = scale * np.where(twice, agreed - expected, 0.0) / (1 - expected)
    each -= 2 * (1 - value) * (portions @ weigh(shares) - expected) / (1 - expected)
    ends = None
    if len(counts) > 1:
        error = float(np.sqrt(((each - value) ** 2).sum() / (len(counts) * (len(counts) - 1))))
        ends = _ends(value, error, observed, expected, int(twice.sum()), t975(len(counts) - 1))
    return _agreement(name, value, ends, observed, expected, counts[twice], categories)


def _pairings(counts: Floats) -> Floats:
    """(cases, categories, categories): what every case adds to Krippendorff's table of coincidences."""
    own = counts[:, :, None] * np.eye(counts.shape[1])
    both: Floats = counts[:, :, None] * counts[:, None, :] - own
    both /= (counts.sum(axis=1) - 1)[:, None, None]
    return both


def _alphas(together: Floats, level: Level) -> tuple[Floats, Floats]:
    """Observed and expected agreement of tables of coincidences, (tables, categories, categories)."""
    totals = together.sum(axis=2)
    count = totals.sum(axis=1)
    if level is Level.ORDINAL:
        middle = np.cumsum(totals, axis=1) - totals / 2
        apart = (middle[:, :, None] - middle[:, None, :]) ** 2
        apart /= np.maximum(apart.max(axis=(1, 2)), 1.0)[:, None, None]
    else:
        apart = (1 - _weights(totals.shape[1], level))[None]
    differ = (together * apart).sum(axis=(1, 2)) / count
    chance = (totals[:, :, None] * totals[:, None, :] * apart).sum(axis=(1, 2)) / (count * (count - 1))
    return 1 - differ, 1 - chance


def _weights(count: int, level: Level) -> Floats:
    """1 on the diagonal, 0 for what could not differ more."""
    if level is Level.ORDINAL:
        raise ValueError("ordinal distances depend on the answers; only Krippendorff's alpha takes them")
    if level is Level.NOMINAL or count < 2:
        return np.eye(count)
    place = np.arange(count)
    apart: Floats = np.abs(place[:, None] - place[None, :]) / (count - 1)
    weights: Floats = 1 - (apart if level is Level.LINEAR else apart**2)
    return weights


def _counts(ratings: Ratings, categories: Sequence[str], *, least: int = 2) -> Floats:
    """(cases, categories): how often each was answered, of the cases with `least` answers or more."""
    known = set(categories)
    for answers in ratings:
        if strange := sorted(set(answers) - known):
            raise UnknownCategory(f"{strange} are not among the categories {list(categories)}")
    tallies = [Counter(answers) for answers in ratings if len(answers) >= least]
    rows = [[tally[word] for word in categories] for tally in tallies]
    return np.array(rows, np.float64).reshape(len(rows), len(categories))


def _ends(
    value: float, error: float, observed: float, expected: float, cases: int, steps: float
) -> tuple[float, float]:
    """The interval; where nothing or everything differs the variance is 0, and Wilson's end stands in."""
    if error < 1e-12 and observed > 1 - 1e-12:
        least = cases / (cases + Z95**2)
        return max(-1.0, (least - expected) / (1 - expected)), 1.0
    if error < 1e-12 and observed < 1e-12:
        most = Z95**2 / (cases + Z95**2)
        return value, max(value, (most - expected) / (1 - expected))
    return min(value, max(-1.0, value - steps * error)), min(1.0, value + steps * error)


def _agreement(
    name: str,
    value: float,
    ends: tuple[float, float] | None,
    observed: float,
    expected: float,
    counts: Floats,
    categories: Sequence[str],
) -> Agreement:
    low, high = ends if ends is not None else (None, None)
    return Agreement(
        name,
        value,
        low,
        high,
        None,
        observed,
        expected,
        len(counts),
        int(counts.sum()),
        _shares(counts, categories),
    )


def _without(
    name: str, why: Undefined, counts: Floats, categories: Sequence[str], observed: float | None = None
) -> Agreement:
    shares = _shares(counts, categories)
    return Agreement(name, None, None, None, why, observed, None, len(counts), int(counts.sum()), shares)


def _shares(counts: Floats, categories: Sequence[str]) -> Mapping[str, float]:
    total = float(counts.sum())
    if not total:
        return MappingProxyType(dict.fromkeys(categories, 0.0))
    sums = counts.sum(axis=0) / total
    return MappingProxyType({word: float(share) for word, share in zip(categories, sums, strict=True)})
