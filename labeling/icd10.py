"""Which ICD-10 codes are acute stroke: I60 to I64. Sequelae (I69) and injuries of the head (S06) are not.

Codes come with and without the dot, in either case, in Thai digits, with the fifth characters of ICD-10-TM,
and several in one field.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

ACUTE = frozenset({"I60", "I61", "I62", "I63", "I64"})
SEQUELAE, HEAD_INJURY = "I69", "S06"

_THAI_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789")
_CODE = re.compile(r"([A-Z][0-9]{2})(?:\.?([0-9A-Z]{1,3}))?[*+†]?")
_SPLIT = re.compile(r"[\s,;/|]+")
_MISTYPED = frozenset({"L60", "L61", "L62", "L63", "L64"})
"""A small L for a capital I; L60 to L64 are diseases of nails and hair, which no head CT is made for."""


class CodeKind(StrEnum):
    """What a code means for the study."""

    ACUTE_STROKE = "acute_stroke"
    SEQUELA = "sequela"
    HEAD_INJURY = "head_injury"
    OTHER = "other"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Code:
    """One code as written, and without its dot as the 43-file sends it."""

    written: str
    plain: str
    """Empty where it is no ICD-10 code."""
    kind: CodeKind


def read_codes(text: str) -> tuple[Code, ...]:
    """The codes of one field, in their order; none of an empty one.

    >>> [code.plain for code in read_codes("i63.9, I10")]
    ['I639', 'I10']
    """
    return tuple(_read(word) for word in _SPLIT.split(text.strip()) if word)


def _read(word: str) -> Code:
    found = _CODE.fullmatch(word.translate(_THAI_DIGITS).upper())
    if found is None:
        return Code(word, "", CodeKind.UNREADABLE)
    group, rest = found.groups(default="")
    return Code(word, group + rest, _kind(group))


def _kind(group: str) -> CodeKind:
    if group in ACUTE:
        return CodeKind.ACUTE_STROKE
    if group in _MISTYPED:
        return CodeKind.UNREADABLE
    return {SEQUELAE: CodeKind.SEQUELA, HEAD_INJURY: CodeKind.HEAD_INJURY}.get(group, CodeKind.OTHER)
