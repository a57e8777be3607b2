"""Two DICOMweb servers for benchmarks: the hub's API with studies already admitted, and Orthanc's plug-in."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.serving import ROOT, free_port
from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.inbox import Inbox
from service.accounts import OPERATOR
from service.db import make_engine, session_scope
from service.descriptions import describe
from service.pathway import admit
from service.settings import read_settings
from service.sight import find_study
from service.storage import open_storage

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 60.0
HOSPITAL = "10671"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server's DICOMweb is, and what a request must carry."""

    name: str
    port: int
    root: str
    headers: Mapping[str, str]


@contextmanager
def hub_api(data: Path, paths: Sequence[Path]) -> Iterator[Server]:
    """`hub api` alone, with the studies of `paths` admitted and described; nothing is analysed."""
    port = free_port()
    environment = os.environ | {"HUB_DATA": str(data), "HUB_HTTP_PORT": str(port), "HUB_LOG_LEVEL": "WARNING"}
    hub = [sys.executable, "-m", "service"]

    def command(*words: str) -> str:
        return subprocess.run(
            [*hub, *words], env=environment, cwd=ROOT, text=True, capture_output=True, check=True
        ).stdout

    data.mkdir(parents=True)
    command("account", "add", "bench", "--role", "admin", "--hospital", HOSPITAL)
    token = command("account", "token", "bench").strip().splitlines()[-1]
    admit_studies(environment, paths)
    process = subprocess.Popen([*hub, "api"], env=environment, cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield Server("hub", port, "/dicomweb", {"Authorization": f"Bearer {token}"})
    finally:
        process.terminate()
        process.wait(timeout=30)


def admit_studies(environment: Mapping[str, str], paths: Sequence[Path]) -> None:
    """Take the studies of `paths` in as a hospital's and describe them, without a listener and a worker."""
    settings = read_settings(environment)
    engine = make_engine(settings.database)
    storage = open_storage(settings.storage, settings.storage_folder)
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    sender = Sender("BENCH", "IMAGINGHUB", "127.0.0.1", HOSPITAL)
    association = inbox.open_association(sender)
    for path in paths:
        inbox.add_part10(path, sender, association_id=association)
    inbox.close_association(association, Ending.RELEASED)
    for arrived in inbox.ready_studies(datetime.now(UTC) + timedelta(hours=1)):
        admit(arrived, engine, storage)
        with session_scope(engine, write=False) as session:
            number = find_study(session, arrived.study_instance_uid, OPERATOR).id
        describe(engine, storage, number)
        inbox.hand_over(arrived.study_instance_uid, arrived.digest)
    inbox.close()
    engine.dispose()


@contextmanager
def orthanc_web(folder: Path) -> Iterator[Server]:
    """Orthanc as Debian ships it, with its DICOMweb plug-in and its own defaults."""
    port = free_port()
    folder.mkdir(parents=True)
    configuration = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomPort": free_port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["Orthanc", str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/system")
        yield Server("Orthanc", port, "/dicom-web", {})
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(address: str) -> None:
    """Until a server answers 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit(f"no answer from {address} within {START_SECONDS:.0f} s")
