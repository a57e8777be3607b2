"""Consults as Tasks over FHIR: asked, received, accepted, answered and closed by other systems."""

from typing import Any

import pytest
from sqlalchemy import Engine, select

from service.accounts import Role
from service.alert_states import AlertState
from service.alerts import Alert, AlertKind
from service.consults import Consult
from service.db import session_scope
from service.fhir.consult_terms import INPUT, OUTPUT
from service.fhir.elements import LOINC
from tests.service.api.conftest import SignIn
from tests.service.api.test_fhir import search, valid
from tests.service.api.test_fhir_referrals import HEADERS, put
from tests.service.factories import HN, LOEI, NAME, UDON, analysed, registered


def part(system: str, code: str, **value: Any) -> dict[str, Any]:
    return {"type": {"coding": [{"system": system, "code": code}]}, **value}


def word(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"urn:imaging-hub:codes:{system}", "code": code}]}


INPUTS = [
    part(INPUT, "onset-at", valueDateTime="2026-11-22T08:30:00+07:00"),
    part(INPUT, "onset", valueCodeableConcept=word("onset", "last_known_well")),
    part(LOINC, "72089-6", valueInteger=14),
    part(LOINC, "9269-2", valueInteger=13),
    part(LOINC, "8480-6", valueQuantity={"value": 168, "code": "mm[Hg]"}),
    part(LOINC, "8462-4", valueQuantity={"value": 92, "code": "mm[Hg]"}),
    part(LOINC, "2339-0", valueQuantity={"value": 132, "unit": "mg/dL"}),
    part(LOINC, "6301-6", valueQuantity={"value": 1.1}),
    part(INPUT, "anticoagulant", valueCodeableConcept=word("anticoagulant", "warfarin")),
    part(LOINC, "8310-5", valueQuantity={"value": 37.2, "code": "Cel"}),  # passed over
]
ADVICE = [
    part(OUTPUT, "thrombolysis", valueCodeableConcept=word("thrombolysis", "conditions")),
    part(OUTPUT, "conditions", valueString="BP below 185/110"),
    part(OUTPUT, "transfer", valueBoolean=False),
    part(OUTPUT, "imaging", valueCodeableConcept=word("imaging", "cta")),
    part(OUTPUT, "imaging", valueCodeableConcept=word("imaging", "mri")),
]
OUTCOME = part(OUTPUT, "outcome", valueCodeableConcept=word("outcome", "transferred"))


def question(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "11429006"}]},
        "description": "Thrombolysis?",
        "focus": {"reference": "ImagingStudy/1.2.3"},
        "owner": {"reference": f"Organization/{UDON}"},
        "performerType": [word("specialty", "neurology")],
        "input": INPUTS,
        **changes,
    }


