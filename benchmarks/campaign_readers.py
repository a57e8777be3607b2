"""Simulated readers of differing skill and bias, who know a case by its slices and label it by the API."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.campaign_hub import JUDGES, Hub, Refused
from benchmarks.campaign_truth import Truth
from labeling.labels import KINDS, Region
from model.stroke import StrokeType

ASKED = (
    *KINDS.values(),
    StrokeType.ACUTE_ISCHAEMIA,
    StrokeType.HYPERDENSE_ARTERY,
    StrokeType.OLD_INFARCT,
    StrokeType.MASS_EFFECT,
)
"""What a reader answers by itself; any haemorrhage follows from the kinds."""
BEST, WORST = 0.03, 0.38
"""Share of the findings that the best and the worst reader miss."""
FALSE_SHARE = 0.12
"""False alarms to misses, of a reader without a bias."""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SimulatedReader:
    """One reader: how often a finding is missed, and how often one is seen that is not there."""

    name: str
    miss: float
    false_alarm: float
    seed: int

    def error(self, prevalence: float) -> float:
        """Share of wrong answers where so many of the findings are there."""
        return prevalence * self.miss + (1 - prevalence) * self.false_alarm

    def read(self, truth: Truth, turn: int, uids: Sequence[str]) -> dict[str, Any]:
        """A read in the schema r8-ncct-1.0; the same turn is always read alike."""
        chance = random.Random(f"{self.seed} {self.name} {turn}")
        said = {kind: self._sees(truth.shows(kind), chance) for kind in ASKED}
        extents = [_extent(kind, truth, uids, chance) for kind in ASKED[:7] if said[kind]]
        return _label(said, truth, extents, confidence=chance.randint(2, 5), unsure=chance.random() < 0.01)

    def _sees(self, there: bool, chance: random.Random) -> bool:
        return chance.random() >= self.miss if there else chance.random() < self.false_alarm


def draw_readers(names: Sequence[str], seed: int) -> list[SimulatedReader]:
    """Skill from best to worst in even steps, dealt out by the seed; a third each overcalls, undercalls."""
    order = list(range(len(names)))
    random.Random(f"readers {seed}").shuffle(order)
    readers = []
    for place, name in zip(order, names, strict=True):
        miss = BEST + (WORST - BEST) * place / max(1, len(names) - 1)
        lean = (1.0, 1.5, 0.6)[place % 3]
        readers.append(SimulatedReader(name, miss / lean**0.5, miss * FALSE_SHARE * lean, seed))
    return readers


def read_all(
    hub: Hub, readers: Sequence[SimulatedReader], truth_of: Mapping[str, Truth], told: Told
) -> dict[str, Any]:
    """Every reader reads until the hub has no case for them; what was read by a killed run is not offered."""
    made = 0
    for reader in readers:
        while turn := hub.get(reader.name, "/api/v1/labels/next"):
            uids = turn["slices"]["sop_uids"]
            label = reader.read(truth_of[uids[0]], turn["number"], uids)
            hub.post(reader.name, f"/api/v1/labels/{turn['number']}", label)
            made += 1
            told(reader.name)
    return {"reads of this run": made}


def adjudicate(hub: Hub, truth_of: Mapping[str, Truth], told: Told) -> dict[str, Any]:
    """The adjudicators work off their queue; they see what is there."""
    decided = 0
    for judge in JUDGES:
        while waiting := hub.get(judge, "/api/v1/adjudications"):
            for each in waiting:
                uids = each["slices"]["sop_uids"]
                label = perfect(truth_of[uids[0]], uids)
                path = f"/api/v1/adjudications/{each['number']}"
                hub.post(judge, path, {"label": label, "comment": ""})
                decided += 1
            told(f"{decided} decided")
    if left := hub.get(JUDGES[0], "/api/v1/adjudications"):
        raise Refused(f"{len(left)} cases still wait for an adjudicator")
    return {"decided by this run": decided}


def perfect(truth: Truth, uids: Sequence[str]) -> dict[str, Any]:
    """What is there, without a slip."""
    said = {kind: truth.shows(kind) for kind in ASKED}
    extents = [_between(kind, truth.ranges[kind.value], uids) for kind in ASKED[:7] if said[kind]]
    return _label(said, truth, extents, confidence=5, unsure=False)


def aspects_of(truth: Truth) -> list[str]:
    """The regions of ASPECTS that an acute infarct of this study takes: some, by its number."""
    return [region.value for region in list(Region)[: 1 + truth.number % 6]]


def _label(
    said: Mapping[StrokeType, bool],
    truth: Truth,
    extents: list[dict[str, str]],
    *,
    confidence: int,
    unsure: bool,
) -> dict[str, Any]:
    bleeds = {kind.value: "present" if said[found] else "absent" for kind, found in KINDS.items()}
    bleeding, infarct = "present" in bleeds.values(), said[StrokeType.ACUTE_ISCHAEMIA]
    anything = "present" if bleeding else "uncertain" if unsure else "absent"
    return {
        "quality": {"diagnostic": True, "issues": []},
        "haemorrhage": {"any": anything, "kinds": bleeds},
        "ischaemia": {
            "acute": "present" if infarct else "absent",
            "side": "L" if infarct else None,
            "territory": ["MCA"] if infarct else [],
            "aspects": [{"side": "L", "affected": aspects_of(truth)}] if infarct else [],
            "hyperdense_vessel": "MCA_M1" if said[StrokeType.HYPERDENSE_ARTERY] else "none",
            "old_infarct": said[StrokeType.OLD_INFARCT],
        },
        "mass_effect": {"midline_shift_mm": 6.0 if said[StrokeType.MASS_EFFECT] else 0.0},
        "triage": "critical" if bleeding else "urgent" if infarct else "normal",
        "confidence": confidence,
        "extents": extents,
    }


def _extent(kind: StrokeType, truth: Truth, uids: Sequence[str], chance: random.Random) -> dict[str, str]:
    """Its slices, give or take one; of what is not there, some slice in the middle."""
    first, last = truth.ranges.get(kind.value, (len(uids) // 2, len(uids) // 2))
    return _between(kind, (first + chance.randint(-1, 0), last + chance.randint(0, 1)), uids)


def _between(kind: StrokeType, ends: tuple[int, int], uids: Sequence[str]) -> dict[str, str]:
    first, last = (min(max(end, 0), len(uids) - 1) for end in ends)
    return {"finding": kind.value, "first": uids[first], "last": uids[last]}
