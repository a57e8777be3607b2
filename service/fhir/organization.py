"""Organization: a hospital of the region, under its five-digit code."""

from service.fhir.elements import HCODE, Resource, concept, filled, identifier, reference
from service.hospitals import Hospital

_PROVIDER = {
    "system": "http://terminology.hl7.org/CodeSystem/organization-type",
    "code": "prov",
    "display": "Healthcare Provider",
}


def organization(hospital: Hospital) -> Resource:
    """A hospital; its id is its code."""
    return filled(
        {
            "resourceType": "Organization",
            "id": hospital.hcode,
            "identifier": [identifier(HCODE, hospital.hcode, "hcode")],
            "active": True,
            "type": [concept(_PROVIDER)],
            "name": hospital.name_th,
            "alias": [hospital.name_en],
            "address": [{"state": hospital.province_th, "country": "TH"}],
        }
    )


def organization_reference(hcode: str | None, display: str | None = None) -> Resource | None:
    """A reference to a hospital; None where nobody knows which."""
    return None if hcode is None else reference("Organization", hcode, display)
