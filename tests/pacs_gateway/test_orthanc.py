"""Orthanc as a hospital's PACS: it sends to our listener, and takes what our sender brings."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.sender import Peer, send
from tests.pacs import await_condition, write_study

pytestmark = pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not on this machine")


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc: its REST interface and its DICOM port."""

    rest: httpx.Client
    port: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def hub(listen: Callable[..., tuple[Inbox, Listener]]) -> tuple[Inbox, Listener]:
    return listen()


@pytest.fixture
def orthanc(tmp_path: Path, hub: tuple[Inbox, Listener]) -> Iterator[Orthanc]:
    http, dicom = free_port(), free_port()
    configuration = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "Plugins": [],
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {"hub": ["IMAGINGHUB", "127.0.0.1", hub[1].port]},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["Orthanc", str(tmp_path / "orthanc.json")],
        env={**os.environ, "TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30) as rest:

        def up() -> bool:
            try:
                return rest.get("/system").status_code == 200
            except httpx.TransportError:
                return False

        await_condition(up, "Orthanc answers")
        yield Orthanc(rest, dicom)
    process.terminate()
    process.wait()


def test_orthanc_sends_a_study_and_it_arrives_whole(
    orthanc: Orthanc, hub: tuple[Inbox, Listener], tmp_path: Path
) -> None:
    paths = write_study(tmp_path / "study", slices=30)
    for path in paths:
        orthanc.rest.post("/instances", content=path.read_bytes()).raise_for_status()
    (study,) = orthanc.rest.get("/studies").json()
    orthanc.rest.post("/modalities/hub/store", content=study).raise_for_status()
    (arrived,) = await_condition(hub[0].ready_studies, "the study is complete")
    assert len(arrived.instances) == 30
    assert [sender.calling_ae for sender in arrived.senders] == ["ORTHANC"]


def test_orthanc_is_answered_when_it_asks_whether_we_are_there(orthanc: Orthanc) -> None:
    assert orthanc.rest.post("/modalities/hub/echo", content="{}").status_code == 200


def test_orthanc_takes_what_we_send(orthanc: Orthanc, tmp_path: Path) -> None:
    paths = write_study(tmp_path / "study", slices=12)
    results = send(paths, Peer("ORTHANC", "127.0.0.1", orthanc.port), associations=2)
    assert all(result.stored for result in results)
    assert orthanc.rest.get("/statistics").json()["CountInstances"] == 12
