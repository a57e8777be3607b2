"""From a scanner to the hospital's PACS and people: a whole hub, a real Orthanc that goes down."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.phantom import Lesion, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from pacs_gateway.headers import read_header
from service.channels.webhook import sign
from tests.hub import RunningHub, running_hub, until
from tests.orthanc import Orthanc
from tests.stand_in import stand_in


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    callers = (("UDON_CT1", "10671"), ("ORTHANC", "10671"))
    open_to = {"HUB_SUBSCRIPTION_NETWORKS": "127.0.0.0/8"}
    with running_hub(tmp_path_factory.mktemp("hub"), callers=callers, **open_to) as running:
        yield running


@pytest.fixture
def pacs(hub: RunningHub, tmp_path: Path) -> Iterator[Orthanc]:
    orthanc = Orthanc(tmp_path, DicomModalities={"hub": ["IMAGINGHUB", "127.0.0.1", hub.dicom_port]})
    orthanc.start()
    at = f"ORTHANC@127.0.0.1:{orthanc.port}"
    wants = [word for kind in ("sr", "seg", "gsps", "sc") for word in ("--object", kind)]
    roles = ["--role", "destination", "--role", "commitment"]
    hub.hub("peer", "add", "udon-pacs", at, "--hospital", "10671", *wants, *roles)
    yield orthanc
    orthanc.close()


def send_study(hub: RunningHub, folder: Path, seed: int) -> str:
    phantom = simulate_head(
        seed, lesions=(Lesion("iph", 2.0, "right", "putamen"),), side=192, slices=14, spacing_mm=10.0
    )
    paths = write_series(phantom, folder, dialect=DIALECTS[0], patient=draw_patient(seed, age=60.0))
    hub.storescu(paths)
    uid = read_header(paths[0]).study_instance_uid
    assert hub.result(uid)["state"] == "flagged"
    return uid


def delivery(hub: RunningHub, uid: str) -> dict[str, Any]:
    found = hub.get("/api/v1/deliveries", study=uid)["deliveries"]
    return found[0] if found else {"state": "none"}


def reaches(hub: RunningHub, uid: str, state: str) -> dict[str, Any]:
    until(lambda: delivery(hub, uid)["state"] == state, seconds=90, hint=f"delivery {state}")
    return delivery(hub, uid)


def test_results_reach_the_pacs_are_committed_to_and_survive_its_absence(
    hub: RunningHub, pacs: Orthanc, tmp_path: Path
) -> None:
    first = send_study(hub, tmp_path / "first", 7)
    done = reaches(hub, first, "committed")
    kinds = [item["kind"] for item in done["items"]]
    assert sorted(set(kinds)) == ["gsps", "sc", "seg", "sr"]
    assert pacs.instances() == {item["sop_instance_uid"] for item in done["items"]}

    pacs.kill()
    second = send_study(hub, tmp_path / "second", 8)
    until(lambda: "cannot be reached" in delivery(hub, second).get("reason", ""), seconds=60, hint="a try")
    doctor = hub.hub("doctor", check=False).stdout
    assert "BAD  outbound" in doctor
    assert "udon-pacs does not answer" in doctor
    pacs.start()
    hub.hub("deliver", "retry", str(delivery(hub, second)["id"]))
    done = reaches(hub, second, "committed")
    assert {item["sop_instance_uid"] for item in done["items"]} <= pacs.instances()
    assert 'hub_deliveries_total{state="committed"} 2.0' in hub.client.get("/metrics").text
    assert hub.study(first)["revision"] == 1, "what came back of it is no news"  # type: ignore[index]


def subscribe(hub: RunningHub, address: str) -> str:
    """Have an address called for flags, with ids, and for reports as FHIR has it; the first one's secret."""
    asked = {"address": f"{address}/hub", "topics": ["flagged"]}
    made = hub.client.post("/api/v1/subscriptions", json=asked)
    fhir = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "reports",
        "criteria": "DiagnosticReport?status=preliminary",
        "channel": {"type": "rest-hook", "endpoint": f"{address}/fhir"},
    }
    kind = {"Content-Type": "application/fhir+json"}
    assert hub.client.post("/fhir/Subscription", json=fhir, headers=kind).status_code == 201
    return str(made.json()["secret"])


def test_a_flag_reaches_the_hospitals_own_system_and_stops_when_somebody_has_it(
    hub: RunningHub, tmp_path: Path
) -> None:
    with stand_in() as there, stand_in() as system:
        key = subscribe(hub, system.url)
        contact = {"way": "webhook", "address": there.url, "hospital": "10671"}
        secret = hub.client.post("/api/v1/contacts", json=contact).json()["secret"]
        uid = send_study(hub, tmp_path / "third", 9)
        posted = until(
            lambda: next((each for each in there.posted if each.json["hop"] == 0), None),
            seconds=30,
            hint="the webhook",
        )
        assert posted is not None
        told = posted.json
        place = f"/api/v1/alerts/{told['alert']}"
        until(lambda: hub.get(place)["messages"][-1]["proof"] == "HTTP 200", seconds=20, hint="the proof")
        for number in (1, 2):
            calls = f"/api/v1/subscriptions/{number}/notifications"
            until(
                lambda calls=calls: (
                    [each["proof"] for each in hub.get(calls)["notifications"]] == ["HTTP 200"]
                ),
                seconds=30,
                hint=f"the call of subscription {number}",
            )
    heard = {each.path: each for each in system.posted}
    assert (heard["/hub"].json["study"], heard["/fhir"].body, len(system.posted)) == (uid, b"", 2)
    stamp = heard["/hub"].headers["x-hub-timestamp"]
    assert heard["/hub"].headers["x-hub-signature"] == f"sha256={sign(key, stamp, heard['/hub'].body)}"
    assert (told["kind"], told["hospital"]) == ("flag", "10671")
    assert posted.headers["x-hub-signature"] == (
        f"sha256={sign(secret, posted.headers['x-hub-timestamp'], posted.body)}"
    )
    assert hub.get(place)["path"] == f"/studies/{uid}"
    page = hub.client.get(told["link"])
    mark = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
    assert mark is not None
    hub.client.post(told["link"], data={"csrf_token": mark[1]})
    assert (hub.get(place)["state"], hub.get(place)["acknowledged_through"]) == ("acknowledged", "link")
