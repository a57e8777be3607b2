"""What is true of every simulated case, and what its hospital says of it: drawn by a seed, known before."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from labeling.answers import Answer, Criterion
from model.stroke import StrokeType

FIRST_SEED = 840_000_000
"""Of heads that no recipe trains on by itself."""
CONTRADICTED = 0.06
EXCLUDED = 0.04
TWINS = 0.02
MINOR_AGE = 16.0
FINDINGS: tuple[tuple[tuple[str, ...], float], ...] = (
    ((), 0.34),
    (("iph",), 0.13),
    (("iph", "ivh"), 0.06),
    (("ivh",), 0.03),
    (("sah",), 0.08),
    (("sdh",), 0.08),
    (("edh",), 0.04),
    (("sdh", "sah"), 0.02),
    (("infarct",), 0.10),
    (("infarct", "hyperdense_artery"), 0.04),
    (("hyperdense_artery",), 0.02),
    (("old_infarct",), 0.04),
    (("old_infarct", "iph"), 0.02),
)
"""What a head holds, and how often."""


class Contradiction(StrEnum):
    """What a hospital says against what its own images, codes or clock say."""

    AGE = "age"
    """Adult, it says; the images say 16 years."""
    CT_BEFORE_ONSET = "ct_before_onset"
    SKULL_DEFECT = "skull_defect"
    """Never operated on, it says."""
    CODE = "code"
    """A stroke, it says, and codes an old one."""
    HOURS = "hours"
    """Within 72 hours, it says, and gives an onset five days before."""


CRITERION = {
    Contradiction.AGE: Criterion.ADULT,
    Contradiction.CT_BEFORE_ONSET: Criterion.WITHIN_72_H,
    Contradiction.SKULL_DEFECT: Criterion.NO_SURGERY,
    Contradiction.CODE: Criterion.STROKE_CODE,
    Contradiction.HOURS: Criterion.WITHIN_72_H,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One case before it is simulated."""

    number: int
    hcode: str
    seed: int
    lesions: tuple[str, ...]
    age: float
    contradiction: Contradiction | None = None
    excluded: Criterion | None = None
    """What the hospital rightly says does not hold."""
    twin_of: int | None = None
    """The case whose patient this is, under another number at another hospital."""
    citizen_id: str = ""
    """Given with the answers; a twin under another name is found by it, one under the same name without."""
    renamed: bool = False

    def holds(self, criterion: Criterion) -> Answer:
        """What a person finds who looks."""
        if criterion is self.excluded:
            return Answer.NO
        if self.contradiction in (
            None,
            Contradiction.CT_BEFORE_ONSET,
        ):  # a slip of the pen: it was a day later
            return Answer.YES
        return Answer.NO if CRITERION[self.contradiction] is criterion else Answer.YES

    @property
    def eligible(self) -> bool:
        """Whether the case is in, once everything is settled."""
        return all(self.holds(criterion) is Answer.YES for criterion in Criterion)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a simulated study."""

    number: int
    study_uid: str
    sop_uids: tuple[str, ...]
    """Bottom to top."""
    acquired: str
    """ISO moment."""
    labels: dict[str, int]
    ranges: dict[str, tuple[int, int]]
    """By stroke type that is there: first and last slice that show it, from 0."""

    def shows(self, kind: StrokeType) -> bool:
        """Whether it is there."""
        return bool(self.labels[kind.value])


def draw_plans(count: int, seed: int, hcodes: Sequence[str]) -> list[Plan]:
    """The cases of a campaign: hospitals in turn, findings by chance; slips and twins seeded."""
    chance = random.Random(f"campaign {seed}")
    kinds, odds = zip(*FINDINGS, strict=True)
    drawn = [
        Plan(
            number,
            hcodes[number % len(hcodes)],
            FIRST_SEED + seed * 100_000 + number,
            chance.choices(kinds, odds)[0],
            round(chance.uniform(20, 92), 1),
        )
        for number in range(count)
    ]
    order = list(range(count))
    chance.shuffle(order)
    marked = order[: max(len(Contradiction), round(CONTRADICTED * count))]
    out = order[len(marked) : len(marked) + round(EXCLUDED * count)]
    plain = order[len(marked) + len(out) :]
    for place, number in enumerate(marked):
        what = list(Contradiction)[place % len(Contradiction)]
        age = MINOR_AGE if what is Contradiction.AGE else drawn[number].age
        drawn[number] = replace(drawn[number], contradiction=what, age=age)
    for number in out:
        said = chance.choice([Criterion.DEFICIT, Criterion.DIAGNOSTIC, Criterion.REPORT])
        drawn[number] = replace(drawn[number], excluded=said)
    _pair_up(drawn, plain, max(2, round(TWINS * count / 2)), chance)
    return drawn


def answers_of(plan: Plan) -> dict[str, str]:
    """What the hospital answers: everything holds, but for what it rightly says does not."""
    return {each.value: "no" if each is plan.excluded else "yes" for each in Criterion}


def codes_of(plan: Plan, truth: Truth) -> str:
    """The hospital's ICD-10 code."""
    if plan.contradiction is Contradiction.CODE:
        return "I69.3"
    return "I61.9" if truth.shows(StrokeType.ANY_ICH) else "I63.9"


def report_of(plan: Plan, truth: Truth) -> str:
    """The official report; empty where there is none."""
    if plan.excluded is Criterion.REPORT:
        return ""
    seen = [kind.value.replace("_", " ") for kind in StrokeType if truth.shows(kind)]
    return f"Simulated CT of the brain, no patient. {'Seen: ' + ', '.join(seen) if seen else 'Normal study'}."


def read_truths(folder: Path) -> dict[int, Truth]:
    """What is true of every case, by its number."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            row["sop_uids"] = tuple(row["sop_uids"])
            row["ranges"] = {kind: (first, last) for kind, (first, last) in row["ranges"].items()}
            found[row["number"]] = Truth(**row)
    return found


def _pair_up(drawn: list[Plan], plain: Sequence[int], count: int, chance: random.Random) -> None:
    """Make so many plain cases the second study of another's patient, at another hospital."""
    for place in range(min(count, len(plain) // 2)):
        first, second = drawn[plain[2 * place]], drawn[plain[2 * place + 1]]
        if first.hcode == second.hcode:
            continue
        known = _citizen_id(chance) if place % 2 else ""
        drawn[first.number] = replace(first, citizen_id=known)
        drawn[second.number] = replace(
            second, twin_of=first.number, age=first.age, citizen_id=known, renamed=bool(known)
        )


def _citizen_id(chance: random.Random) -> str:
    """13 digits, the last of which checks the others."""
    digits = [chance.randint(1, 8), *(chance.randint(0, 9) for _ in range(11))]
    total = sum(digit * weight for digit, weight in zip(digits, range(13, 1, -1), strict=True))
    return "".join(map(str, [*digits, (11 - total % 11) % 10]))
