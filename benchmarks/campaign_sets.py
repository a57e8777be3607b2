"""Cases are given out by the sound design, frozen as a data set, and the guard against leakage is tried."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.campaign_hub import JUDGES, TEAM, Hub, Refused
from benchmarks.campaign_screening import Cases
from labeling.manifest import DataSet, Row, check_rows, read_data_set
from labeling.roster import COLUMNS, contiguous_ranges
from labeling.splits import Leak, Part

NAME = "campaign"
LICENCE = "Simulated studies of no patient; made to try the campaign, and for nothing else"
HELD_OUT = (7, 46)
"""Hospitals in the order of their codes that are held out whole, where there are so many."""
COMMON = 20
Told = Callable[[str], None]


def import_roster(
    hub: Hub, roster: Path | None, names: Sequence[tuple[str, str]], cases: int
) -> dict[str, Any]:
    """What `hub cases roster` says of the roster; of contiguous ranges where no file is given."""
    if roster is None:
        roster = hub.folder / "roster.csv"
        with roster.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            spans = contiguous_ranges(names, cases)
            rows.writerows([span.reader, span.hcode, span.first, span.last] for span in spans)
    lines = hub.command("cases", "roster", str(roster.absolute()), may_fail=True).strip().splitlines()
    if not lines:
        raise Refused(f"hub cases roster says nothing of {roster}")
    return {"said": lines[0], "flaws": lines[1:]}


def assign(hub: Hub, cases: Cases, readers: Sequence[str], seed: int) -> dict[str, Any]:
    """Give out by `hub cases assign`, unless a killed run has; every hidden overlap is in the plan."""
    rows = hub.get(TEAM, "/api/v1/cases/progress")
    if not rows:
        eligible = len(list(hub.pages(TEAM, "/api/v1/cases", state="eligible", limit=200)))
        words = [
            "cases",
            "assign",
            *readers,
            "--seed",
            str(seed),
            "--common",
            str(min(COMMON, eligible // 4)),
        ]
        for judge in JUDGES:
            words += ["--adjudicator", judge]
        hospitals = sorted({plan.hcode for plan in cases.values()})
        for place in HELD_OUT if len(hospitals) > max(HELD_OUT) else ():
            words += ["--hold-out", hospitals[place]]
        if len(hospitals) > max(HELD_OUT):
            words += ["--months", "1"]
        hub.command(*words)
        rows = hub.get(TEAM, "/api/v1/cases/progress")
    loads = [row["total"] for row in rows]
    return {"readers": len(rows), "reads": sum(loads), "fewest": min(loads), "most": max(loads)}


def all_read(hub: Hub) -> dict[str, Any]:
    """Whether every planned read was made, once."""
    rows = hub.get(TEAM, "/api/v1/cases/progress")
    return {"planned": sum(row["total"] for row in rows), "read": sum(row["done"] for row in rows)}


def freeze(hub: Hub) -> dict[str, Any]:
    """Freeze by `hub cases freeze`; the one that a killed run has frozen is taken."""
    sets = hub.folder / "sets"
    sets.mkdir(exist_ok=True)
    if not [row for row in hub.get(TEAM, "/api/v1/datasets") if row["name"] == NAME]:
        hub.command("cases", "freeze", NAME, str(sets.absolute()), "--licence", LICENCE)
    (made,) = [row for row in hub.get(TEAM, "/api/v1/datasets") if row["name"] == NAME]
    frozen = read_data_set(sets / f"{NAME}-v{made['version']}")
    parts = Counter(row.split.value for row in frozen.rows)
    return {
        "digest": made["digest"],
        "studies": made["studies"],
        "files": sum(len(r.files) for r in frozen.rows),
        **parts,
    }


def guard(hub: Hub, cases: Cases) -> dict[str, Any]:
    """Every planted pair is one patient in one part; a set that tears one apart is refused.

    A pair of which one case was held out is whole, too: the other was left out, and is in no part.
    """
    frozen = read_data_set(hub.folder / "sets" / f"{NAME}-v1", verify=False)
    row_of = rows_by_number(frozen, cases)
    states = {
        cases[row["number"]].number: row["state"] for row in hub.pages(TEAM, "/api/v1/cases", limit=200)
    }
    pairs = [(plan.number, plan.twin_of) for plan in cases.values() if plan.twin_of is not None]
    both = [(row_of[one], row_of[two]) for one, two in pairs if one in row_of and two in row_of]
    joined = [(a, b) for a, b in both if a.patient_key == b.patient_key]
    apart = [(a, b) for a, b in joined if a.split is not b.split and Part.LEFT_OUT not in (a.split, b.split)]
    # the one whose patient is held out by the other was never given out
    kept_back = sum(
        (one in row_of) != (two in row_of) and "eligible" in (states[one], states[two]) for one, two in pairs
    )
    tried = [a for a, b in joined if Part.LEFT_OUT not in (a.split, b.split)]
    return {
        "pairs": len(pairs),
        "found to be one patient": len(joined) + kept_back,
        "of them kept back": kept_back,
        "torn apart": len(apart),
        "tried to tear apart": len(tried),
        "refused": sum(_is_refused(frozen.rows, each) for each in tried),
    }


def rows_by_number(frozen: DataSet, cases: Cases) -> Mapping[int, Row]:
    """The rows of a data set by the campaign's number of the case."""
    return {cases[int(row.study_key.removeprefix("case-"))].number: row for row in frozen.rows}


def _is_refused(rows: Sequence[Row], one: Row) -> bool:
    elsewhere = Part.TEST if one.split is not Part.TEST else Part.TRAIN
    torn = [replace(row, split=elsewhere) if row is one else row for row in rows]
    try:
        check_rows(torn)
    except Leak:
        return True
    return False
