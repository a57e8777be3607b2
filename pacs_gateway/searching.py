"""A QIDO-RS search: what was asked for, and whether a data set in the JSON model matches it.

PS3.18 8.3.4 and PS3.4 C.2.2.2.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from pacs_gateway.dicomjson import Attributes

LONGEST_PAGE = 1000
LONGEST_OFFSET = 10_000_000
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGED = frozenset({"DA", "TM", "DT"})
_DIGITS = re.compile(r"[^0-9]")


class BadSearch(ValueError):
    """A parameter makes no sense; the text names it."""


@dataclass(frozen=True, slots=True)
class Match:
    """One attribute that must match."""

    path: tuple[str, ...]
    """Tags in eight hexadecimal digits, from the data set inwards."""
    vr: str
    value: str

    def __call__(self, attributes: Attributes) -> bool:
        """Whether one value of the attribute matches; an empty value matches everything."""
        if self.value in ("", "*"):
            return True
        return any(matches(self.vr, self.value, each) for each in _values(attributes, self.path))


@dataclass(frozen=True, slots=True)
class Search:
    """Everything that a QIDO-RS request asks for."""

    matches: tuple[Match, ...]
    include: frozenset[str]
    """Further tags to return."""
    include_all: bool
    limit: int
    offset: int
    fuzzy: bool

    def value_of(self, tag: str) -> str | None:
        """What was asked for one attribute of the top level."""
        return next((match.value for match in self.matches if match.path == (tag,)), None)


def read_search(parameters: Iterable[tuple[str, str]], *, default_limit: int = 100) -> Search:
    """A request's parameters, in any order.

    Raises:
        BadSearch: an attribute is unknown, a number is none, or a value is out of its bounds.
    """
    matches: list[Match] = []
    include: set[str] = set()
    include_all, fuzzy = False, False
    numbers = {"limit": default_limit, "offset": 0}
    for name, value in parameters:
        if name == "includefield":
            wanted = [each.strip() for each in value.split(",") if each.strip()]
            include_all = include_all or "all" in wanted
            include |= {path_of(each)[-1] for each in wanted if each != "all"}
        elif name in numbers:
            numbers[name] = _number(name, value)
        elif name == "fuzzymatching":
            fuzzy = value.lower() == "true"
        elif name not in ("accept", "charset"):
            path = path_of(name)
            matches.append(Match(path, vr_of(path[-1]), value.strip()))
    limit = min(numbers["limit"], LONGEST_PAGE)
    return Search(tuple(matches), frozenset(include), include_all, limit, numbers["offset"], fuzzy)


def path_of(name: str) -> tuple[str, ...]:
    """The tags of an attribute given as keyword or hexadecimal tag, or as a dotted path of them.

    Raises:
        BadSearch: no such attribute.
    """
    return tuple(_tag(part) for part in name.split("."))


@cache
def vr_of(tag: str) -> str:
    """The VR of a tag; UN where the dictionary does not know it."""
    try:
        return dictionary_VR(int(tag, 16))
    except KeyError:
        return "UN"


def matches(vr: str, pattern: str, value: object) -> bool:
    """Whether one value matches a pattern: a list of UIDs, a range, or text with * and ?.

    Names match in any of their component groups, upper and lower case alike: Thai often stands in the second.
    """
    if vr == "UI":
        return str(value) in re.split(r"[,\\]", pattern)
    if vr == "PN" and isinstance(value, Mapping):
        whole = "=".join(str(group) for group in value.values())
        return any(_wildcard(pattern)(str(text)) for text in (*value.values(), whole))
    if vr in _RANGED:
        return in_range(vr, pattern, str(value))
    return bool(_wildcard(pattern)(str(value)))


def in_range(vr: str, pattern: str, value: str) -> bool:
    """Whether a date or time lies in `first-last`, of which either end may be missing."""
    if vr == "DA":
        pattern, value = pattern.replace(".", ""), value.replace(".", "")
    low, dash, high = pattern.partition("-")
    if not dash:
        return _DIGITS.sub("", value).startswith(_DIGITS.sub("", low))
    low, high, value = (_DIGITS.sub("", each) for each in (low, high, value))
    # 09 to 10 holds 10:59, so the upper end is compared as far as it goes
    return (not low or value[: len(low)] >= low) and (not high or value[: len(high)] <= high)


def like_pattern(pattern: str) -> str:
    r"""A DICOM wildcard pattern as one of SQL's LIKE, with \ as its escape."""
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%").replace("?", "_")


def _values(attributes: Attributes, path: tuple[str, ...]) -> Sequence[Any]:
    found = attributes.get(path[0], {}).get("Value", [])
    if len(path) == 1:
        return [each for each in found if each is not None]
    return [value for item in found for value in _values(item, path[1:])]


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


def _wildcard(pattern: str) -> Any:
    return _compiled(pattern).fullmatch


def _tag(name: str) -> str:
    if _TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name)
    if tag is None:
        raise BadSearch(f"there is no attribute {name!r}")
    return f"{tag:08X}"


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) > LONGEST_OFFSET:
        raise BadSearch(f"{name} is {value!r}; it must be a whole number from 0 to {LONGEST_OFFSET}")
    return int(value)
