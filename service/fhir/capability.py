"""CapabilityStatement: what this server does, made from the tables by which it does it."""

from datetime import datetime

from service.fhir.criteria import SEARCHES
from service.fhir.elements import HL7, Resource, coding, concept, moment
from service.fhir.r5 import FHIR_VERSION as R5_VERSION
from service.fhir.r5 import R5_KINDS
from service.fhir.versions import Version
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


NOTES = {
    "Communication": "A message of an alert, with when it arrived, or of a consult.",
    "Device": "A model package; the extension model-card points to the DocumentReference that describes it.",
    "DocumentReference": (
        "Letters of referrals and consults; the attachment's address wants the same token. Model cards "
        "(type model-card, or subject a Device), with their text inside."
    ),
    "Subscription": (
        "rest-hook without payload, for searches of DiagnosticReport, ImagingStudy, ServiceRequest and Task: "
        "a signed, empty POST. Off, with the reason in error, after 24 hours of failures."
    ),
    "Task": "Of a referral (r...), which a ServiceRequest begins, or of a consultation (c...), created here.",
}
"""What a client cannot read from the list of parameters."""


def capability_statement(base: str, version: str, started: datetime, fhir: Version = Version.R4) -> Resource:
    """What can be read and searched here.

    Args:
        base: Address of the FHIR root.
        version: Of the hub.
        started: When this process began to serve.
        fhir: In which the statement is made, and of which it tells: R5 is only read.
    """
    r5 = fhir is Version.R5
    rest: Resource = {
        "mode": "server",
        "documentation": (
            "Unknown search parameters are refused unless the request prefers handling=lenient. "
            "Search by POST to _search where a parameter holds a name or a number of a patient, "
            "so that no address does. What another hospital's patient has is not found. "
            "With fhirVersion=5.0 in Accept or _format, what is listed there is told in R5."
        ),
        "security": {
            "service": [concept(coding(f"{HL7}/restful-security-service", "OAuth"))],
            "description": "Authorization: Bearer hub_... (a token), or a signed-in session.",
        },
        "resource": [_resource(kind, writes=not r5) for kind in (R5_KINDS if r5 else sorted(SEARCHES))],
    }
    if not r5:
        rest["interaction"] = [{"code": "transaction"}]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": moment(started),
        "publisher": "Imaging Hub",
        "kind": "instance",
        "software": {"name": "Imaging Hub", "version": version},
        "implementation": {"description": INTENDED_USE, "url": base},
        "fhirVersion": R5_VERSION if r5 else FHIR_VERSION,
        "format": ["application/fhir+json", *(each.media_type for each in Version if each is not Version.R4)],
        "rest": [rest],
    }


def _resource(kind: str, *, writes: bool) -> Resource:
    codes = ("read", "search-type", *(WRITES.get(kind, ()) if writes else ()))
    made: Resource = {
        "type": kind,
        "interaction": [{"code": code} for code in codes],
        **({"documentation": NOTES[kind]} if kind in NOTES else {}),
        "versioning": "versioned" if kind in VERSIONED else "no-version",
        "searchParam": [{"name": name, "type": type_} for name, type_ in SEARCHES[kind].items()],
    }
    if kind == "Patient":
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
        made["operation"] = [{"name": "everything", "definition": definition}]
    return made
