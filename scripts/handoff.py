"""The second half of the demo: a flagged study goes out as consult and referral, and reaches another PACS."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

RECEIVER = "10671"
"""Udon Thani, to which the province's hospitals refer."""
RECEIVER_HN = "UDH-69-4711"
PEER = "udon-pacs"
TIMEOUT_S = 120.0
REFERRAL: dict[str, Any] = {
    "urgency": 2,
    "needs": ["neurosurgery"],
    "details": {
        "diagnosis": "intracranial haemorrhage, suspected by the AI",
        "icd10": "I61.9",
        "request": "please take over for neurosurgery",
        "nihss": 12,
        "gcs": 13,
        "doctor": "the demo's doctor",
    },
}


@dataclass(frozen=True, slots=True)
class OtherPacs:
    """The receiving hospital's PACS: an Orthanc where there is one, else a second DICOM listener of ours."""

    name: str
    ae_title: str
    port: int
    count: Callable[[], int]
    """How many instances it holds."""
    address: str
    """Where its own pages are; empty where it has none."""


@contextmanager
def other_pacs(folder: Path) -> Iterator[OtherPacs]:
    """Start it in an empty folder, until the block ends."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = _free_port()
    if shutil.which("Orthanc"):
        command, pacs = _orthanc(folder, port)
        environment = os.environ | {"TCP_NODELAY": "1"}
    else:
        command, pacs = _listener(folder, port)
        environment = os.environ | {"HUB_DATA": str(folder), "HUB_DICOM_PORT": str(port)}
    with (folder / "pacs.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _await(lambda: _listens(port), "the other hospital's PACS answers")
            yield pacs
        finally:
            process.terminate()
            process.wait(timeout=30)


def hand_off(
    sender: httpx.Client, receiver: httpx.Client, uid: str, pacs: OtherPacs, say: Callable[[str], None]
) -> None:
    """Ask about a study, refer its patient, and wait until the images are in the other hospital's PACS.

    Args:
        sender: A client of somebody who may act for the study's hospital.
        receiver: A client of a specialist at the receiving hospital.
        uid: Study Instance UID.
        pacs: Where they are to arrive.
        say: Prints a line.
    """
    _post(
        sender,
        "/api/v1/peers",
        {
            "name": PEER,
            "ae_title": pacs.ae_title,
            "host": "127.0.0.1",
            "port": pacs.port,
            "hospital": RECEIVER,
            "roles": ["destination"],
            "objects": ["sr"],
        },
    )
    question = "haemorrhage on the AI: operate?"
    asked = {"study": uid, "to": RECEIVER, "specialty": "neurosurgery", "question": question}
    consult = _post(sender, "/api/v1/consults", asked)
    place = f"/api/v1/consults/{consult['id']}"
    _post(receiver, f"{place}/accept")
    advice = {"thrombolysis": "no", "transfer": True, "text": "refer at once"}
    answered = _post(receiver, f"{place}/answer", advice)
    say(f"Consult on case {answered['case']}: asked, accepted, answered: no thrombolysis, transfer.")

    draft = _post(sender, "/api/v1/referrals", {"study": uid, "to": RECEIVER, **REFERRAL})
    place = f"/api/v1/referrals/{draft['number']}"
    requested = _post(sender, f"{place}/request", {})
    _post(receiver, f"{place}/accept", {"hn": RECEIVER_HN})
    say(f"Referral {requested['serial']}: requested, accepted as HN {RECEIVER_HN} of the receiving hospital.")
    images = int(sender.get(f"/api/v1/studies/{uid}").json()["instances"])
    _await(lambda: pacs.count() >= images + 2, "images, result and letter arrive")
    where = f", to be seen at {pacs.address}" if pacs.address else ""
    say(f"{pacs.count()} objects (images, AI result, letter) arrived in {pacs.name}{where}.")
    _post(sender, f"{place}/depart", {})
    _post(receiver, f"{place}/arrive", {})


def _orthanc(folder: Path, port: int) -> tuple[list[str], OtherPacs]:
    pages = _free_port()
    settings = {
        "StorageDirectory": str(folder / "data"),
        "IndexDirectory": str(folder / "data"),
        "Plugins": [],
        "HttpPort": pages,
        "DicomPort": port,
        "DicomAet": "UDONPACS",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    address = f"http://127.0.0.1:{pages}"

    def count() -> int:
        with suppress(httpx.TransportError):
            return int(httpx.get(f"{address}/statistics", timeout=5).json()["CountInstances"])
        return 0

    pacs = OtherPacs("Udon Thani's PACS (an Orthanc)", "UDONPACS", port, count, address)
    return ["Orthanc", str(folder / "orthanc.json")], pacs


def _listener(folder: Path, port: int) -> tuple[list[str], OtherPacs]:
    def count() -> int:
        return sum(1 for path in (folder / "inbox").rglob("*.dcm") if path.is_file())

    pacs = OtherPacs("a second DICOM listener (install Orthanc to see them)", "IMAGINGHUB", port, count, "")
    return [sys.executable, "-m", "service", "listen", "--learn"], pacs


def _post(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = client.post(path, json=body)
    if answer.status_code >= 300:
        raise SystemExit(f"demo: {path} answers {answer.status_code}: {answer.text[:300]}")
    said: dict[str, Any] = answer.json()
    return said


def _await(condition: Callable[[], bool], hint: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: not within {TIMEOUT_S:.0f} s: {hint}")
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
