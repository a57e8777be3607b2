"""R5: what FHIR R4 resources of this hub are in R5, which TH Core and MOPH-PC-1 are made of (standards 3.1).

The hub's own language is R4. A kind that is not listed here is not told in R5, rather than told wrongly.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from service.errors import NotAcceptable
from service.fhir.elements import Resource
from service.fhir.versions import Version

FHIR_VERSION = "5.0.0"


def as_r5(resource: Resource) -> Resource:
    """A resource, or a Bundle of several, in R5.

    Raises:
        NotAcceptable: a kind that is not told in R5.
    """
    kind = resource["resourceType"]
    check_r5(kind)
    return _MAPPERS[kind](resource)


def in_version(resource: Resource, version: Version) -> Resource:
    """A resource in the version that was asked for."""
    return as_r5(resource) if version is Version.R5 else resource


def check_r5(kind: str) -> None:
    """See whether a kind is told in R5.

    Raises:
        NotAcceptable: it is not.
    """
    if kind not in _MAPPERS:
        raise NotAcceptable(f"{kind} is told in FHIR R4 only; in R5 there are {', '.join(R5_KINDS)}")


def _same(resource: Resource) -> Resource:
    return resource


def _service_request(resource: Resource) -> Resource:
    return _renamed(
        resource,
        {
            "code": ("code", _concept),
            "reasonCode": ("reason", _each(_concept)),
            "supportingInfo": ("supportingInfo", _each(_reference)),
        },
    )


def _imaging_study(resource: Resource) -> Resource:
    return _renamed(
        resource,
        {
            "modality": ("modality", _each(_coded)),
            "procedureCode": ("procedure", _each(_concept)),
            "series": ("series", _each(_series)),
        },
    )


def _series(series: Resource) -> Resource:
    return _renamed(series, {"modality": ("modality", _coded)})


def _diagnostic_report(resource: Resource) -> Resource:
    return _renamed(resource, {"imagingStudy": ("study", _same)})


def _organization(resource: Resource) -> Resource:
    """In R5 an address belongs to a contact."""
    return _renamed(resource, {"address": ("contact", _each(lambda each: {"address": each}))})


def _device(resource: Resource) -> Resource:
    """R5 has one kind of name fewer; what was the model's name is its model number too."""

    def named(name: Resource) -> Resource:
        return {"value": name["name"], "type": "user-friendly-name"}

    made = _renamed(resource, {"deviceName": ("name", _each(named)), "type": ("type", lambda each: [each])})
    return {**made, "modelNumber": resource["deviceName"][0]["name"]}


def _endpoint(resource: Resource) -> Resource:
    """In R5 the types and the media types of what is sent are one payload."""
    kept = {name: value for name, value in resource.items() if not name.startswith("payload")}
    made = _renamed(kept, {"connectionType": ("connectionType", lambda each: [_coded(each)])})
    return {**made, "payload": [{"type": resource["payloadType"], "mimeType": resource["payloadMimeType"]}]}


def _bundle(resource: Resource) -> Resource:
    entries = [
        {**each, "resource": as_r5(each["resource"])} if "resource" in each else each
        for each in resource.get("entry", [])
    ]
    return {**resource, "entry": entries} if entries else resource


def _renamed(resource: Resource, fields: Mapping[str, tuple[str, Callable[[Any], Any]]]) -> Resource:
    made: Resource = {}
    for name, value in resource.items():
        to, change = fields.get(name, (name, _same))
        made[to] = change(value)
    return made


def _each(change: Callable[[Resource], Resource]) -> Callable[[list[Resource]], list[Resource]]:
    return lambda values: [change(each) for each in values]


def _concept(concept: Resource) -> Resource:
    """A CodeableConcept as a CodeableReference."""
    return {"concept": concept}


def _reference(reference: Resource) -> Resource:
    """A Reference as a CodeableReference."""
    return {"reference": reference}


def _coded(coding: Resource) -> Resource:
    """A Coding as a CodeableConcept."""
    return {"coding": [coding]}


_MAPPERS: Mapping[str, Callable[[Resource], Resource]] = MappingProxyType(
    {
        "Bundle": _bundle,
        "DiagnosticReport": _diagnostic_report,
        "Device": _device,
        "Endpoint": _endpoint,
        "ImagingStudy": _imaging_study,
        "Observation": _same,
        "Organization": _organization,
        "Patient": _same,
        "Provenance": _same,
        "ServiceRequest": _service_request,
    }
)
R5_KINDS = tuple(sorted(set(_MAPPERS) - {"Bundle"}))
"""The kinds that are told in R5."""
