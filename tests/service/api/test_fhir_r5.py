"""What is told in FHIR R5, for TH Core: valid by the R5 models, and the same content."""

import importlib
from typing import Any

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.db import session_scope
from service.errors import NotAcceptable
from service.fhir.r5 import R5_KINDS
from service.fhir.versions import Version, sent_version, wanted_version
from tests.service.api.conftest import SignIn
from tests.service.api.test_fhir import references
from tests.service.api.test_fhir import valid as valid_r4
from tests.service.api.test_fhir_referrals import HEADERS, request, task
from tests.service.factories import LOEI, UDON, analysed

pytestmark = pytest.mark.one_database  # R5 is made of R4, whatever the rows lie in

R5 = "application/fhir+json; fhirVersion=5.0"


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, once fhir.resources has accepted it as R5, which its first level is."""
    kind = resource["resourceType"]
    module = importlib.import_module(f"fhir.resources.{kind.lower()}")
    getattr(module, kind).model_validate(resource)
    return resource


@pytest.fixture
def client(engine: Engine, signed_in: SignIn) -> Any:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.IPH, hcode=LOEI)
    made = signed_in(Role.REFERRER, LOEI)
    assert made.post("/fhir/ServiceRequest", json=request(), headers=HEADERS).status_code == 201
    return made


def read(client: Any, address: str) -> dict[str, Any]:
    answer = client.get(f"/fhir/{address}", headers={"Accept": R5})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == R5
    return valid(answer.json())


def test_what_th_core_names_differently_is_so_named(client: Any) -> None:
    asked = read(client, "ServiceRequest/r1")
    assert asked["code"]["concept"]["text"] == "haematoma, please operate"
    assert [each["code"] for each in asked["reason"][0]["concept"]["coding"]] == ["02", "I61.0"]
    assert asked["supportingInfo"][0] == {"reference": {"reference": "ImagingStudy/1.2.3"}}
    assert "reasonCode" not in asked
    study = read(client, "ImagingStudy/1.2.3")
    assert study["modality"][0]["coding"][0]["code"] == "CT"
    assert study["series"][0]["modality"]["coding"][0]["code"] == "CT"
    assert study["procedure"][0]["concept"]["coding"][0]["code"] == "30799-1"
    report = read(client, "DiagnosticReport/1.2.3")
    assert report["study"] == [{"reference": "ImagingStudy/1.2.3"}]
    assert "imagingStudy" not in report
    assert report["meta"]["security"][0]["code"] == "AIAST"


def test_every_kind_that_is_told_is_valid_and_says_the_same(client: Any) -> None:
    told = set()
    for kind in R5_KINDS:
        bundle = read(client, f"{kind}?_count=3")
        for entry in bundle["entry"]:
            new = valid(entry["resource"])
            old = client.get(f"/fhir/{kind}/{new['id']}").json()
            assert (new["id"], new.get("meta")) == (old["id"], old.get("meta"))
            assert sorted(references(new)) == sorted(references(old))
            told.add(kind)
    assert told == set(R5_KINDS)
    everything = read(client, "Patient/p1/$everything")  # the Task of the referral is left out
    assert {each["resource"]["resourceType"] for each in everything["entry"]} <= told


def test_the_statement_of_r5_lists_what_is_told_in_it_and_no_writing(client: Any) -> None:
    stated = read(client, "metadata")
    assert (stated["fhirVersion"], stated["format"]) == ("5.0.0", ["application/fhir+json", R5])
    listed = stated["rest"][0]["resource"]
    assert [each["type"] for each in listed] == list(R5_KINDS)
    assert {code["code"] for each in listed for code in each["interaction"]} == {"read", "search-type"}
    assert "interaction" not in stated["rest"][0]
    assert valid_r4(client.get("/fhir/metadata").json())["fhirVersion"] == "4.0.1"


def test_what_is_not_told_in_r5_is_refused_before_it_is_read(client: Any) -> None:
    for address in ("Task/r1", "Task", "Communication", "DocumentReference/r1", "Subscription"):
        answer = client.get(f"/fhir/{address}", headers={"Accept": R5})
        assert (answer.status_code, "R4 only" in answer.text) == (406, True)
        assert valid(answer.json())["issue"][0]["code"] == "not-supported"
    new = {**HEADERS, "Accept": R5}
    assert client.put("/fhir/Task/r1", json=task("received"), headers=new).status_code == 406
    sent = {"Content-Type": R5}
    assert client.post("/fhir/ServiceRequest", json=request(), headers=sent).status_code == 415
    assert client.get("/fhir/Task/r1").json()["status"] == "requested"


def test_the_version_comes_by_format_too_and_stays_on_the_next_page(client: Any, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.4", hcode=LOEI)
        analysed(session, "1.2.5", hcode=UDON)
    url = "/fhir/ImagingStudy?_count=1&_format=application/fhir%2Bjson;fhirVersion=5.0"
    seen = []
    while url:
        bundle = valid(client.get(url).json())
        seen += [
            each["resource"]["procedure"][0]["concept"] and each["resource"]["id"] for each in bundle["entry"]
        ]
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), "")
    assert seen == ["1.2.4", "1.2.3"]


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("*/*", Version.R4),
        ("application/json", Version.R4),
        ("application/fhir+json;fhirVersion=4.0", Version.R4),
        ("application/fhir+json; fhirversion = 5.0.0", Version.R5),
        ('application/fhir+json;fhirVersion="5.0"', Version.R5),
        ("application/fhir+xml, application/fhir+json;fhirVersion=5.0;q=0.9", Version.R5),
        ("application/fhir+json;fhirVersion=3.0, application/fhir+json", Version.R4),
        ("application/fhir json;fhirVersion=5.0", Version.R5),
    ],
)
def test_the_first_form_that_can_be_sent_counts(accept: str, version: Version) -> None:
    assert wanted_version(accept) is version


@pytest.mark.parametrize(
    "accept", ["application/fhir+xml", "text/turtle", "application/fhir+json;fhirVersion=3.0"]
)
def test_no_form_that_can_be_sent_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"4\.0 or 5\.0"):
        wanted_version(accept)
    assert sent_version("application/fhir+json; fhirVersion=5.0; charset=utf-8") == "5.0"
