"""DICOMweb with clients that were not made for us: dicomweb-client, and Orthanc's DICOMweb plug-in."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from tests.hub import RunningHub, free_port, running_hub, until

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    phantom = simulate_head(11, lesions=["iph"], side=128)
    folder = tmp_path_factory.mktemp("study")
    return write_series(phantom, folder, dialect=DIALECTS[0], patient=draw_patient(11, age=70))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, study: list[Path]) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("peers") / "hub") as running:
        sent = running.send(study)
        assert sent.returncode == 0, sent.stderr
        running.result(_study_uid(study))

        def made() -> bool:
            found = running.client.get(f"/dicomweb/studies/{_study_uid(study)}/series").json()
            return {"SR", "CT"} <= {each["00080060"]["Value"][0] for each in found}

        until(made, seconds=60, hint="the hub's own objects are there")
        yield running


def _study_uid(paths: list[Path]) -> str:
    from pydicom import dcmread

    return str(dcmread(paths[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def test_dicomweb_client_finds_and_retrieves_unmodified(hub: RunningHub, study: list[Path]) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {hub.token}"
    client = DICOMwebClient(f"{hub.address}/dicomweb", session=session)
    uid = _study_uid(study)
    [found] = client.search_for_studies(search_filters={"StudyInstanceUID": uid})
    assert found["00080061"]["Value"][0] == "CT"
    series = client.search_for_series(uid, search_filters={"Modality": "CT"})
    [series_uid] = [each["0020000E"]["Value"][0] for each in series]
    instances = client.search_for_instances(uid, series_uid)
    assert len(instances) == len(study)
    metadata = client.retrieve_series_metadata(uid, series_uid)
    assert [each["00080018"] for each in metadata] == [each["00080018"] for each in instances]
    first = instances[0]["00080018"]["Value"][0]
    whole = client.retrieve_instance(uid, series_uid, first)
    [frame] = client.retrieve_instance_frames(uid, series_uid, first, [1])
    assert np.frombuffer(frame, np.int16).size == whole.Rows * whole.Columns
    assert frame == whole.PixelData
    assert len(client.retrieve_study(uid)) >= len(study)
    assert client.retrieve_instance_rendered(uid, series_uid, first).startswith(b"\xff\xd8")


@pytest.mark.skipif(not PLUGIN.exists(), reason="Orthanc's DICOMweb plug-in is not on this machine")
def test_orthanc_retrieves_a_study_over_dicomweb(hub: RunningHub, study: list[Path], tmp_path: Path) -> None:
    assert shutil.which("Orthanc")
    http, dicom = free_port(), free_port()
    configuration = {
        "StorageDirectory": str(tmp_path / "db"),
        "IndexDirectory": str(tmp_path / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {
            "Enable": True,
            "Servers": {
                "hub": {
                    "Url": f"{hub.address}/dicomweb/",
                    "HttpHeaders": {"Authorization": f"Bearer {hub.token}"},
                }
            },
        },
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["Orthanc", str(tmp_path / "orthanc.json")],
        env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as rest:

            def up() -> bool:
                try:
                    return rest.get("/system").status_code == 200
                except httpx.TransportError:
                    return False

            until(up, seconds=60, hint="Orthanc answers")
            body = {"Resources": [{"Study": _study_uid(study)}], "Synchronous": True}
            answer = rest.post("/dicom-web/servers/hub/retrieve", json=body)
            assert answer.status_code == 200, answer.text
            [kept] = rest.get("/studies", params={"expand": ""}).json()
            assert kept["MainDicomTags"]["StudyInstanceUID"] == _study_uid(study)
            assert rest.get("/statistics").json()["CountInstances"] >= len(study)
    finally:
        process.terminate()
        process.wait()
