"""The demo behind scripts/demo: simulated hospitals send head CT to a hub here; results are printed."""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.headers import read_header
from pacs_gateway.sender import Peer, send
from scripts.handoff import RECEIVER, hand_off, other_pacs
from service import accounts, callers, capabilities, hospitals, logs, rosters
from service.db import make_engine, now, session_scope, upgrade
from service.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
VIEWER = DEMO / "viewer"
"""OHIF once it was fetched; kept from one demo to the next."""
SEED = 8
NUM_SIMULATED = 9
CALLERS = {"UDON_CT1": "10671", "NONGBUA_CT": "10704", "LOEI_CT": "10705", "SAKON_CT1": "10710"}
PEOPLE = {
    "dr.demo": (accounts.Role.RADIOLOGIST, None),
    "referrer.demo": (accounts.Role.REFERRER, "10671"),
    "technician.demo": (accounts.Role.TECHNICIAN, "10671"),
    "vendor.demo": (accounts.Role.VENDOR, "10671"),
    "specialist.demo": (accounts.Role.SPECIALIST, "10671"),
    "ml.demo": (accounts.Role.ML, None),
    "admin.demo": (accounts.Role.ADMIN, None),
}
"""Who may sign in, all with one password: the whole region, or Udon Thani alone."""
ON_CALL = ("specialist.demo", "referrer.demo")
"""Who is on call in the demo, the first to be told first."""
STATE_COLOURS = {"flagged": 31, "review": 33, "refused": 35, "failed": 41, "clear": 32}
RESULT_TIMEOUT_S = 180.0
READY_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One study to send: who sends it, what it is called here, and its files."""

    label: str
    calling_ae: str
    study_instance_uid: str
    paths: tuple[Path, ...]


def say(text: str) -> None:
    print(text, flush=True)


def simulate() -> Path:
    """Simulated studies, made once."""
    out = DEMO / f"simulated-{SEED}"
    if not (out / "manifest.jsonl").exists():
        say(f"Simulating {NUM_SIMULATED} head CT studies (once, about half a minute)")
        partial = out.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "training.simulate", str(partial)]
        command += ["--n", str(NUM_SIMULATED), "--seed", str(SEED), "--mix", "demo"]
        # it ends by naming a manifest in a folder that is about to be renamed
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        partial.rename(out)
    return out


def simulated_parcels(folder: Path) -> Iterator[Parcel]:
    for index, line in enumerate((folder / "manifest.jsonl").read_text().splitlines()):
        case = json.loads(line)
        paths = tuple(sorted(path for path in (folder / case["case"]).iterdir() if path.is_file()))
        yield Parcel(
            label=case["case"],
            calling_ae=list(CALLERS)[index % len(CALLERS)],
            study_instance_uid=case["study_instance_uid"],
            paths=paths,
        )


def folder_parcels(folder: Path) -> Iterator[Parcel]:
    """Every study found under a folder; what is not DICOM is named and left out."""
    studies: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            studies.setdefault(read_header(path).study_instance_uid, []).append(path)
        except UnreadableDataSet:
            say(f"  {path.name}: not a DICOM file, left out")
    for uid, paths in studies.items():
        yield Parcel(paths[0].parent.name, next(iter(CALLERS)), uid, tuple(paths))


def free_port(wanted: int) -> int:
    """The wanted port, or any free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit(f"demo: no free port near {wanted}")


def prepare(settings: Settings) -> tuple[str, str, str]:
    """Rows of a new hub: callers, tokens of an administrator and a specialist, and people's one password."""
    engine = make_engine(settings.database)
    upgrade(engine)
    with session_scope(engine) as session:
        hospitals.seed_hospitals(session)
        capabilities.seed_capabilities(session)
        for ae_title, hcode in CALLERS.items():
            callers.add_caller(session, ae_title, hcode, ["127.0.0.1/32"])
        callers.write_callers(session, settings.callers)
        account = accounts.add_account(session, "demo", accounts.Role.ADMIN)
        token = accounts.issue_token(session, account, label="demo")
        password = secrets.token_urlsafe(9)
        for name, (role, hcode) in PEOPLE.items():
            accounts.add_account(session, name, role, hcode=hcode, password=password)
        for place, name in enumerate(ON_CALL, start=1):
            start = now()
            day = {"starts_at": start, "ends_at": start + timedelta(days=1)}
            rosters.add_shift(session, accounts.OPERATOR, PEOPLE[name][1] or "", name, place=place, **day)
        specialist = accounts.find_account(session, "specialist.demo")
        answers = accounts.issue_token(session, specialist, label="demo")
    engine.dispose()
    return token, answers, password


@contextmanager
def hub(environment: dict[str, str], address: str) -> Iterator[subprocess.Popen[bytes]]:
    """`hub serve` in the background until the block ends."""
    with (DEMO / "hub.log").open("wb") as log:
        command = [sys.executable, "-m", "service", "serve", "--learn"]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)
        try:
            wait_ready(server, address)
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def wait_ready(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    waiting = "the API"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"demo: the hub ended with {server.returncode}; see {DEMO / 'hub.log'}")
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{address}/readyz", timeout=2)
            if answer.status_code == 200:
                return
            waiting = ", ".join(name for name, said in answer.json()["parts"].items() if said != "ok")
        time.sleep(0.2)
    raise SystemExit(f"demo: {waiting} not ready after {READY_TIMEOUT_S:.0f} s; see {DEMO / 'hub.log'}")


