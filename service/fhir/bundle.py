"""Bundle and OperationOutcome: the envelope of many resources, and of none. FHIR R4 3.1.1.6, Bundle."""

from collections.abc import Sequence
from urllib.parse import urlencode

from service.fhir.elements import Resource, filled

_ISSUES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    406: "not-supported",
    409: "conflict",
    415: "not-supported",
    422: "processing",
    429: "throttled",
    503: "transient",
}


def searchset(
    base: str,
    kind: str,
    pairs: Sequence[tuple[str, str]],
    matches: Sequence[Resource],
    *,
    after: int | None,
) -> Resource:
    """The answer to a search.

    Args:
        base: Address of the FHIR root.
        kind: The resource searched for.
        pairs: The parameters as sent.
        matches: What was found.
        after: Where the next page starts; None at the end.
    """
    kept = [(name, value) for name, value in pairs if name != "_after"]
    links = [{"relation": "self", "url": _address(base, kind, pairs)}]
    if after is not None:
        links.append({"relation": "next", "url": _address(base, kind, [*kept, ("_after", str(after))])})
    whole = after is None and len(kept) == len(pairs)
    return filled(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(matches) if whole else None,
            "link": links,
            "entry": [
                {"fullUrl": full_url(base, each), "resource": each, "search": {"mode": "match"}}
                for each in matches
            ],
        }
    ) | ({"total": 0} if whole and not matches else {})


def collection(base: str, resources: Sequence[Resource], *, kind: str = "searchset") -> Resource:
    """Resources that belong together, as `$everything` gives them."""
    return filled(
        {
            "resourceType": "Bundle",
            "type": kind,
            "total": len(resources) if kind == "searchset" else None,
            "entry": [{"fullUrl": full_url(base, each), "resource": each} for each in resources],
        }
    )


def full_url(base: str, resource: Resource) -> str:
    """Where a resource can be read."""
    return f"{base}/{resource['resourceType']}/{resource['id']}"


def outcome(status: int, text: str) -> Resource:
    """An error as FHIR has it."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "fatal" if status >= 500 else "error",
                "code": _ISSUES.get(status, "exception" if status >= 500 else "processing"),
                "diagnostics": text,
            }
        ],
    }


def _address(base: str, kind: str, pairs: Sequence[tuple[str, str]]) -> str:
    query = urlencode(pairs)
    return f"{base}/{kind}?{query}" if query else f"{base}/{kind}"
