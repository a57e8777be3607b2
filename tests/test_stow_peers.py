"""STOW-RS from clients that were not made for us: dicomweb-client, and Orthanc's DICOMweb plug-in."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from benchmarks.hub_api import PLUGIN, Server, hub_api
from pacs_gateway.inbox import Inbox
from tests.hub import free_port, until
from tests.pacs import write_study


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stow") / "hub"


@pytest.fixture(scope="module")
def hub(data: Path) -> Iterator[Server]:
    with hub_api(data, []) as server:
        yield server


def stored(data: Path, study: str) -> int:
    inbox = Inbox(data / "inbox", reserve_bytes=0)
    try:
        return sum(each.stored for each in inbox.receipts(study_instance_uid=study))
    finally:
        inbox.close()


def test_dicomweb_client_stores_unmodified(hub: Server, data: Path, tmp_path: Path) -> None:
    session = requests.Session()
    session.headers.update(hub.headers)
    client = DICOMwebClient(f"http://127.0.0.1:{hub.port}{hub.root}", session=session)
    paths = write_study(tmp_path, study="1.2.3.71", slices=7)
    report = client.store_instances([dcmread(path) for path in paths])
    assert len(report.ReferencedSOPSequence) == 7
    assert "FailedSOPSequence" not in report
    assert stored(data, "1.2.3.71") == 7


@pytest.mark.skipif(
    not PLUGIN.exists() or shutil.which("Orthanc") is None, reason="Orthanc's DICOMweb plug-in is not here"
)
def test_orthanc_stores_a_study_over_dicomweb(hub: Server, data: Path, tmp_path: Path) -> None:
    http = free_port()
    configuration = {
        "StorageDirectory": str(tmp_path / "db"),
        "IndexDirectory": str(tmp_path / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": http,
        "DicomPort": free_port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {
            "Enable": True,
            "Servers": {
                "hub": {
                    "Url": f"http://127.0.0.1:{hub.port}{hub.root}/",
                    "HttpHeaders": dict(hub.headers),
                }
            },
        },
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["Orthanc", str(tmp_path / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as rest:

            def up() -> bool:
                try:
                    return rest.get("/system").status_code == 200
                except httpx.TransportError:
                    return False

            until(up, seconds=60, hint="Orthanc answers")
            for path in write_study(tmp_path / "study", study="1.2.3.72", slices=9):
                rest.post("/instances", content=path.read_bytes()).raise_for_status()
            [study] = rest.get("/studies").json()
            body = {"Resources": [study], "Synchronous": True}
            answer = rest.post("/dicom-web/servers/hub/stow", json=body)
            assert answer.status_code == 200, answer.text
            assert stored(data, "1.2.3.72") == 9
    finally:
        process.terminate()
        process.wait()
