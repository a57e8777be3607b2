"""The loop: packages registered and measured, one in shadow, one refused, one promoted and taken back."""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.campaign_hub import ADMIN, Hub, Refused
from benchmarks.campaign_models import FIRST, TRAINED, WORSE, package

CALLING_AE = "CAMPAIGN"
HOSPITAL = "10671"
FIRST_SEED = 860_000_000
SIDE, SLICES, SPACING_MM = 64, 14, 10.0
TRAFFIC = 12
"""Live studies that a shadow reads; every second one holds a bleed."""
REFUSED, PROMOTED, REFUSED_AGAIN, ROLLED_BACK = range(TRAFFIC, TRAFFIC + 4)
"""Of the live study that follows each step."""
PATIENCE_S = 600.0
FINAL = {"flagged", "clear", "review", "refused", "failed"}
Told = Callable[[str], None]


def register(hub: Hub, told: Told) -> dict[str, Any]:
    """Take both packages in, with what each, and the live one, answered to the held-out studies."""
    known = {row["name"] for row in hub.get(ADMIN, "/api/v1/models")}
    for name in (TRAINED, WORSE):
        if name not in known:
            hub.command("models", "register", str(package(hub.folder, name).absolute()))
            told(name)
    for name in (FIRST, TRAINED, WORSE):
        hub.command("models", "evaluation", str(hub.folder / f"evaluation-{name}" / "report.json"))
    return {"models": len(hub.get(ADMIN, "/api/v1/models")), "evaluations": 3}


def shadow(hub: Hub, told: Told) -> dict[str, Any]:
    """Let the trained package read beside the live one, and send live studies by C-STORE."""
    if _state(hub, TRAINED) == "candidate":
        hub.command("models", "shadow", TRAINED, "--reason", "campaign")
    sent = [_send(hub, number) for number in range(TRAFFIC)]
    live = {_outcome(hub, uid, told) for uid in sent}
    if live != {FIRST}:
        raise Refused(f"the studies were read by {sorted(live)}, not by {FIRST}")
    _until_shadowed(hub)
    return {"live studies": len(sent), "told by": FIRST, "in shadow": TRAINED}


def _until_shadowed(hub: Hub) -> None:
    """Wait until the shadow, which comes after every live study, has read as many as a promotion asks for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        gates = hub.get(ADMIN, f"/api/v1/models/{TRAINED}/gates")
        (gate,) = [each for each in gates if each["gate"] == "shadow"]
        if gate["holds"]:
            return
        if time.monotonic() > deadline:
            raise Refused(f"after {PATIENCE_S:.0f} s: {gate['en']}")
        time.sleep(1.0)


def refuse(hub: Hub, told: Told, *, live: str, number: int) -> dict[str, Any]:
    """Ask for the worse package to be promoted, which the gates must refuse in words; the live one reads on.

    Args:
        hub: Where.
        told: Hears of the study.
        live: The package that is live now; the refusal holds against nothing else.
        number: Of the study that is sent after it.
    """
    if (now := _live(hub)) != live:
        return {"status": f"{now} is live, not {live}"}
    gates = hub.get(ADMIN, f"/api/v1/models/{WORSE}/gates")
    answer = hub.client(ADMIN).post(f"/api/v1/models/{WORSE}/promote", json={"reason": "campaign"})
    return {
        "status": answer.status_code,
        "refused": int(answer.status_code == 409 and _state(hub, WORSE) != "live"),
        "closed": [gate["en"] for gate in gates if not gate["holds"]],
        "reads": _outcome(hub, _send(hub, number), told),
    }


def promote(hub: Hub, told: Told) -> dict[str, Any]:
    """Promote the trained package where the gates let it, and not otherwise; the next study is read by it."""
    opened: list[str] = []
    if _state(hub, TRAINED) != "live":
        gates = hub.get(ADMIN, f"/api/v1/models/{TRAINED}/gates")
        if closed := [gate["en"] for gate in gates if not gate["holds"]]:
            return {"reads": "not promoted", "closed": closed}
        opened = [gate["en"] for gate in gates]
        hub.command("models", "promote", TRAINED, "--reason", "campaign")
    return {"open": opened, "reads": _outcome(hub, _send(hub, PROMOTED), told)}


def roll_back(hub: Hub, told: Told) -> dict[str, Any]:
    """Roll back by one command; the next study is read by the package before."""
    if _state(hub, TRAINED) == "live":
        hub.command("models", "rollback", "--reason", "campaign")
    elif _state(hub, TRAINED) != "retired":
        return {"reads": "nothing was promoted"}
    return {"reads": _outcome(hub, _send(hub, ROLLED_BACK), told)}


def _live(hub: Hub) -> str:
    """What the region is read by: the registry's, else the package that the hub came with."""
    rows = hub.get(ADMIN, "/api/v1/models")
    return next((str(row["name"]) for row in rows if row["state"] == "live"), FIRST)


def _state(hub: Hub, name: str) -> str:
    found: str = hub.get(ADMIN, f"/api/v1/models/{name}")["state"]
    return found


def _send(hub: Hub, number: int) -> str:
    """Send a study as a PACS does; what a killed run has sent is not sent again."""
    from pacs_gateway.sender import Peer, send  # not at the top: a second of imports, for every start

    uid, paths = _live_study(hub.folder / "live", number)
    if hub.client(ADMIN).get(f"/api/v1/studies/{uid}").status_code == 404:
        _introduce(hub)
        peer = Peer("IMAGINGHUB", "127.0.0.1", int(hub.environment["HUB_DICOM_PORT"]))
        if failed := [each for each in send(paths, peer, calling_ae=CALLING_AE) if not each.stored]:
            raise Refused(f"{len(failed)} images of a live study were not stored: {failed[0].text}")
    return uid


@cache
def _introduce(hub: Hub) -> None:
    """See that the hub knows the machine that sends; asked once a run."""
    if CALLING_AE not in hub.command("caller", "list"):
        hub.command("caller", "add", CALLING_AE, "--hospital", HOSPITAL, "--address", "127.0.0.1/32")


def _outcome(hub: Hub, uid: str, told: Told) -> str:
    """Wait until a study has an outcome; the name of the package that told of it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = hub.client(ADMIN).get(f"/api/v1/studies/{uid}")
        if answer.status_code == 200 and answer.json()["state"] in FINAL:
            told(uid)
            found: str = hub.get(ADMIN, f"/api/v1/studies/{uid}/result")["model"]["name"]
            return found
        if time.monotonic() > deadline:
            raise Refused(f"a live study has no outcome after {PATIENCE_S:.0f} s")
        time.sleep(0.3)


def _live_study(folder: Path, number: int) -> tuple[str, list[Path]]:
    """A study of one of today's patients, every second one with a bleed; simulated anew, it is the same."""
    from model.phantom import simulate_head
    from model.phantom_dicom import DIALECTS, draw_patient, write_series
    from model.phantom_object import make_uid

    uid = str(make_uid("campaign", "live", number))
    head = simulate_head(
        FIRST_SEED + number,
        lesions=("iph",) if number % 2 else (),
        side=SIDE,
        slices=SLICES,
        spacing_mm=SPACING_MM,
    )
    patient = draw_patient(FIRST_SEED + number, head.age)
    paths = write_series(head, folder / str(number), dialect=DIALECTS[0], patient=patient, study_uid=uid)
    return uid, paths
