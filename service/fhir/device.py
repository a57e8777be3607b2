"""Device: the model package that gave an answer, known by the digest of its files."""

import re

from service.errors import NotFound
from service.fhir.elements import AI_ASSERTED, DCM, HUB_CODES, Resource, coding, concept, filled, reference
from service.findings import Analysis

DIGITS = 32
"""Of the package's digest, in a Device's id."""


def device_reference(analysis: Analysis) -> Resource:
    """A reference to the package that made this analysis."""
    return reference("Device", analysis.model_digest[:DIGITS], analysis.model_name)


def card_id(digest: str) -> str:
    """The id of the DocumentReference that is a package's model card."""
    return f"m{digest[:DIGITS]}"


def check_device_id(text: str) -> str:
    """The beginning of a digest.

    Raises:
        NotFound: it is none.
    """
    if not re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", text):
        raise NotFound(f"no Device {text!r}")
    return text


def device(analysis: Analysis) -> Resource:
    """The package at work in an analysis."""
    name, _, version = analysis.model_name.rpartition("-")
    return filled(
        {
            "resourceType": "Device",
            "id": analysis.model_digest[:DIGITS],
            "meta": AI_ASSERTED,
            "identifier": [{"system": f"{HUB_CODES}:model-digest", "value": analysis.model_digest}],
            "status": "active",
            "manufacturer": "Imaging Hub",
            "deviceName": [{"name": name or analysis.model_name, "type": "model-name"}],
            "type": concept(coding(DCM, "123110", "Artificial Intelligence")),
            "version": [{"value": version}] if version else [],
            "safety": [concept(text="For research use; not a diagnosis")],
        }
    )
