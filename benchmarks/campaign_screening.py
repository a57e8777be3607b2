"""The ML team screens: what answers and images contradict each other in, and who is one patient."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.campaign_hub import ADMIN, TEAM, Hub, Refused
from benchmarks.campaign_truth import CRITERION, Plan, Truth
from labeling.answers import Criterion

Told = Callable[[str], None]
Cases = Mapping[int, Plan]
"""Plans by the hub's number of the case."""


def cases_of(hub: Hub, plans: Sequence[Plan], truths: Mapping[int, Truth]) -> Cases:
    """Which case of the hub is which of the campaign."""
    by_uid = {truths[plan.number].study_uid: plan for plan in plans}
    rows = hub.pages(ADMIN, "/api/v1/cases", limit=200)
    return {row["number"]: by_uid[row["study_instance_uid"]] for row in rows}


def screen(hub: Hub, cases: Cases, seen: Path, told: Told) -> dict[str, Any]:
    """Settle every doubt as somebody does who has looked; how many of the seeded contradictions were shown.

    Args:
        hub: Where.
        cases: What is true of each case.
        seen: Which doubts the hub has shown is kept here, for a settled case shows them no more.
        told: Hears of every case that was settled.
    """
    for row in list(hub.pages(TEAM, "/api/v1/cases", state="uploaded", limit=200)):
        shown = sorted({each["criterion"] for each in row["doubts"]})
        with seen.open("a", encoding="utf-8") as file:
            file.write(json.dumps([row["number"], shown]) + "\n")
        settled = {word: cases[row["number"]].holds(Criterion(word)).value for word in shown}
        hub.post(TEAM, f"/api/v1/cases/{row['number']}/screening", {"confirmed": settled})
        told(str(row["number"]))
    shown_of = _shown(seen)
    seeded = {number: plan for number, plan in cases.items() if plan.contradiction is not None}
    found = [
        n
        for n, plan in seeded.items()
        if plan.contradiction and CRITERION[plan.contradiction] in shown_of.get(n, ())
    ]
    states = {row["number"]: row["state"] for row in hub.pages(TEAM, "/api/v1/cases", limit=200)}
    wrong = [n for n, plan in cases.items() if states[n] != ("eligible" if plan.eligible else "excluded")]
    return {
        "seeded": len(seeded),
        "found": len(found),
        "missed": dict(Counter(str(plan.contradiction) for n, plan in seeded.items() if n not in found)),
        "shown without one": len(set(shown_of) - set(seeded)),
        "not as they should be": len(wrong),
        **Counter(states.values()),
    }


def decide_patients(hub: Hub, cases: Cases, told: Told) -> dict[str, Any]:
    """Say of every two who look alike whether they are one patient."""
    first_of = {plan.number: plan.twin_of for plan in cases.values() if plan.twin_of is not None}
    for pair in hub.get(TEAM, "/api/v1/cases/suspects"):
        one, other = pair["first"][0], pair["second"][0]
        numbers = {cases[one].number, cases[other].number}
        same = any({twin, first} == numbers for twin, first in first_of.items())
        hub.post(TEAM, "/api/v1/cases/suspects", {"first": one, "second": other, "same": same})
        told(f"{one} and {other}: {'one' if same else 'two'}")
    if left := hub.get(TEAM, "/api/v1/cases/suspects"):
        raise Refused(f"{len(left)} pairs are still undecided")
    return {"planted": len(first_of)}


def _shown(seen: Path) -> dict[int, list[str]]:
    if not seen.exists():
        return {}
    lines = seen.read_text(encoding="utf-8").splitlines()
    return {number: words for number, words in map(json.loads, lines)}
