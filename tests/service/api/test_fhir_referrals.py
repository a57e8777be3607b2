"""Referrals over FHIR: another system refers, the receiving one answers, and both follow it."""

import importlib
from typing import Any

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.db import session_scope
from service.fhir.elements import HCODE
from tests.service.api.conftest import SignIn
from tests.service.factories import HN, LOEI, NAME, UDON, analysed

HEADERS = {"Content-Type": "application/fhir+json"}


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    kind = resource["resourceType"]
    module = importlib.import_module(f"fhir.resources.R4B.{kind.lower()}")
    getattr(module, kind).model_validate(resource)
    return resource


def request(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "priority": "stat",
        "code": {"text": "haematoma, please operate"},
        "subject": {"reference": "Patient/p1"},
        "requester": {"reference": f"Organization/{LOEI}", "display": "พญ. ส่งต่อ"},
        "performer": [{"reference": f"Organization/{UDON}"}],
        "reasonCode": [
            {
                "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I61.0"}],
                "text": "intracerebral haemorrhage",
            }
        ],
        "supportingInfo": [{"reference": "ImagingStudy/1.2.3"}],
        "note": [{"text": "found at six"}],
        **changes,
    }


def task(status: str, number: str = "r1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "id": number, "status": status, "intent": "order", **more}


@pytest.fixture
def sender(engine: Engine, signed_in: SignIn) -> Any:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.IPH, hcode=LOEI)
        analysed(session, "7.7.7")
    return signed_in(Role.REFERRER, LOEI)


@pytest.fixture
def receiver(signed_in: SignIn) -> Any:
    return signed_in(Role.SPECIALIST, UDON)


def post(client: Any, resource: dict[str, Any]) -> Any:
    return client.post("/fhir/ServiceRequest", json=resource, headers=HEADERS)


def put(client: Any, resource: dict[str, Any], **headers: str) -> Any:
    return client.put(f"/fhir/Task/{resource['id']}", json=resource, headers={**HEADERS, **headers})


def test_a_patient_goes_all_the_way(sender: Any, receiver: Any) -> None:
    made = post(sender, request())
    assert made.status_code == 201
    assert made.headers["location"].startswith("ServiceRequest/r1/_history/")
    sent = valid(made.json())
    assert (sent["status"], sent["priority"]) == ("active", "stat")
    assert sent["identifier"][0]["system"].endswith(f"/{LOEI}/Refer")
    assert receiver.get("/fhir/ImagingStudy/1.2.3").status_code == 200  # shown with the request
    seen = valid(receiver.get(f"/fhir/Task?status=requested&owner={UDON}").json())
    assert [each["resource"]["id"] for each in seen["entry"]] == ["r1"]
    hn = {"system": f"https://terms.sil-th.org/hcode/5/{UDON}/HN", "value": "55-1"}
    for client, status, more in (
        (receiver, "received", {}),
        (receiver, "accepted", {"output": [{"type": {"text": "HN"}, "valueIdentifier": hn}]}),
        (sender, "in-progress", {}),
        (receiver, "in-progress", {}),
        (receiver, "completed", {"output": [{"type": {"text": "reply"}, "valueString": "operated"}]}),
    ):
        answer = put(client, task(status, **more))
        assert answer.status_code == 200, answer.text
        assert valid(answer.json())["status"] == status
    done = valid(sender.get("/fhir/Task/r1").json())
    assert done["businessStatus"]["coding"][0]["code"] == "F"
    assert done["output"][0]["valueString"] == "operated"
    assert valid(sender.get("/fhir/ServiceRequest/r1").json())["status"] == "completed"


def test_a_rejection_says_why_and_hides_the_patient_again(sender: Any, receiver: Any) -> None:
    post(sender, request())
    why = {"coding": [{"system": "urn:imaging-hub:codes:referral-reason", "code": "no_bed"}]}
    answer = valid(put(receiver, task("rejected", statusReason=why)).json())
    assert answer["statusReason"]["coding"][0]["code"] == "no_bed"
    assert "reference" not in answer["for"]
    hidden = receiver.get("/fhir/ServiceRequest/r1").json()
    assert valid(hidden)["subject"] == {"display": "no longer shown to this hospital"}
    assert not {"supportingInfo", "note", "code"} & set(hidden)
    assert receiver.get("/fhir/ImagingStudy/1.2.3").status_code == 404
    assert valid(sender.get("/fhir/ServiceRequest/r1").json())["subject"]["reference"].startswith("Patient/p")


def test_words_alone_are_a_reason_too(sender: Any, receiver: Any) -> None:
    post(sender, request())
    answer = put(receiver, task("rejected", statusReason={"text": "the bridge is flooded"}))
    assert answer.json()["statusReason"]["coding"][0]["code"] == "other"
    assert put(receiver, task("accepted")).status_code == 409


