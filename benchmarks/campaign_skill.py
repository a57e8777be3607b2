"""What the hub's agreement figures tell of the readers, held against the skill that was seeded."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.campaign_hub import TEAM, Hub
from benchmarks.campaign_readers import ASKED, SimulatedReader
from benchmarks.campaign_truth import Truth
from labeling.labels import Presence, findings_of
from service.db import make_engine, session_scope
from service.reads import newest_reads, parse_label
from service.settings import read_settings


def agreement(hub: Hub, readers: Sequence[SimulatedReader]) -> dict[str, Any]:
    """Of every reader, how far the others agree with them: the mean AC1 of their pairs, by common cases."""
    weights: dict[str, list[tuple[float, int]]] = defaultdict(list)
    overall = hub.get(TEAM, "/api/v1/cases/agreement")
    for question in ASKED:
        for pair in hub.get(TEAM, "/api/v1/cases/agreement", question=question.value):
            if pair["coefficient"] != "gwet_ac1" or pair["value"] is None or pair["first"] == pair["second"]:
                continue
            for name in (pair["first"], pair["second"]):
                weights[name].append((pair["value"], pair["cases"]))
    means = {name: _mean(rows) for name, rows in weights.items()}
    return {
        "by reader": {reader.name: means[reader.name] for reader in readers if reader.name in means},
        "any_ich AC1": next(
            each["value"]
            for each in overall
            if (each["question"], each["coefficient"]) == ("any_ich", "gwet_ac1")
        ),
    }


def recovered(
    measured: Mapping[str, float], readers: Sequence[SimulatedReader], truths: Mapping[int, Truth]
) -> float | None:
    """Rank correlation between the seeded share of wrong answers and how far the others disagree."""
    prevalence = float(np.mean([truth.shows(kind) for truth in truths.values() for kind in ASKED]))
    rows = [
        (reader.error(prevalence), -measured[reader.name]) for reader in readers if reader.name in measured
    ]
    if len(rows) < 3:
        return None
    return float(spearmanr(*zip(*rows, strict=True)).statistic)


def confusion(hub: Hub, readers: Sequence[SimulatedReader]) -> dict[str, Any]:
    """Misses and false alarms of every reader against the majority of the others, beside what was seeded.

    Of cases with three readers or more alone; where the others are split the answer does not count.
    """
    answers = _answers(hub)
    counted: dict[str, np.ndarray[Any, Any]] = defaultdict(lambda: np.zeros(4))
    for said in answers.values():
        if len(said) < 3:
            continue
        total = np.sum(list(said.values()), axis=0)
        for name, own in said.items():
            others = (total - own) / (len(said) - 1)
            sure = np.abs(others - 0.5) > 0.1
            there = others > 0.5
            counted[name] += [
                (sure & there & (own < 0.5)).sum(),
                (sure & there).sum(),
                (sure & ~there & (own > 0.5)).sum(),
                (sure & ~there).sum(),
            ]
    rows = []
    for reader in readers:
        missed, positives, alarms, negatives = counted[reader.name]
        if positives and negatives:
            rows.append((reader.miss, missed / positives, reader.false_alarm, alarms / negatives))
    if len(rows) < 3:
        return {"readers": len(rows)}
    table = np.array(rows)
    return {
        "readers": len(rows),
        "miss, mean difference": float(np.abs(table[:, 0] - table[:, 1]).mean()),
        "miss, rank correlation": float(spearmanr(table[:, 0], table[:, 1]).statistic),
        "false alarm, mean difference": float(np.abs(table[:, 2] - table[:, 3]).mean()),
        "false alarm, rank correlation": float(spearmanr(table[:, 2], table[:, 3]).statistic),
    }


def _answers(hub: Hub) -> dict[int, dict[str, np.ndarray[Any, Any]]]:
    """By case and reader, 1 or 0 (0.5 where unsure) to every question, of first reads."""
    engine = make_engine(read_settings(hub.environment).database)
    found: dict[int, dict[str, np.ndarray[Any, Any]]] = defaultdict(dict)
    value = {Presence.PRESENT: 1.0, Presence.UNCERTAIN: 0.5, Presence.ABSENT: 0.0}
    try:
        with session_scope(engine, write=False) as session:
            for read in newest_reads(session):
                if read.read_no == 1:
                    said = findings_of(parse_label(read.label))
                    found[read.case_id][read.reader] = np.array([value[said[kind]] for kind in ASKED])
    finally:
        engine.dispose()
    return found


def _mean(rows: Sequence[tuple[float, int]]) -> float:
    """Of values, each weighing as much as the cases behind it."""
    values, cases = zip(*rows, strict=True)
    return float(np.average(values, weights=cases))
