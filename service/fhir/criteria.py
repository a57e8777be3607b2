"""The search parameters of a FHIR request, read strictly. FHIR R4 3.1.1.

A parameter that the hub does not know is refused and not ignored, unless the client asks for leniency:
a search that silently drops "of this patient" returns everybody.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from service.arrivals import clean
from service.errors import BadSyntax

LONGEST_PAGE: Final = 100
SHORTEST_NAME: Final = 2
"""Characters; a single letter would find nearly everybody."""

SEARCHES: Final[Mapping[str, Mapping[str, str]]] = {
    "Patient": {"_id": "token", "identifier": "token", "name": "string", "birthdate": "date"},
    "Organization": {"_id": "token", "identifier": "token", "name": "string"},
    "Endpoint": {"_id": "token"},
    "ImagingStudy": {
        "_id": "token",
        "identifier": "token",
        "patient": "reference",
        "subject": "reference",
        "started": "date",
        "modality": "token",
        "status": "token",
    },
    "DiagnosticReport": {
        "_id": "token",
        "patient": "reference",
        "subject": "reference",
        "study": "reference",
        "date": "date",
        "status": "token",
    },
    "Observation": {
        "_id": "token",
        "patient": "reference",
        "subject": "reference",
        "derived-from": "reference",
        "date": "date",
        "code": "token",
    },
    "Device": {"_id": "token"},
    "ServiceRequest": {
        "_id": "token",
        "identifier": "token",
        "status": "token",
        "patient": "reference",
        "subject": "reference",
        "requester": "reference",
        "performer": "reference",
    },
    "Task": {
        "_id": "token",
        "status": "token",
        "code": "token",
        "patient": "reference",
        "subject": "reference",
        "requester": "reference",
        "owner": "reference",
        "focus": "reference",
        "based-on": "reference",
    },
    "Communication": {
        "_id": "token",
        "identifier": "token",
        "status": "token",
        "category": "token",
        "patient": "reference",
        "subject": "reference",
        "based-on": "reference",
        "sender": "reference",
        "recipient": "reference",
        "sent": "date",
        "received": "date",
    },
    "DocumentReference": {
        "_id": "token",
        "status": "token",
        "type": "token",
        "patient": "reference",
        "subject": "reference",
        "related": "reference",
        "date": "date",
    },
    "Provenance": {"_id": "token", "target": "reference"},
    "Subscription": {"_id": "token", "status": "token"},
    "AuditEvent": {"_id": "token", "agent-name": "string", "entity": "reference", "date": "date"},
}
"""What can be searched, by resource; the capability statement lists the same."""

_CONTROL: Final = frozenset({"_count", "_after", "_format", "_pretty"})
_PREFIX: Final = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


@dataclass(frozen=True, slots=True)
class Token:
    """`system|code`; an empty system matches only what has none, None matches any."""

    system: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Days:
    """A comparison with a stretch of days, `low` within and `high` beyond it."""

    prefix: str
    low: date
    high: date


@dataclass(frozen=True, slots=True)
class Criteria:
    """A search, read and checked."""

    kind: str
    tokens: Mapping[str, Sequence[Token]] = field(default_factory=dict)
    references: Mapping[str, Sequence[str]] = field(default_factory=dict)
    strings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    days: Mapping[str, Sequence[Days]] = field(default_factory=dict)
    count: int = 20
    after: int | None = None

    @property
    def ids(self) -> Sequence[str] | None:
        """The ids asked for, if any were."""
        return [each.code for each in self.tokens["_id"]] if "_id" in self.tokens else None


def read_criteria(kind: str, pairs: Sequence[tuple[str, str]], *, lenient: bool = False) -> Criteria:
    """The search that the parameters of a request ask for.

    Args:
        kind: The resource.
        pairs: Names and values as sent; a value may hold several, parted by commas.
        lenient: Pass over parameters that are not known (`Prefer: handling=lenient`).

    Raises:
        BadSyntax: a parameter is unknown, sent twice, or its value cannot be read.
    """
    known = SEARCHES[kind]
    tokens: dict[str, Sequence[Token]] = {}
    references: dict[str, Sequence[str]] = {}
    strings: dict[str, Sequence[str]] = {}
    days: dict[str, list[Days]] = {}
    control = {name: value for name, value in pairs if name in _CONTROL}
    for name, sent in pairs:
        if name in _CONTROL:
            continue
        value = clean(sent)
        if name not in known:
            if lenient:
                continue
            raise BadSyntax(f"{kind} is not searched by {name!r}; known: {', '.join(sorted(known))}")
        if known[name] == "date":
            days.setdefault(name, []).append(_days(name, value))
            continue
        if name in tokens or name in references or name in strings:
            raise BadSyntax(f"{name} was sent twice; put several values into one, parted by commas")
        parts = [part for part in value.split(",") if part]
        if not parts:
            raise BadSyntax(f"{name} is empty")
        if known[name] == "token":
            tokens[name] = [_token(part) for part in parts]
        elif known[name] == "reference":
            references[name] = [part.rpartition("/")[2] for part in parts]
        else:
            strings[name] = [_words(name, part) for part in parts]
    return Criteria(
        kind, tokens, references, strings, days, _count(control.get("_count")), _after(control.get("_after"))
    )


def _token(text: str) -> Token:
    system, bar, code = text.rpartition("|")
    return Token(system if bar else None, code)


def _words(name: str, text: str) -> str:
    if len(text.strip()) < SHORTEST_NAME:
        raise BadSyntax(f"{name} must have {SHORTEST_NAME} characters or more")
    return text.strip()


def _days(name: str, text: str) -> Days:
    found = _PREFIX.fullmatch(text.partition("T")[0])
    if found is None:
        raise BadSyntax(f"{name} must be a date such as 2026-11-22, ge2026-11 or 2026, not {text[:40]!r}")
    prefix, year, month, day = found.groups()
    try:
        low = date(int(year), int(month or 1), int(day or 1))
        if day:
            high = low + timedelta(days=1)
        else:
            following = low.replace(day=28) + timedelta(days=4) if month else date(low.year, 12, 31)
            high = following.replace(day=1) if month else date(low.year + 1, 1, 1)
    except (ValueError, OverflowError):
        raise BadSyntax(f"{name}: there is no day {text[:40]!r}") from None
    return Days({None: "eq", "sa": "gt", "eb": "lt"}.get(prefix, prefix), low, high)


def _count(text: str | None) -> int:
    if text is None:
        return 20
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) == 0:
        raise BadSyntax(f"_count must be 1 to {LONGEST_PAGE}, not {text[:20]!r}")
    return min(int(text), LONGEST_PAGE)


def _after(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadSyntax("_after must come from the `next` link of an earlier page")
    return int(text)
