"""A small round of labelling against a running hub: cases offered, read by two readers, and disputed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from labeling.answers import Criterion

ADJUDICATOR = "admin.demo"
BLEED = "subdural"
SCREENED = ("eligible", "excluded")
SCREENING_S = 60.0


@dataclass(frozen=True, slots=True)
class LabelReader:
    """Somebody who reads, and a client that acts for them."""

    username: str
    client: httpx.Client


def offer_cases(client: httpx.Client, uids: Sequence[str]) -> list[int]:
    """Offer studies as a hospital does, settle what a person has to look at, and give their case numbers."""
    numbers = []
    for uid in uids:
        received = datetime.fromisoformat(_get(client, f"/api/v1/studies/{uid}")["first_received_at"])
        body = {
            "study": uid,
            "answers": {each.value: "yes" for each in Criterion},
            "icd10": "I62.0",
            "onset": (received - timedelta(hours=6)).isoformat(),
            "report": "Simulated CT of the brain, no patient.",
        }
        numbers.append(int(_post(client, "/api/v1/cases", body)["number"]))
    for number in numbers:
        _settle(client, number)
    return numbers


def dispute_one(client: httpx.Client, first: LabelReader, second: LabelReader) -> None:
    """Give everything eligible to both; the first reads one case, the second reads it otherwise."""
    design = {
        "readers": [{"username": each.username} for each in (first, second)],
        "adjudicators": [ADJUDICATOR],
        "common": 0,
        "test_reads": 2,
        "double_share": 1.0,
        "rereads": 0,
    }
    _post(client, "/api/v1/cases/assignment", design)
    turn = _get(first.client, "/api/v1/labels/next")
    slices = turn["slices"]["sop_uids"]
    _post(first.client, f"/api/v1/labels/{turn['number']}", _label(slices, bleeds=True))
    while other := _get(second.client, "/api/v1/labels/next"):
        same = other["slices"]["sop_uids"] == slices
        _post(second.client, f"/api/v1/labels/{other['number']}", _label([], bleeds=False))
        if same:
            return


def _settle(client: httpx.Client, number: int) -> None:
    """Confirm what the hospital said wherever the data seem to say otherwise."""
    deadline = time.monotonic() + SCREENING_S
    while (case := _get(client, f"/api/v1/cases/{number}"))["state"] not in SCREENED:
        if doubts := {each["criterion"]: "yes" for each in case["doubts"]}:
            _post(client, f"/api/v1/cases/{number}/screening", {"confirmed": doubts, "note": "simulated"})
        elif time.monotonic() > deadline:
            raise SystemExit(f"case {number} is {case['state']} after {SCREENING_S:.0f} s")
        else:
            time.sleep(0.2)


def _label(slices: Sequence[str], *, bleeds: bool) -> dict[str, Any]:
    """A read of the schema r8-ncct-1.0: one subdural bleed in the middle third, or nothing."""
    kinds = ("intraparenchymal", "intraventricular", "subarachnoid", BLEED, "epidural")
    third = len(slices) // 3
    extent = {"finding": "sdh", "first": slices[third], "last": slices[2 * third]} if bleeds else None
    return {
        "quality": {"diagnostic": True, "issues": []},
        "haemorrhage": {
            "any": "present" if bleeds else "absent",
            "kinds": {kind: "present" if bleeds and kind == BLEED else "absent" for kind in kinds},
        },
        "ischaemia": {"acute": "absent", "hyperdense_vessel": "none", "old_infarct": False},
        "mass_effect": {"midline_shift_mm": 0.0},
        "triage": "critical" if bleeds else "normal",
        "confidence": 4,
        "extents": [extent] if extent else [],
    }


def _get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    if answer.is_error:
        raise SystemExit(f"GET {path}: {answer.status_code} {answer.text[:500]}")
    return answer.json() if answer.content else None


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(path, json=body)
    if answer.is_error:
        raise SystemExit(f"POST {path}: {answer.status_code} {answer.text[:500]}")
    return answer.json()
