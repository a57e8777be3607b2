"""The FHIR versions that are spoken, and which of them a request asks for. FHIR R4 3.1.0.1.9, fhirVersion."""

import re
from enum import StrEnum
from typing import Final

from service.errors import NotAcceptable

FHIR_JSON: Final = "application/fhir+json"
_VERSION: Final = re.compile(r";\s*fhirVersion\s*=\s*\"?(\d+\.\d+)(\.\d+)?\"?", re.IGNORECASE)
_JSON: Final = ("json", "*/*", "application/*")


class Version(StrEnum):
    """A release, as the media type's parameter names it."""

    R4 = "4.0"
    R5 = "5.0"

    @property
    def media_type(self) -> str:
        """Of an answer; R4 is what is meant where nothing is said."""
        return FHIR_JSON if self is Version.R4 else f"{FHIR_JSON}; fhirVersion={self.value}"


def wanted_version(accept: str) -> Version:
    """The version of the first form that is accepted and can be sent.

    Args:
        accept: An Accept header, or `_format`.

    Raises:
        NotAcceptable: no form is JSON, or of a version that is spoken.
    """
    for form in accept.split(","):
        if not any(each in form.lower() for each in _JSON):
            continue
        named = _VERSION.search(form)
        if named is None:
            return Version.R4
        if named[1] in set(Version):
            return Version(named[1])
    raise NotAcceptable(f"only {FHIR_JSON} is spoken here, fhirVersion 4.0 or 5.0, not {accept[:100]!r}")


def sent_version(content_type: str) -> str:
    """The version that a body says it has; R4's where it says none."""
    named = _VERSION.search(content_type)
    return Version.R4.value if named is None else named[1]
