"""Free text without the patient: what is known of the patient, numbers that may be one, and Thai words go.

No list holds every name, so descriptions are not searched for names: `describe` keeps only words of the
packaged imaging vocabulary, measures and kernels. `sweep` is for short technical text that it would ruin.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

THAI_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789")

_CITIZEN = re.compile(r"(?<![0-9])[0-9](?:[ .\-]{0,2}[0-9]){12}(?![0-9])")
_DAY = re.compile(r"[0-9]{1,4}[/.\-][0-9]{1,2}[/.\-][0-9]{1,4}")
_LONG_NUMBER = re.compile(r"[0-9](?:[ \-]?[0-9]){4,}")
_NUMBERED = re.compile(r"\b(?:HN|AN|VN|XN|CID|ID|PID|TEL)\b[ :.#\-]*[\w/\-]*", re.IGNORECASE)
_TITLED = re.compile(r"\b(?:mr|mrs|miss|ms|dr|nai|nang)\b\.?\s*\w+(?:\s+\w+)?", re.IGNORECASE)
_THAI_RUN = re.compile(r"[\u0E00-\u0E7F]+")
_TOKEN = re.compile(r"[0-9]+\.[0-9]+[^\W\d_]*|[^\W_]+")
_MEASURE = re.compile(
    r"[0-9]{1,3}(?:\.[0-9]{1,3})?(?:mm|cm|s|ms|sec|kv|kvp|ma|mas|hu)|[0-9]{1,3}\.[0-9]{1,3}"
)
_WHOLE = re.compile(r"[0-9]{1,3}")
_UNITS = frozenset({"mm", "cm", "s", "ms", "sec", "kv", "kvp", "ma", "mas", "hu"})
_KERNEL = re.compile(r"(?:[HBUTJ][rcvfls]?|FC|SA|YA|UB|FL)[0-9]{2}[a-z]?")


class Secrets:
    """What is known of one patient, to be found again in any text."""

    def __init__(self, values: Iterable[str]) -> None:
        words = {value.casefold() for value in values if len(value) > 1}
        self.words = tuple(sorted(words, key=len, reverse=True))
        patterns = [
            re.escape(word) if len(word) > 3 else rf"(?<![^\W_]){re.escape(word)}(?![^\W_])"
            for word in self.words
        ]
        self._found = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def within(self, text: str) -> bool:
        """Whether any of it stands in the text."""
        return self._found is not None and self._found.search(text) is not None

    def taken_out(self, text: str) -> str:
        """The text without any of it."""
        return text if self._found is None else self._found.sub(" ", text)


@cache
def vocabulary() -> frozenset[str]:
    """Words that say what was examined and how, and nothing of whom; lower case."""
    text = (files("pacs_gateway") / "data" / "imaging_words.txt").read_text("utf-8")
    return frozenset(text.casefold().split())


def sweep(text: str, secrets: Secrets) -> str:
    """Short technical text, such as a kernel or a software version, without anything personal."""
    text = secrets.taken_out(text.translate(THAI_DIGITS))
    for pattern in (_CITIZEN, _NUMBERED, _TITLED, _DAY, _LONG_NUMBER):
        text = pattern.sub(" ", text)
    text = _THAI_RUN.sub(lambda run: run[0] if run[0] in vocabulary() else " ", text)
    return " ".join(text.split())


def describe(text: str, secrets: Secrets) -> str:
    """A description in words of the imaging vocabulary alone; what they do not cover is left out."""
    tokens = _TOKEN.findall(sweep(text, secrets))
    kept = [at for at, token in enumerate(tokens) if _harmless(token)]
    measured = [
        at
        for at, token in enumerate(tokens[:-1])
        if _WHOLE.fullmatch(token) and tokens[at + 1].casefold() in _UNITS
    ]
    places = sorted({*kept, *measured, *(at + 1 for at in measured)})
    return " ".join(tokens[at] for at in places)


def _harmless(token: str) -> bool:
    lower = token.casefold()
    return bool(lower in vocabulary() or _MEASURE.fullmatch(lower) or _KERNEL.fullmatch(token))


def words_of_name(name: str) -> list[str]:
    """The parts of a PN value by which a person is known."""
    return [part for part in re.split(r"[\^=\\,.\s]+", name) if len(part) > 1]


def words_of_number(text: str) -> list[str]:
    """An identifier, whole and in the parts between its separators that are long enough to tell somebody."""
    whole = [each for each in map(str.strip, text.split("\\")) if len(each) > 2]
    parts = [part for part in re.split(r"[\\/\-\s]+", text) if len(part) > 3 and re.search(r"\d", part)]
    return [each for each in whole + parts if each.casefold() not in vocabulary()]