def task(status: str, number: str = "c1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "id": number, "status": status, "intent": "order", **more}


@pytest.fixture
def asker(engine: Engine, signed_in: SignIn) -> Any:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", hcode=LOEI)
        registered(session, "7.7.7")
    return signed_in(Role.REFERRER, LOEI)


@pytest.fixture
def adviser(signed_in: SignIn) -> Any:
    return signed_in(Role.SPECIALIST, UDON)


def post(client: Any, resource: dict[str, Any]) -> Any:
    return client.post("/fhir/Task", json=resource, headers=HEADERS)


def test_a_question_goes_all_the_way_and_what_was_sent_is_what_is_read(
    asker: Any, adviser: Any, engine: Engine
) -> None:
    answer = post(asker, question())
    assert answer.status_code == 201, answer.text
    assert (answer.headers["location"], answer.headers["etag"]) == ("Task/c1/_history/1", 'W/"1"')
    made = valid(answer.json())
    assert made["description"] == "Thrombolysis?"
    by_code = {each["type"]["coding"][0]["code"]: each for each in made["input"]}
    assert set(by_code) == {each["type"]["coding"][0]["code"] for each in INPUTS[:-1]}
    assert by_code["2339-0"]["valueQuantity"] | {"unit": ""} == {
        "value": 132,
        "unit": "",
        "system": "http://unitsofmeasure.org",
        "code": "mg/dL",
    }
    assert by_code["onset-at"]["valueDateTime"] == "2026-11-22T08:30:00.000+07:00"
    assert adviser.get("/fhir/ImagingStudy/1.2.3").status_code == 200
    for client, status, outputs in (
        (adviser, "received", []),
        (adviser, "accepted", []),
        (adviser, "in-progress", ADVICE),
        (asker, "completed", [*ADVICE, OUTCOME, part(OUTPUT, "ending", valueString="went to Udon")]),
    ):
        moved = put(client, task(status, output=outputs))
        assert moved.status_code == 200, moved.text
        assert valid(moved.json())["status"] == status
        assert [each["id"] for each in search(client, f"Task?status={status}&code=11429006")] == ["c1"]
    told = valid(asker.get("/fhir/Task/c1").json())
    assert [each["type"]["coding"][0]["code"] for each in told["output"]] == [
        "thrombolysis",
        "transfer",
        "imaging",
        "imaging",
        "conditions",
        "outcome",
        "ending",
    ]
    hidden = valid(adviser.get("/fhir/Task/c1").json())
    assert ("focus" in hidden, hidden["for"]) == (False, {"display": "no longer shown to this hospital"})
    with session_scope(engine, write=False) as session:
        row = session.get_one(Consult, 1)
        assert (row.details["anticoagulant"], row.advice and row.advice["imaging"]) == (
            "warfarin",
            ["cta", "mri"],
        )
        rings = {each.kind: each.state for each in session.scalars(select(Alert))}
        assert rings == {
            AlertKind.CONSULT_ASKED: AlertState.ACKNOWLEDGED,
            AlertKind.CONSULT_ANSWERED: AlertState.ACKNOWLEDGED,
        }


def test_a_read_stops_no_clock_and_only_the_asked_hospital_receives(asker: Any, adviser: Any) -> None:
    post(asker, question())
    assert adviser.get("/fhir/Task/c1").json()["status"] == "requested"
    assert put(asker, task("received")).status_code == 403
    assert put(asker, task("accepted")).status_code == 403
    assert put(adviser, task("accepted")).status_code == 200
    assert put(adviser, task("received")).status_code == 409
    assert put(adviser, task("completed", output=[OUTCOME])).status_code == 403
    assert put(asker, task("completed", output=[OUTCOME])).status_code == 409
    assert put(asker, task("cancelled")).status_code == 422  # no reason
    cancelled = valid(put(asker, task("cancelled", statusReason={"text": "improved"})).json())
    assert cancelled["statusReason"]["text"] == "improved"


def test_what_was_changed_meanwhile_is_not_overwritten(asker: Any, adviser: Any) -> None:
    etag = post(asker, question()).headers["etag"]
    assert put(adviser, task("received"), **{"If-Match": etag}).status_code == 200
    stale = put(asker, task("cancelled", statusReason={"text": "improved"}), **{"If-Match": etag})
    assert (stale.status_code, valid(stale.json())["issue"][0]["code"]) == (409, "conflict")


def test_searches_find_consults_beside_referrals(asker: Any, adviser: Any, signed_in: SignIn) -> None:
    post(asker, question())
    wanted = {
        "": ["c1"],
        "code=fulfill": [],
        "code=http://snomed.info/sct|11429006": ["c1"],
        f"requester=Organization/{LOEI}": ["c1"],
        f"owner=Organization/{LOEI}": [],
        "focus=ImagingStudy/1.2.3": ["c1"],
        "focus=ServiceRequest/r1": [],
        "based-on=ServiceRequest/r1": [],
        "patient=Patient/p1&status=requested": ["c1"],
        "patient=Patient/p2": [],
        "status=received": [],
        "_id=c1,r1,x": ["c1"],
        "_count=1": ["c1"],
    }
    found = {address: [each["id"] for each in search(adviser, f"Task?{address}")] for address in wanted}
    assert found == wanted
    third = signed_in(Role.SPECIALIST, "10704")
    assert search(third, "Task") == []
    technician = signed_in(Role.TECHNICIAN, LOEI)
    assert search(technician, "Task") == []
    for client in (third, technician):
        assert client.get("/fhir/Task/c1").status_code == 404
    assert put(third, task("accepted")).status_code == 404
    assert put(technician, task("accepted")).status_code == 403


def test_a_transaction_asks_and_answers_or_does_nothing(asker: Any) -> None:
    def bundle(*entries: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
        made = [{"resource": what, "request": {"method": how, "url": url}} for how, url, what in entries]
        return {"resourceType": "Bundle", "type": "transaction", "entry": made}

    ask = ("POST", "Task", question())
    lost = ("PUT", "Task/c9", task("cancelled", "c9", statusReason={"text": "?"}))
    assert asker.post("/fhir", json=bundle(ask, lost), headers=HEADERS).status_code == 404
    assert search(asker, "Task") == []
    made = valid(asker.post("/fhir", json=bundle(ask), headers=HEADERS).json())["entry"][0]
    location = f"Task/{made['resource']['id']}/_history/1"
    assert made["response"] == {"status": "201", "location": location, "etag": 'W/"1"'}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"code": {"coding": [{"code": "fulfill"}]}}, 400, "ServiceRequest"),
    ({"focus": {"display": "a CT"}}, 400, "ImagingStudy"),
    ({"focus": {"reference": "ImagingStudy/7.7.7"}}, 404, "7.7.7"),
    ({"owner": {"display": "Udon"}}, 400, "Organization"),
    ({"owner": {"reference": "Organization/99999"}}, 404, "99999"),
    ({"performerType": [word("specialty", "surgery")]}, 400, "neurosurgery"),
    ({"description": ""}, 422, "question"),
    ({"status": "accepted"}, 400, "status"),
    ({"input": [part(LOINC, "72089-6", valueInteger=43)]}, 400, "nihss"),
    ({"input": [part(LOINC, "72089-6", valueString=NAME)]}, 400, "valueInteger"),
    ({"input": [INPUTS[2], INPUTS[2]]}, 400, "2 times"),
    ({"input": [part(LOINC, "2339-0", valueQuantity={"value": 7, "code": "mmol/L"})]}, 400, "mg/dL"),
    ({"input": [part(INPUT, "onset", valueCodeableConcept=word("onset", NAME))]}, 400, "onset"),
    ({"input": [part(INPUT, "onset-at", valueDateTime="2026-11-22T08:30:00")]}, 400, "onset_at"),
]


def test_what_is_wrong_is_named_and_nothing_is_kept(asker: Any) -> None:
    for changes, status, words in WRONG:
        answer = post(asker, question(**changes))
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert NAME not in answer.text
        assert HN not in answer.text
    assert search(asker, "Task") == []


def test_advice_and_outcome_must_say_what_they_are(asker: Any, adviser: Any) -> None:
    post(asker, question())
    for outputs, words in (
        ([], "thrombolysis"),
        (ADVICE[:1] + ADVICE[2:], "conditions"),
        ([*ADVICE, part(OUTPUT, "imaging", valueCodeableConcept=word("imaging", "x-ray"))], "imaging"),
    ):
        answer = put(adviser, task("in-progress", output=outputs))
        assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert put(adviser, task("in-progress", output=ADVICE)).status_code == 200
    assert put(asker, task("completed")).status_code == 400
    other = part(OUTPUT, "outcome", valueCodeableConcept=word("outcome", "other"))
    assert put(asker, task("completed", output=[other])).status_code == 422  # needs words
    assert put(asker, task("completed", "c2", output=[other])).status_code == 404
