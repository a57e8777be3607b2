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
from pydicom import dcmread

from pacs_gateway.arrivals import Ending, Outcome
from pacs_gateway.callers import Sender
from pacs_gateway.commitment import new_transaction_uid, request_commitment
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.query import (
    QueryRefused,
    Transfer,
    count_instances,
    find_studies,
    get_study,
    move_study,
)
from pacs_gateway.sender import Peer, send
from pacs_gateway.trials import Trial, TrialInbox
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
        "DicomModalities": {
            name: {"AET": title, "Host": "127.0.0.1", "Port": hub[1].port, "AllowStorageCommitment": True}
            for name, title in (("hub", "IMAGINGHUB"), ("lane", "IMAGINGHUBTEST"))
        },
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


@pytest.mark.skipif(shutil.which("getscu") is None, reason="dcmtk is not on this machine")
def test_dcmtk_finds_what_we_sent_and_gets_it_back_unchanged(orthanc: Orthanc, tmp_path: Path) -> None:
    paths = write_study(tmp_path / "study", slices=4)
    assert all(result.stored for result in send(paths, Peer("ORTHANC", "127.0.0.1", orthanc.port)))
    sent = {ds.SOPInstanceUID: ds for ds in map(dcmread, paths)}
    study = next(iter(sent.values())).StudyInstanceUID
    (got := tmp_path / "got").mkdir()
    place = [
        "-S",
        "-aet",
        "IMAGINGHUB",
        "-aec",
        "ORTHANC",
        "127.0.0.1",
        str(orthanc.port),
        "-k",
        f"StudyInstanceUID={study}",
    ]
    find = [
        "findscu",
        *place,
        "-k",
        "QueryRetrieveLevel=IMAGE",
        "-k",
        "SOPInstanceUID",
        "-X",
        "-od",
        str(got),
    ]
    # of a series, as an image's key is unique below it
    series = ["-k", f"SeriesInstanceUID={next(iter(sent.values())).SeriesInstanceUID}"]
    subprocess.run([*find, *series], check=True)
    assert {dcmread(path, force=True).SOPInstanceUID for path in got.iterdir()} == set(sent)
    (back := tmp_path / "back").mkdir()
    subprocess.run(["getscu", *place, "-k", "QueryRetrieveLevel=STUDY", "-od", str(back)], check=True)
    returned = {ds.SOPInstanceUID: ds for ds in map(dcmread, back.iterdir())}
    assert returned == sent


def test_orthanc_learns_by_storage_commitment_what_it_may_delete(
    orthanc: Orthanc, hub: tuple[Inbox, Listener], tmp_path: Path
) -> None:
    line = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port, "hcode": None}
    (tmp_path / "peers.json").write_text(json.dumps({"peers": [line]}))
    paths = write_study(tmp_path / "study", slices=3)
    for path in paths:
        orthanc.rest.post("/instances", content=path.read_bytes()).raise_for_status()
    (study,) = orthanc.rest.get("/studies").json()
    job = orthanc.rest.post(
        "/modalities/hub/store", json={"Resources": [study], "StorageCommitment": True}
    ).json()
    assert job["InstancesCount"] == 3

    def finished() -> dict[str, object] | None:
        found = orthanc.rest.get(f"/storage-commitment/{job['StorageCommitmentTransactionUID']}")
        report = found.json() if found.status_code == 200 else {"Status": "Pending"}
        return report if report["Status"] != "Pending" else None

    report = await_condition(finished, "Orthanc has the report")
    assert (report["Status"], len(report["Success"]), report["Failures"]) == ("Success", 3, [])
    asked = {"DicomInstances": [["1.2.840.10008.5.1.4.1.1.2", "1.2.3.999"]]}
    job = orthanc.rest.post("/modalities/hub/storage-commitment", json=asked).json()
    job["StorageCommitmentTransactionUID"] = job["ID"]
    report = await_condition(finished, "Orthanc has the second report")
    assert report["Status"] == "Failure"
    assert [each["FailureReason"] for each in report["Failures"]] == [0x0112]