def wait_result(client: httpx.Client, parcel: Parcel) -> dict[str, Any]:
    """Poll until the study has a final state."""
    deadline = time.monotonic() + RESULT_TIMEOUT_S
    while time.monotonic() < deadline:
        answer = client.get(f"/api/v1/studies/{parcel.study_instance_uid}/result")
        if answer.status_code == 200 and answer.json()["state"] in STATE_COLOURS:
            result: dict[str, Any] = answer.json()
            return result
        time.sleep(0.2)
    raise SystemExit(f"demo: {parcel.label} had no result after {RESULT_TIMEOUT_S:.0f} s")


def line(parcel: Parcel, result: dict[str, Any]) -> str:
    """Who, state, findings with probabilities, seconds from last slice to result."""
    state = result["state"]
    shown = state if not sys.stdout.isatty() else f"\x1b[{STATE_COLOURS[state]}m{state}\x1b[0m"
    assessed = [f for f in result["findings"] if f["probability"] is not None]
    high = sorted(assessed, key=lambda f: -f["probability"])[:3]
    said = ", ".join(f"{f['stroke_type']} {f['probability']:.2f}" for f in high)
    said = said or ", ".join(result["reasons"]) or "-"
    pad = " " * max(0, 8 - len(state))
    received, told = (datetime.fromisoformat(result[key]) for key in ("received_at", "result_at"))
    seconds = (told - received).total_seconds()
    return f"{parcel.calling_ae:<11} {parcel.label:<26} {shown}{pad} {said:<44} {seconds:5.1f} s"


def send_and_print(parcels: list[Parcel], peer: Peer, client: httpx.Client) -> list[Parcel]:
    """Two hospitals at a time send; each study's line is printed when its result is there.

    Returns:
        Those that were flagged.
    """
    flagged = []

    def deliver(parcel: Parcel) -> str:
        failed = [r for r in send(parcel.paths, peer, calling_ae=parcel.calling_ae) if not r.stored]
        for result in failed[:3]:
            say(f"  {parcel.label}: {result.path.name}: {result.text}")
        result = wait_result(client, parcel)
        if result["state"] == "flagged":
            flagged.append(parcel)
        return line(parcel, result)

    say(f"\n{'from':<11} {'study':<26} {'state':<8} {'findings':<44} last slice to result")
    with ThreadPoolExecutor(2) as pool:
        for done in as_completed([pool.submit(deliver, parcel) for parcel in parcels]):
            say(done.result())
    return flagged


def tell(settings: Settings, address: str, token: str, password: str) -> None:
    """What a newcomer can do now."""
    others = ", ".join(name for name in PEOPLE if name != "dr.demo")
    say(f"\nThe worklist: {address}/   sign in as dr.demo (a radiologist), password {password}")
    say(f"  the same password: {others}")
    if not settings.viewer.exists():
        say(f"  OHIF for full reading: .venv/bin/hub viewer install --into {VIEWER.relative_to(ROOT)}")
    say(f"Your own CT: storescu -aec {settings.ae_title} 127.0.0.1 {settings.dicom_port} FILE...")
    say(f"The API: {address}/docs   token: {token}\nPress Ctrl-C to stop; the next demo starts empty.")


def main() -> None:
    logs.configure("WARNING")
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after the last result, exit 0")
    parser.add_argument("folders", nargs="*", type=Path, help="folders of CT studies to send as well")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        if not folder.is_dir():
            parser.error(f"{folder} is not a folder")

    DEMO.mkdir(exist_ok=True)
    parcels = list(simulated_parcels(simulate()))
    for folder in arguments.folders:
        parcels += folder_parcels(folder.resolve())

    # every demo starts with an empty hub
    data = DEMO / "data"
    shutil.rmtree(data, ignore_errors=True)
    http_port, dicom_port = free_port(8080), free_port(11112)
    environment = os.environ | {
        "HUB_DATA": str(data),
        "HUB_HTTP_PORT": str(http_port),
        "HUB_DICOM_PORT": str(dicom_port),
    }
    settings = read_settings(environment)
    token, answers, password = prepare(settings)
    settings.viewer.symlink_to(VIEWER)
    address = f"http://127.0.0.1:{http_port}"

    def client(key: str) -> httpx.Client:
        return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    say(f"Starting the hub: {address}, DICOM {settings.ae_title}@127.0.0.1:{dicom_port}")
    with (
        hub(environment, address) as server,
        other_pacs(DEMO / "other-pacs") as pacs,
        client(token) as sender,
        client(answers) as receiver,
    ):
        flagged = send_and_print(parcels, Peer(settings.ae_title, "127.0.0.1", dicom_port), sender)
        if away := [each for each in flagged if CALLERS.get(each.calling_ae) != RECEIVER]:
            say("\nOne of them goes on to another hospital:")
            hand_off(sender, receiver, away[0].study_instance_uid, pacs, say)
        say("\nResearch use only. Simulated CT unless you gave a folder; weights are not cleared for care.")
        if not arguments.once:
            tell(settings, address, token, password)
            try:
                server.wait()
            except KeyboardInterrupt:
                say("stopping")


if __name__ == "__main__":
    main()
