"""OPTIONS on the DICOMweb service: all that it can do and nothing else."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from service.accounts import Role
from service.api.capabilities import NAMESPACE, WADL
from tests.service.api.conftest import SignIn
from tests.service.described import described_routes

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs

TAG = f"{{{NAMESPACE}}}"


@pytest.fixture
def told(signed_in: SignIn) -> Element:
    answer = signed_in(Role.VENDOR).options("/dicomweb")
    assert (answer.status_code, answer.headers["content-type"]) == (200, WADL)
    return fromstring(answer.content)


def test_it_tells_every_route_there_is(told: Element) -> None:
    here = {
        (verb.upper(), path)
        for path, verbs in described_routes().items()
        if path.startswith("/dicomweb/")
        for verb in verbs
    }
    base = told.find(f"{TAG}resources")
    assert base is not None
    assert base.attrib["base"].endswith("/dicomweb/")
    said = {
        (method.attrib["name"], f"/dicomweb/{resource.attrib['path']}")
        for resource in told.iter(f"{TAG}resource")
        for method in resource.iter(f"{TAG}method")
    }
    assert said == here


def test_it_tells_what_may_be_asked_and_is_given(told: Element) -> None:
    methods = {method.attrib["id"]: method for method in told.iter(f"{TAG}method")}

    def of(name: str, kind: str, key: str) -> list[str]:
        return [each.attrib[key] for each in methods[name].iter(f"{TAG}{kind}")]

    assert of("find_studies", "param", "name") == ["limit", "offset", "includefield", "fuzzymatching"]
    assert of("find_studies", "representation", "mediaType") == ["application/dicom+json"]
    assert of("rendered_instance", "param", "name") == ["window", "viewport"]
    assert 'multipart/related; type="application/dicom"' in of(
        "store_instances", "representation", "mediaType"
    )
    templates = [
        param.attrib["name"]
        for resource in told.iter(f"{TAG}resource")
        if resource.attrib["path"] == "studies/{study}/series/{series}"
        for param in resource.findall(f"{TAG}param")
    ]
    assert templates == ["study", "series"]


def test_another_form_is_refused(signed_in: SignIn) -> None:
    client = signed_in()
    assert client.options("/dicomweb/", headers={"Accept": "text/html"}).status_code == 406
    assert client.options("/dicomweb/", headers={"Accept": "application/xml"}).status_code == 200