def test_orthanc_commits_to_what_we_sent(
    orthanc: Orthanc, hub: tuple[Inbox, Listener], tmp_path: Path
) -> None:
    peer = Peer("ORTHANC", "127.0.0.1", orthanc.port)
    sent = send(write_study(tmp_path / "study", slices=2), peer)
    references = [("1.2.840.10008.5.1.4.1.1.2", each.sop_instance_uid) for each in sent]
    transaction = new_transaction_uid()
    request_commitment(peer, references, transaction_uid=transaction)
    (report,) = await_condition(hub[0].commitments.reports, "Orthanc's report")
    assert (report.transaction_uid, report.calling_ae) == (transaction, "ORTHANC")
    assert (set(report.committed), report.failed) == ({uid for _, uid in references}, ())


@pytest.fixture
def archive(orthanc: Orthanc, tmp_path: Path) -> Peer:
    """Orthanc with a CT of twelve slices and one of another patient."""
    paths = write_study(tmp_path / "study", study="1.2.3.1", slices=12)
    paths += write_study(tmp_path / "other", study="1.2.3.2", slices=2, PatientID="HN2")
    for path in paths:
        orthanc.rest.post("/instances", content=path.read_bytes()).raise_for_status()
    return Peer("ORTHANC", "127.0.0.1", orthanc.port)


def test_orthanc_tells_a_patients_studies_and_how_many_instances_they_have(archive: Peer) -> None:
    (found,) = find_studies(archive, patient_id="HN1")
    assert (found.study_instance_uid, found.modalities, found.instances) == ("1.2.3.1", ("CT",), 12)
    assert found.study_date is not None
    assert count_instances(archive, "1.2.3.1") == 12
    assert count_instances(archive, "1.2.3.9") is None
    assert find_studies(archive, patient_id="HN3") == []


@pytest.mark.parametrize("patient_id", ["", "*", "HN?", " "])
def test_nobody_asks_for_every_patient(patient_id: str) -> None:
    with pytest.raises(ValueError, match="whole patient ID"):
        find_studies(Peer("X", "127.0.0.1", 1), patient_id=patient_id)


def test_orthanc_moves_a_study_to_our_listener(archive: Peer, hub: tuple[Inbox, Listener]) -> None:
    assert move_study(archive, "1.2.3.1", to_ae="IMAGINGHUB") == Transfer(12, 0, 0)
    (receipt,) = await_condition(
        lambda: [each for each in hub[0].receipts(study_instance_uid="1.2.3.1") if each.closed_at],
        "the study",
    )
    assert receipt.stored == 12
    with pytest.raises(QueryRefused):
        move_study(archive, "1.2.3.1", to_ae="NOBODY")


def test_a_study_is_fetched_from_orthanc_on_our_own_association(
    archive: Peer, hub: tuple[Inbox, Listener], tmp_path: Path
) -> None:
    sender = Sender("ORTHANC", "IMAGINGHUB", "127.0.0.1", None)

    def keep(content: bytes) -> bool:
        path = tmp_path / "fetched.dcm"
        path.write_bytes(content)
        return hub[0].add_part10(path, sender) is Outcome.STORED

    assert get_study(archive, "1.2.3.1", keep).completed == 12
    assert sum(each.stored for each in hub[0].receipts(study_instance_uid="1.2.3.1")) == 12


def test_orthanc_tries_the_link_on_the_test_lane_with_commitment(
    orthanc: Orthanc, hub: tuple[Inbox, Listener], tmp_path: Path
) -> None:
    line = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port, "hcode": None}
    (tmp_path / "peers.json").write_text(json.dumps({"peers": [line | {"tls": False, "certificate": ""}]}))
    for path in write_study(tmp_path / "study", slices=12):
        orthanc.rest.post("/instances", content=path.read_bytes()).raise_for_status()
    (study,) = orthanc.rest.get("/studies").json()
    asked = {"Resources": [study], "StorageCommitment": True}
    orthanc.rest.post("/modalities/lane/store", json=asked).raise_for_status()
    lane = TrialInbox(hub[0].root, reserve_bytes=0)

    def told() -> Trial | None:
        trials = [trial for trial in lane.trials() if trial.stored]
        return trials[0] if trials and trials[0].commitments and trials[0].commitments[0].told_at else None

    trial = await_condition(told, "a trial whose commitment was reported")
    lane.close()
    assert (trial.stored, trial.refused, trial.commitments[0].committed) == (12, 0, 12)
    assert trial.endings == (Ending.RELEASED,)
    assert hub[0].receiving() == []
    assert hub[0].ready_studies() == []
