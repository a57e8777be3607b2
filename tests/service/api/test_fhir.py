"""FHIR over the wire: every resource is one that fhir.resources accepts, and each is the right one."""

import base64
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from model.stroke import Refusal, StrokeType
from service.accounts import Role, Viewer
from service.audit import AuditEntry
from service.db import session_scope
from service.fhir.criteria import SEARCHES
from service.reports import add_report
from service.reviews import review_finding
from service.signatures import sign_review
from service.studies import Study, begin_analysis, mark_refused
from service.verdicts import Verdict
from tests.service.api.conftest import SignIn
from tests.service.described import described_routes
from tests.service.factories import HN, LOEI, NAME, UDON, analysed, registered

RADIOLOGIST = Viewer("reader", Role.RADIOLOGIST, UDON)
HN_SYSTEM = f"https://terms.sil-th.org/hcode/5/{UDON}/HN"


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, once fhir.resources (R4B, which is R4 for all of these) has accepted it."""
    kind = resource["resourceType"]
    module = importlib.import_module(f"fhir.resources.R4B.{kind.lower()}")
    getattr(module, kind).model_validate(resource)
    return resource


@pytest.fixture
def studies(engine: Engine) -> None:
    """One patient with a flagged and a clear study, one refused study, and one of another hospital."""
    with session_scope(engine) as session:
        study = analysed(session, "1.2.3", StrokeType.ANY_ICH, StrokeType.SDH)
        analysed(session, "1.2.4")
        refused = registered(session, "1.2.5", patient_id="0077777", patient_name="นาย^ก")
        begin_analysis(session, refused)
        mark_refused(session, refused, [Refusal.CONTRAST])
        analysed(session, "1.2.6", hcode=LOEI)
        review_finding(session, study, RADIOLOGIST, Verdict.AGREE)


@pytest.fixture
def client(signed_in: SignIn, studies: None) -> Any:
    return signed_in(Role.REFERRER)


def search(client: Any, address: str) -> list[dict[str, Any]]:
    answer = client.get(f"/fhir/{address}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    return [each["resource"] for each in valid(answer.json()).get("entry", [])]


def pages(client: Any, address: str) -> Iterator[list[str]]:
    url: str | None = f"/fhir/{address}"
    while url:
        bundle = valid(client.get(url).json())
        yield [each["resource"]["id"] for each in bundle.get("entry", [])]
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)


def test_the_capability_statement_is_open_and_tells_what_can_be_searched(anonymous: Any) -> None:
    stated = valid(anonymous.get("/fhir/metadata").json())
    told = {each["type"]: {p["name"] for p in each["searchParam"]} for each in stated["rest"][0]["resource"]}
    assert told == {kind: set(names) for kind, names in SEARCHES.items()}


def test_the_capability_statement_says_what_can_be_written_and_nothing_else(
    anonymous: Any,
) -> None:
    stated = anonymous.get("/fhir/metadata").json()["rest"][0]["resource"]
    told = {(each["type"], code["code"]) for each in stated for code in each["interaction"]}
    words = {"post": "create", "put": "update", "delete": "delete"}
    there = {
        (path.split("/")[2], words[verb])
        for path, verbs in described_routes().items()
        for verb in verbs
        if path.startswith("/fhir/") and "{kind}" not in path and verb in words
    }
    assert {each for each in told if each[1] in words.values()} == there


def test_everything_of_a_patient_is_valid_and_holds_together(client: Any) -> None:
    patient = search(client, "Patient?name=ใจดี")[0]
    bundle = valid(client.get(f"/fhir/Patient/{patient['id']}/$everything").json())
    made = [valid(each["resource"]) for each in bundle["entry"]]
    kinds = [each["resourceType"] for each in made]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "Patient": 1,
        "ImagingStudy": 2,
        "DiagnosticReport": 2,
        "Observation": 9,
        "Provenance": 2,
        "Device": 1,
    }
    there = {f"{each['resourceType']}/{each['id']}" for each in made} | {
        "Endpoint/dicomweb",
        f"Organization/{UDON}",
    }
    assert set(references(bundle)) <= there
    for each in there:
        assert valid(client.get(f"/fhir/{each}").json())["id"] == each.partition("/")[2]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for each in value.values():
            yield from references(each)
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_a_patient_is_one_resource_over_all_studies_and_its_address_holds_no_hn(client: Any) -> None:
    found = search(client, f"Patient?identifier={HN_SYSTEM}|{HN}")
    assert [each["id"] for each in found] == ["p1"]
    assert found[0]["identifier"][0]["value"] == HN
    assert found[0]["name"][0] | {"use": ""} == {
        "use": "",
        "text": "ใจดี สมหญิง",
        "family": "สมหญิง",
        "given": ["ใจดี"],
    }
    assert client.get("/fhir/Patient/p2").json()["id"] == "p1"


def test_names_and_numbers_can_be_searched_without_an_address(client: Any, engine: Engine) -> None:
    answer = client.post("/fhir/Patient/_search", data={"identifier": f"{HN_SYSTEM}|{HN}"})
    assert [each["resource"]["id"] for each in answer.json()["entry"]] == ["p1"]
    with session_scope(engine, write=False) as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.action == "fhir.search")).all()
        assert rows[-1].detail == {"kind": "Patient", "studies": [2]}
        assert not any(HN in str(each.detail) or NAME in str(each.detail) for each in rows)


def test_a_flag_is_an_observation_marked_as_ai_and_clear_is_never_absence(client: Any) -> None:
    found = {each["id"]: each for each in search(client, "Observation?derived-from=ImagingStudy/1.2.3")}
    bleed, clear, ischaemia = found["1-any-ich"], found["1-sah"], found["1-acute-ischaemia"]
    assert bleed["meta"]["security"][0]["code"] == "AIAST"
    assert [each["code"] for each in bleed["valueCodeableConcept"]["coding"]] == ["AI.FLAG", "52101004"]
    assert bleed["component"][0]["valueQuantity"]["value"] == 0.91
    assert clear["valueCodeableConcept"]["coding"][0]["code"] == "AI.CLEAR"
    assert len(clear["valueCodeableConcept"]["coding"]) == 1
    assert "valueCodeableConcept" not in ischaemia
    assert ischaemia["dataAbsentReason"]["coding"][0]["code"] == "not-performed"


def test_a_report_is_preliminary_until_signed(client: Any, engine: Engine) -> None:
    def statuses() -> dict[str, str]:
        return {each["id"]: each["status"] for each in search(client, "DiagnosticReport")}

    assert statuses() == {"1.2.3": "preliminary", "1.2.4": "preliminary", "1.2.5": "preliminary"}
    with session_scope(engine) as session:
        study = session.get_one(Study, 1)
        sign_review(session, study, RADIOLOGIST)
        add_report(session, study, RADIOLOGIST, "Subdural hemorrhage.")
    assert statuses()["1.2.3"] == "final"
    assert [each["id"] for each in search(client, "DiagnosticReport?status=final")] == ["1.2.3"]
    report = client.get("/fhir/DiagnosticReport/1.2.3").json()
    assert report["resultsInterpreter"] == [{"display": "reader"}]
    assert base64.b64decode(report["presentedForm"][0]["data"]).decode() == "Subdural hemorrhage."
    verdict = client.get("/fhir/Observation/1-review").json()
    assert (verdict["status"], verdict["valueCodeableConcept"]["coding"][0]["code"]) == (
        "final",
        "READER.AGREE",
    )


def test_a_refused_study_says_why(client: Any) -> None:
    report = valid(client.get("/fhir/DiagnosticReport/1.2.5").json())
    assert [each["coding"][0]["code"] for each in report["conclusionCode"]] == [
        "TRIAGE.REFUSED",
        "REF.CONTRAST",
    ]
    assert report["conclusion"].startswith("Not assessed: contrast.")


@pytest.mark.parametrize(
    ("address", "ids"),
    [
        ("ImagingStudy?patient=Patient/p1", ["1.2.4", "1.2.3"]),
        ("ImagingStudy?identifier=urn:dicom:uid|urn:oid:1.2.5", ["1.2.5"]),
        ("ImagingStudy?started=lt2026-11-22", []),
        ("ImagingStudy?started=2026-11&modality=CT&_count=50", ["1.2.5", "1.2.4", "1.2.3"]),
        (f"ImagingStudy?identifier=https://terms.sil-th.org/hcode/5/{LOEI}/Rad|A1", []),
        ("ImagingStudy?status=registered", []),
        ("Patient?birthdate=1958-04-01&name=ใจดี", ["p1"]),
        ("Patient?_id=p1,p99", ["p1"]),
        ("Provenance?target=DiagnosticReport/1.2.3", ["1.2.3"]),
        ("Organization?name=loei&_count=1", [LOEI]),
        (f"Organization?identifier=https://terms.sil-th.org/id/th-moph-hcode|{UDON}", [UDON]),
        ("Observation?derived-from=1.2.3&code=http://snomed.info/sct|1386000", ["1-any-ich"]),
        ("Observation?_id=1-any-ich,2-sah&patient=p1&_count=50", ["2-sah", "1-any-ich"]),
        ("Observation?_id=1-any-ich&derived-from=1.2.4", []),
        ("Device", ["d" * 32]),
    ],
)
def test_searches_find_what_they_are_about(client: Any, address: str, ids: list[str]) -> None:
    assert [each["id"] for each in search(client, address)] == ids


def test_pages_give_each_once(client: Any) -> None:
    assert list(pages(client, "ImagingStudy?_count=2")) == [["1.2.5", "1.2.4"], ["1.2.3"]]
    organizations = [each for page in pages(client, "Organization?_count=40") for each in page]
    assert len(organizations) == len(set(organizations)) == 88


def test_another_hospitals_patient_is_not_found(client: Any) -> None:
    for address in ("ImagingStudy/1.2.6", "DiagnosticReport/1.2.6", "Patient/p4", "Observation/4-any-ich"):
        answer = client.get(f"/fhir/{address}")
        assert answer.status_code == 404, address
        assert valid(answer.json())["issue"][0]["code"] == "not-found"
    assert search(client, "ImagingStudy?patient=p4") == []


@pytest.mark.parametrize("role", [Role.VENDOR, Role.ML])
def test_roles_that_work_without_names_are_refused(signed_in: SignIn, studies: None, role: Role) -> None:
    answer = signed_in(role).get("/fhir/Patient/p1")
    assert (answer.status_code, valid(answer.json())["issue"][0]["code"]) == (403, "forbidden")


def test_the_audit_log_is_for_administrators(client: Any, signed_in: SignIn) -> None:
    client.get("/fhir/ImagingStudy/1.2.3")
    assert client.get("/fhir/AuditEvent").status_code == 403
    events = search(signed_in(Role.ADMIN), "AuditEvent?entity=ImagingStudy/1.2.3&date=ge2026-01-01")
    assert events[0]["subtype"][0]["code"] == "fhir.read"
    assert events[0]["entity"][0]["what"]["reference"] == "ImagingStudy/1.2.3"


@pytest.mark.parametrize(
    ("address", "status", "word"),
    [
        ("Medication", 404, "Medication"),
        ("Patient?colour=red", 400, "colour"),
        ("Patient?_sort=name", 400, "_sort"),
        ("Patient?identifier=https://other.example|1", 400, "other.example"),
        ("Patient/0012345", 404, "0012345"),
        ("Patient/p0", 404, "p0"),
        ("Observation/x-y", 404, "x-y"),
        ("Device/zz", 404, "zz"),
        ("Endpoint/none", 404, "none"),
    ],
)
def test_errors_are_outcomes_with_words(client: Any, address: str, status: int, word: str) -> None:
    answer = client.get(f"/fhir/{address}")
    assert answer.status_code == status
    assert word in valid(answer.json())["issue"][0]["diagnostics"]


def test_only_json_is_spoken(client: Any) -> None:
    answer = client.get("/fhir/Patient/p1", headers={"Accept": "application/fhir+xml"})
    assert answer.status_code == 406
    assert client.get("/fhir/Patient/p1?_format=xml").status_code == 406
    assert client.post("/fhir/Patient/_search", json={}).status_code == 415


def test_an_event_is_asked_for_by_number_or_by_what_it_is_about(signed_in: SignIn, studies: None) -> None:
    admin = signed_in(Role.ADMIN)
    admin.get("/fhir/ImagingStudy/1.2.3")
    assert [each["id"] for each in search(admin, "AuditEvent?_id=1,2")] == ["2", "1"]
    assert admin.get("/fhir/AuditEvent?_id=1&entity=ImagingStudy/1.2.3").status_code == 400


def test_a_page_of_reports_costs_a_few_queries_a_study(client: Any, engine: Engine) -> None:
    statements: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    search(client, "Observation?_count=100")
    event.remove(engine, "before_cursor_execute", note)
    assert len([each for each in statements if "min(studies.id)" in each]) == 3  # once a study
