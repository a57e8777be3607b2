"""Notice: the search of a FHIR Subscription, read when it is made and again at each event."""

from typing import Final
from urllib.parse import parse_qsl

from service.errors import BadSyntax, Malformed
from service.fhir.criteria import Criteria, read_criteria

KINDS: Final = ("DiagnosticReport", "ImagingStudy", "ServiceRequest", "Task")
"""The resources whose changes are noticed."""
LONGEST: Final = 1000


def read_notice(text: str) -> Criteria:
    """The search of a Subscription.

    Raises:
        Malformed: it is none that can be noticed here.
    """
    kind, _, query = text.partition("?")
    if kind not in KINDS or len(text) > LONGEST:
        raise Malformed(f"Subscription.criteria is a search for {', '.join(KINDS)}, not for {kind[:40]!r}")
    try:
        criteria = read_criteria(kind, parse_qsl(query, keep_blank_values=True))
    except BadSyntax as error:
        raise Malformed(f"Subscription.criteria: {error.message}") from None
    if criteria.after is not None or criteria.strings:
        raise Malformed("Subscription.criteria holds no page of a search and no name")
    return criteria
