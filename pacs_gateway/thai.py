"""Thai text and Buddhist-era dates as hospital systems really write them, made right.

The charset that a file declares is often wrong (standards.md measured every mix), so the bytes decide first.
Only NFC is applied: NFKC would split sara am (U+0E33).
"""

import codecs
import re
import unicodedata
from datetime import date

from pydicom.charset import python_encoding

BUDDHIST_ERA = 543
THAI_G1 = b"\x1b-T"
"""ISO 2022 IR 166 into G1: ESC 02/13 05/04, PS3.3 C.12.1.1.2."""

_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]+[\x30-\x7e]")
_THAI = re.compile(r"[\u0E00-\u0E7F]")
_RUN = re.compile(r"[\u0E00-\u0E7F]+")
_COMBINING = re.compile(r"[\u0E31\u0E34-\u0E3A\u0E47-\u0E4E]")
_DATE = re.compile(r"([0-9]{4})[.\-/]?([0-9]{2})[.\-/]?([0-9]{2})")


def decode_thai(raw: bytes, declared: str | None = None) -> tuple[str, str]:
    """Decode the bytes of a text element whose declared charset cannot be trusted.

    Args:
        raw: one element's value, padding and escape sequences included.
        declared: SpecificCharacterSet of the file, its values joined by a backslash.

    Returns:
        The text in NFC, and the charset that was used: ascii, utf-8, cp874, or a codec's name.
    """
    raw = raw.strip(b"\x00 ")
    escaped = THAI_G1 in raw
    plain = _ESCAPE.sub(b"", raw) if b"\x1b" in raw else raw
    if plain.isascii():
        return plain.decode("ascii"), "ascii"
    text, charset = _decode(plain, _codec(declared), escaped)
    return unicodedata.normalize("NFC", text), charset


def _decode(raw: bytes, codec: str | None, escaped: bool) -> tuple[str, str]:
    utf8 = _strict(raw, "utf-8")
    if utf8 is not None and (_THAI.search(utf8) or codec == "utf-8"):
        return utf8, "utf-8"
    thai = _strict(raw, "cp874")
    if thai is not None and (escaped or looks_thai(thai)):
        return thai, "cp874"
    if codec is not None and (text := _strict(raw, codec)) is not None:
        return text, codec
    if utf8 is not None:
        return utf8, "utf-8"
    return raw.decode("latin-1"), "latin-1"


def looks_thai(text: str) -> bool:
    """Whether the Thai letters form words, rather than being the accents of a Latin name."""
    runs = list(_RUN.finditer(text))
    return bool(runs) and all(_plausible(text, run.start(), run.end()) for run in runs)


def _plausible(text: str, start: int, end: int) -> bool:
    if _COMBINING.match(text, start):
        return False
    beside = text[start - 1 : start] + text[end : end + 1]
    return end - start > 1 or not any(letter.isascii() and letter.isalpha() for letter in beside)


def _strict(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return None


def _codec(declared: str | None) -> str | None:
    """The Python codec of the last charset declared that is known (the first is the ASCII part)."""
    for term in reversed((declared or "").split("\\")):
        encoding = python_encoding.get(term.strip()) or python_encoding.get(_mended(term))
        if encoding is not None:
            codec = codecs.lookup(encoding[0] if isinstance(encoding, list) else encoding).name
            return "cp874" if codec == "tis-620" else codec
    return None


def _mended(term: str) -> str:
    """ISO_IR_166, ISO-IR 166 and TIS-620 are written by real systems."""
    digits = re.search(r"IR[\s_-]*([0-9]+)", term)
    if digits:
        return f"ISO_IR {digits[1]}"
    return "ISO_IR 166" if "620" in term else term


def repair_date(text: str, *, today: date | None = None) -> tuple[date | None, bool]:
    """Read a DA value, and say whether its year was Buddhist era.

    A year more than a century ahead of today cannot be Common Era: 25690101 is 2026-01-01.
    What is no date at all gives None.
    """
    parts = _DATE.fullmatch(text.strip("\x00 "))
    if parts is None:
        return None, False
    year, month, day = (int(part) for part in parts.groups())
    buddhist = year > (today or date.today()).year + 100
    try:
        return date(year - BUDDHIST_ERA if buddhist else year, month, day), buddhist
    except ValueError:
        return None, False
