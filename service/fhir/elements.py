"""The parts that FHIR resources are made of: codings, identifiers, references, moments. FHIR R4 2.24."""

from datetime import date, datetime
from typing import Any, Final

from pydicom.sr.coding import Code

from pacs_gateway.concepts import PRIVATE
from service.thai_time import THAILAND

Resource = dict[str, Any]

SIL: Final = "https://terms.sil-th.org"
"""Root of the Thai identifier systems and code systems (TH Core)."""
IDENTIFIER_TYPES: Final = f"{SIL}/core/CodeSystem/cs-th-identifier-type"
HCODE: Final = f"{SIL}/id/th-moph-hcode"
CITIZEN_ID: Final = f"{SIL}/id/th-cid"
DICOM_UID: Final = "urn:dicom:uid"
HUB_CODES: Final = "urn:imaging-hub:codes"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
SCT: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
HL7: Final = "http://terminology.hl7.org/CodeSystem"

AI_ASSERTED: Final = {
    "security": [
        {
            "system": f"{HL7}/v3-ObservationValue",
            "code": "AIAST",
            "display": "Artificial Intelligence asserted",
        }
    ]
}
"""`meta` of whatever the model says (HL7 AI Transparency on FHIR)."""

_SYSTEMS: Final = {"SCT": SCT, "LN": LOINC, "DCM": DCM, "UCUM": UCUM, PRIVATE: HUB_CODES}


def hn_system(hcode: str) -> str:
    """The system of a hospital's HNs; an HN means nothing without it."""
    return f"{SIL}/hcode/5/{hcode}/HN"


def accession_system(hcode: str) -> str:
    """The system of a hospital's radiology order numbers."""
    return f"{SIL}/hcode/5/{hcode}/Rad"


def coding(system: str, code: str, display: str | None = None) -> Resource:
    """One coding."""
    return filled({"system": system, "code": code, "display": display})


def concept(*codings: Resource, text: str | None = None) -> Resource:
    """A CodeableConcept."""
    return filled({"coding": list(codings), "text": text})


def concept_of(code: Code) -> Resource:
    """A DICOM coded word as a CodeableConcept."""
    system = _SYSTEMS[code.scheme_designator]
    return concept(coding(system, code.value, code.meaning))


def identifier(
    system: str, value: str, kind: str | None = None, *, use: str = "official", types: str = IDENTIFIER_TYPES
) -> Resource:
    """An Identifier; `kind` is a code of `types`."""
    typed = None if kind is None else concept(coding(types, kind))
    return filled({"use": use, "type": typed, "system": system, "value": value})


def reference(kind: str, number: object, display: str | None = None) -> Resource:
    """A reference to another resource of this server."""
    return filled({"reference": f"{kind}/{number}", "display": display})


def moment(value: datetime | None) -> str | None:
    """A moment with Thailand's offset, to the millisecond."""
    if value is None:
        return None
    return value.astimezone(THAILAND).isoformat(timespec="milliseconds")


def day(value: date | None) -> str | None:
    """A calendar day of the Christian era, as FHIR has it."""
    return None if value is None else value.isoformat()


def quantity(value: float, unit: str, code: str) -> Resource:
    """A Quantity in UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


def filled(resource: Resource) -> Resource:
    """Without what is empty: FHIR allows neither null nor an empty list, object or text."""
    return {key: value for key, value in resource.items() if value not in (None, "", [], {})}
