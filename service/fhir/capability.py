"""CapabilityStatement: what this server does, made from the tables by which it does it."""

from datetime import datetime

from service.fhir.criteria import SEARCHES
from service.fhir.elements import HL7, Resource, coding, concept, moment
from service.results import INTENDED_USE

FHIR_VERSION = "4.0.1"
VERSIONED = frozenset(
    {
        "ImagingStudy",
        "DiagnosticReport",
        "DocumentReference",
        "Observation",
        "ServiceRequest",
        "Subscription",
        "Task",
    }
)
"""Those that tell their version; earlier ones are not kept as resources."""


WRITES = {
    "ServiceRequest": ("create",),
    "Task": ("create", "update"),
    "Subscription": ("create", "update", "delete"),
}
"""A patient is referred by the one and followed by the other, which asks for advice too."""


def capability_statement(base: str, version: str, started: datetime) -> Resource:
    """What can be read and searched here.

    Args:
        base: Address of the FHIR root.
        version: Of the hub.
        started: When this process began to serve.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": moment(started),
        "publisher": "Imaging Hub",
        "kind": "instance",
        "software": {"name": "Imaging Hub", "version": version},
        "implementation": {"description": INTENDED_USE, "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": (
                    "Unknown search parameters are refused unless the request prefers handling=lenient. "
                    "Search by POST to _search where a parameter holds a name or a number of a patient, "
                    "so that no address does. What another hospital's patient has is not found."
                ),
                "security": {
                    "service": [concept(coding(f"{HL7}/restful-security-service", "OAuth"))],
                    "description": "Authorization: Bearer hub_... (a token), or a signed-in session.",
                },
                "resource": [_resource(kind) for kind in sorted(SEARCHES)],
                "interaction": [{"code": "transaction"}],
            }
        ],
    }


def _resource(kind: str) -> Resource:
    made: Resource = {
        "type": kind,
        "interaction": [{"code": code} for code in ("read", "search-type", *WRITES.get(kind, ()))],
        "versioning": "versioned" if kind in VERSIONED else "no-version",
        "searchParam": [{"name": name, "type": type_} for name, type_ in SEARCHES[kind].items()],
    }
    if kind == "Patient":
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
        made["operation"] = [{"name": "everything", "definition": definition}]
    return made