def test_what_was_changed_meanwhile_is_not_overwritten(sender: Any, receiver: Any) -> None:
    etag = post(sender, request()).headers["etag"]
    assert put(receiver, task("received")).status_code == 200
    stale = put(sender, task("cancelled", statusReason={"text": "improved"}), **{"If-Match": etag})
    assert stale.status_code == 409
    assert valid(stale.json())["issue"][0]["code"] == "conflict"
    assert put(receiver, task("accepted"), **{"If-Match": "yesterday"}).status_code == 400


def test_a_transaction_is_carried_out_whole_or_not_at_all(sender: Any) -> None:
    def bundle(*entries: dict[str, Any]) -> dict[str, Any]:
        return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}

    create = {"resource": request(status="draft"), "request": {"method": "POST", "url": "ServiceRequest"}}
    lost = {"resource": task("requested", "r9"), "request": {"method": "PUT", "url": "Task/r9"}}
    assert sender.post("/fhir", json=bundle(create, lost), headers=HEADERS).status_code == 404
    assert sender.get("/fhir/Task").json()["total"] == 0
    made = valid(sender.post("/fhir", json=bundle(create), headers=HEADERS).json())["entry"][0]
    assert made["response"]["status"] == "201"
    number = made["resource"]["id"]
    ask = {"resource": task("requested", number), "request": {"method": "PUT", "url": f"Task/{number}"}}
    answer = sender.post("/fhir", json=bundle(ask, create), headers=HEADERS)
    assert [each["response"]["status"] for each in valid(answer.json())["entry"]] == ["200", "201"]
    assert sender.get(f"/fhir/Task/{number}").json()["status"] == "requested"
    for wrong in ({}, {"resourceType": "Bundle", "type": "batch"}, bundle(), bundle({"request": None})):
        assert sender.post("/fhir", json=wrong, headers=HEADERS).status_code == 400
    delete = {"request": {"method": "DELETE", "url": "Task/r1"}}
    assert sender.post("/fhir", json=bundle(delete), headers=HEADERS).status_code == 400


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"performer": []}, 400, "performer"),
        ({"performer": [{"display": "Udon"}]}, 400, "Organization"),
        ({"supportingInfo": [{"display": "a CT"}]}, 400, "ImagingStudy"),
        ({"supportingInfo": [{"reference": "ImagingStudy/7.7.7"}]}, 404, "7.7.7"),
        ({"performer": [{"reference": "Organization/99999"}]}, 404, "99999"),
        ({"intent": "proposal"}, 400, "intent"),
        ({"priority": NAME}, 400, "priority"),
        ({"requester": {}}, 422, "doctor"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(
    sender: Any, changes: dict[str, Any], status: int, words: str
) -> None:
    answer = post(sender, request(**changes))
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert NAME not in answer.text
    assert HN not in answer.text
    assert sender.get("/fhir/Task").json()["total"] == 0


def test_bodies_that_are_none(sender: Any) -> None:
    for content, kind, status in (
        (b"{", "application/fhir+json", 400),
        (b"{}", "application/fhir+xml", 415),
        (b"[1]", "application/fhir+json", 400),
        (b'"' + b"x" * 1_000_001 + b'"', "application/fhir+json", 400),
    ):
        answer = sender.post("/fhir/ServiceRequest", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert valid(answer.json())["resourceType"] == "OperationOutcome"


def test_hospitals_by_code_and_studies_by_uid_are_understood(sender: Any) -> None:
    answer = post(
        sender,
        request(
            performer=[{"identifier": {"system": HCODE, "value": UDON}}],
            supportingInfo=[{"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}}],
        ),
    )
    assert answer.status_code == 201
    found = valid(sender.get("/fhir/ServiceRequest?status=active&performer=Organization/10671").json())
    assert found["total"] == 1
    serial = answer.json()["identifier"][0]["value"]
    assert sender.get(f"/fhir/ServiceRequest?identifier={serial}").json()["total"] == 1
    assert sender.get("/fhir/Task?focus=ServiceRequest/r1").json()["total"] == 1
    assert sender.get("/fhir/Task?_id=r2,nonsense").json()["total"] == 0


def test_a_third_hospital_and_roles_without_the_word_are_kept_out(sender: Any, signed_in: SignIn) -> None:
    post(sender, request())
    third = signed_in(Role.REFERRER, "10704")
    assert third.get("/fhir/Task/r1").status_code == 404
    assert put(third, task("accepted")).status_code == 404
    assert post(signed_in(Role.TECHNICIAN, LOEI), request()).status_code == 403
    assert post(sender, request()).status_code == 409  # the patient is already asked for
