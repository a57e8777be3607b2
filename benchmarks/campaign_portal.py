"""Hospitals bring their cases: zips through the portal's tus API, then the answers with the report."""

import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.campaign_hub import ADMIN, Hub, Refused
from benchmarks.campaign_truth import Contradiction, Plan, Truth, answers_of, codes_of, report_of

CHUNK = 1_000_000
OCTETS = {"Content-Type": "application/offset+octet-stream"}
QUIET_S = 900.0
"""Without any progress the campaign gives up."""
TO_CT_H = 6
"""Hours from onset to CT, where the hospital makes no mistake."""
Told = Callable[[str], None]


def technician(hcode: str) -> str:
    """A hospital's account."""
    return f"tech-{hcode}"


def bring(hub: Hub, zips: Sequence[Path], told: Told) -> dict[str, Any]:
    """Upload every zip; one that is there is left alone, one cut short goes on where the hub says."""
    size = 0
    for path in zips:
        size += path.stat().st_size
        if _bring(hub, technician(path.stem), path):
            told(path.stem)
    uploads = _until(lambda: _uploads(hub), lambda rows: all(r["state"] in ("done", "failed") for r in rows))
    if failed := [row for row in uploads if row["state"] == "failed"]:
        raise Refused(f"{len(failed)} uploads failed: {failed[0]['reason']}")
    verdicts: Counter[str] = Counter()
    for row in uploads:
        verdicts.update(_verdicts(hub, row["token"]))
    return {"uploads": len(uploads), "megabytes": round(size / 1e6, 1), **verdicts}


def offer(hub: Hub, plans: Sequence[Plan], truths: Mapping[int, Truth], told: Told) -> dict[str, Any]:
    """Answer for every case as soon as the hub has its images, which is before they are analysed."""
    there = {row["study_instance_uid"] for row in hub.pages(ADMIN, "/api/v1/cases", limit=200)}
    left = [plan for plan in plans if truths[plan.number].study_uid not in there]
    deadline = time.monotonic() + QUIET_S
    while left:
        later = [plan for plan in left if not _offer(hub, plan, truths[plan.number])]
        if len(later) < len(left):
            deadline = time.monotonic() + QUIET_S
            told(f"{len(plans) - len(later)} cases")
        elif time.monotonic() > deadline:
            raise Refused(f"{len(left)} studies have not come in {QUIET_S:.0f} s")
        else:
            time.sleep(0.5)
        left = later
    return {"cases": len(plans), "offered by this run": len(plans) - len(there)}


def wait_for_analysis(hub: Hub, plans: Sequence[Plan]) -> dict[str, Any]:
    """Until every study has an outcome; how many of each."""
    # not at the top: seconds of imports, which every start would pay
    from service.db import make_engine
    from service.job_rows import count_in_flight
    from service.settings import read_settings

    waiting = ("receiving", "ready", "analysing")

    def left() -> list[int]:
        return [len(_studies(hub, state)) for state in waiting]

    _until(left, lambda counts: not any(counts), pause=1.0)
    jobs = make_engine(read_settings(hub.environment).jobs_database)
    _until(lambda: count_in_flight(jobs), lambda rows: not rows, pause=1.0)
    jobs.dispose()
    counts = {
        state: len(_studies(hub, state)) for state in ("flagged", "clear", "review", "refused", "failed")
    }
    if sum(counts.values()) != len(plans):
        raise Refused(f"{sum(counts.values())} of {len(plans)} studies have an outcome")
    return counts


def _bring(hub: Hub, name: str, path: Path) -> bool:
    client, size = hub.client(name), path.stat().st_size
    known = [row for row in hub.get(name, "/api/v1/uploads") if row["name"] == path.name]
    if known and known[0]["state"] != "arriving":
        return False
    if known:
        token = known[0]["token"]
    else:
        named = {
            "Upload-Length": str(size),
            "Upload-Metadata": f"filename {b64encode(path.name.encode()).decode()}",
        }
        made = client.post("/api/v1/uploads", headers=named)
        if made.status_code != 201:
            raise Refused(f"upload of {path.name}: {made.status_code} {made.text[:300]}")
        token = made.headers["Location"].rpartition("/")[2]
    at = int(client.head(f"/api/v1/uploads/{token}").headers["Upload-Offset"])
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            sent = client.patch(
                f"/api/v1/uploads/{token}",
                headers={**OCTETS, "Upload-Offset": str(at)},
                content=file.read(CHUNK),
            )
            if sent.status_code != 204:
                raise Refused(f"upload of {path.name} at {at}: {sent.status_code} {sent.text[:300]}")
            at = int(sent.headers["Upload-Offset"])
    return True


def _uploads(hub: Hub) -> list[dict[str, Any]]:
    return list(hub.pages(ADMIN, "/api/v1/uploads"))


def _verdicts(hub: Hub, token: str) -> list[str]:
    found: list[str] = []
    after = 0
    while rows := hub.get(ADMIN, f"/api/v1/uploads/{token}/files", after=after):
        found += [row["verdict"] for row in rows]
        after = rows[-1]["id"]
    return found


def _offer(hub: Hub, plan: Plan, truth: Truth) -> bool:
    """False while the hub has not all of the images."""
    body = {
        "study": truth.study_uid,
        "answers": answers_of(plan),
        "icd10": codes_of(plan, truth),
        "onset": _onset(plan, truth),
        "citizen_id": plan.citizen_id,
        "report": report_of(plan, truth),
    }
    answer = hub.client(technician(plan.hcode)).post("/api/v1/cases", json=body)
    if answer.status_code in (404, 409):
        return False
    if answer.status_code != 201:
        raise Refused(f"case {plan.number}: {answer.status_code} {answer.text[:500]}")
    return True


def _onset(plan: Plan, truth: Truth) -> str:
    hours = {Contradiction.CT_BEFORE_ONSET: -20, Contradiction.HOURS: 120}
    before = hours.get(plan.contradiction, TO_CT_H) if plan.contradiction else TO_CT_H
    return (datetime.fromisoformat(truth.acquired) - timedelta(hours=before)).isoformat()


def _studies(hub: Hub, state: str) -> list[str]:
    found: list[str] = []
    query: dict[str, Any] = {"state": state, "limit": 200}
    while True:
        page = hub.get(ADMIN, "/api/v1/studies", **query)
        found += [row["study_instance_uid"] for row in page["studies"]]
        if not page["next"]:
            return found
        query["after"] = page["next"]


def _until(look: Callable[[], Any], good: Callable[[Any], bool], *, pause: float = 0.5) -> Any:
    """Look until it is good; gives up once nothing has changed for long."""
    before, deadline = None, time.monotonic() + QUIET_S
    while not good(seen := look()):
        if seen != before:
            before, deadline = seen, time.monotonic() + QUIET_S
        if time.monotonic() > deadline:
            raise Refused(f"nothing has changed for {QUIET_S:.0f} s")
        time.sleep(pause)
    return seen
