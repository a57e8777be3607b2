"""A data set without the patient: PS3.15 annex E, basic profile with the options of `annex_e.METHODS`.

An allow-list by construction: a new data set is built, and only what a rule lets through gets into it. What
is known of the patient is collected from the file first and searched for in all text that is let through.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom._uid_dict import UID_dictionary
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from pacs_gateway import annex_e
from pacs_gateway.annex_e import Action, action_of, vr_of, without_options
from pacs_gateway.elements import SHORT_VRS
from pacs_gateway.free_text import Secrets, describe, sweep, vocabulary, words_of_name, words_of_number
from pacs_gateway.identity import age_between, parse_age
from pacs_gateway.moved_dates import is_time, move_date, move_datetime
from pacs_gateway.pseudonyms import Key, Pseudonym
from pacs_gateway.thai import decode_thai, repair_date

PATIENT_ID = 0x00100020
PATIENT_AGE = 0x00101010
CODE_VALUE = 0x00080100
OLDEST_SHOWN = 89
LONGEST_SHORT = 0xFFFE
"""Bytes that a short value representation can hold, PS3.5 7.1.2."""
REQUIRED = ((0x00100010, "PN"), (0x00100030, "DA"), (0x00100040, "CS"))
"""Type 2 attributes of the patient: written empty where the file forgot them."""
LIMITS = {"SH": 16, "LO": 64}
"""Characters, PS3.5 6.2."""
PUBLIC_SCHEMES = frozenset({"DCM", "FMA", "LN", "RADLEX", "SCT", "SRT", "UCUM"})
UTF_8 = convert_encodings("ISO_IR 192")
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *")
_TERM = re.compile(r"[A-Z0-9_ +.\-]{0,16}")
_DUMMIES = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), b"REMOVED "),
    **{"AS": b"000Y", "DA": b"19000101", "DT": b"19000101", "TM": b"000000", "DS": b"0 ", "IS": b"0 "},
    **{"UR": b"urn:removed ", "OB": bytes(2), "UN": bytes(2), "US": bytes(2)},
}


@dataclass(frozen=True, slots=True)
class PrivateElement:
    """A private element that is known to be safe, PS3.15 E.3.10; of numbers and code words alone."""

    creator: str
    group: int
    element: int
    """The last two digits of the tag."""


@dataclass(slots=True)
class Cleaner:
    """Makes the data sets of one patient anonymous, one after the other."""

    key: Key
    pseudonym: Pseudonym
    safe_private: frozenset[PrivateElement] = frozenset()
    secrets: Secrets = field(default_factory=lambda: Secrets(()))

    def clean(self, ds: Dataset) -> Dataset:
        """A new data set under the rules; neither pixels nor their geometry change."""
        self.secrets = Secrets(known_words(ds))
        cleaned = self._items_of(ds, charset_of(ds, ""))
        age = _age(ds)
        if age is not None:
            _put(cleaned, PATIENT_AGE, "AS", age.encode("ascii"))
        _put(cleaned, PATIENT_ID, "LO", self.pseudonym.patient_id.encode("ascii"))
        for tag, vr in REQUIRED:
            if tag not in cleaned:
                _put(cleaned, tag, vr, b"")
        return cleaned

    def _items_of(self, ds: Dataset, charset: str) -> Dataset:
        charset = charset_of(ds, charset)
        cleaned = _new_data_set()
        for tag in sorted(ds.keys()):
            if tag.is_private:
                self._private(ds, tag, cleaned)
                continue
            element = element_of(ds, tag)
            if element is not None:
                self._element(ds, element, charset, cleaned)
        return cleaned

    def _element(self, ds: Dataset, element: "Element", charset: str, cleaned: Dataset) -> None:
        tag, vr = element.tag, element.vr
        action = action_of(tag, vr)
        value = self._value(action, element, charset, ds)
        if value is None and action not in (Action.REMOVE, Action.ITEMS):
            value = self._value(without_options(tag, vr), element, charset, ds)
        if isinstance(value, Sequence):
            cleaned[Tag(tag)] = DataElement(tag, "SQ", value)
        elif isinstance(value, DataElement):
            cleaned[Tag(tag)] = value
        elif value is not None:
            _put(cleaned, tag, vr, value)

    def _value(
        self, action: Action, element: "Element", charset: str, ds: Dataset
    ) -> bytes | Sequence | DataElement | None:
        """The new value; None where the attribute does not stay."""
        match action:
            case Action.REMOVE:
                return None
            case Action.EMPTY:
                return Sequence() if element.vr == "SQ" else b""
            case Action.DUMMY:
                return Sequence([_new_data_set()]) if element.vr == "SQ" else _DUMMIES.get(element.vr)
            case Action.ITEMS:
                return Sequence(self._items_of(item, charset) for item in element.items())
            case Action.KEEP if element.vr != "TM":
                return element.kept(ds)
        return self._text(action, element, charset, ds)

    def _text(self, action: Action, element: "Element", charset: str, ds: Dataset) -> bytes | None:
        """A text value under the rule, encoded; None where nothing of it stays."""
        text, _ = decode_thai(element.raw, charset)
        parts = [self._part(action, part.strip("\x00 "), element, ds) for part in text.split("\\")]
        if not text.strip("\x00 \\"):
            return b""
        if any(part is None for part in parts):
            return None
        joined = "\\".join(part or "" for part in parts)
        return joined.encode("utf-8") if joined.strip("\\") else None

    def _part(self, action: Action, text: str, element: "Element", ds: Dataset) -> str | None:
        days = self.pseudonym.days
        match action:
            case Action.UID:
                return text if text in UID_dictionary else self.key.uid(text) if text else ""
            case Action.MOVE if not text:
                return text
            case Action.MOVE:
                return (move_date if element.vr == "DA" else move_datetime)(text, days)
            case Action.KEEP:
                return text if not text or is_time(text) else None
            case Action.DESCRIBE:
                return describe(text, self.secrets)[: LIMITS.get(element.vr)].strip()
            case Action.SWEEP:
                swept = text if _is_public_code(element.tag, text, ds) else sweep(text, self.secrets)
                return swept[: LIMITS.get(element.vr)].strip()
            case Action.TERM:
                return text if self._is_term(text) else None
            case Action.AGE:
                return capped_age(text)
            case Action.NUMBER:
                return text if not text or _NUMBER.fullmatch(text) else None
        raise AssertionError(action)

    def _is_term(self, text: str) -> bool:
        if text.casefold() in vocabulary():
            return True
        return _TERM.fullmatch(text) is not None and sweep(text, self.secrets) == " ".join(text.split())

    def _private(self, ds: Dataset, tag: BaseTag, cleaned: Dataset) -> None:
        """Keep a private element that is on the list, with the block that it belongs to."""
        block = tag.group << 16 | tag.element >> 8
        if not self.safe_private or tag.is_private_creator or block not in ds:
            return
        creator = decode_thai(_raw(ds.get_item(block)))[0]
        if PrivateElement(creator, tag.group, tag.element & 0xFF) not in self.safe_private:
            return
        element = ds[tag]
        if element.VR in annex_e.NUMBERS:
            cleaned[tag] = element
        elif element.VR in ("CS", "DS", "IS"):
            action = Action.TERM if element.VR == "CS" else Action.NUMBER
            text = self._text(action, Element(tag, element.VR, _raw(element), element), "", ds)
            if text is None:
                return
            _put(cleaned, tag, element.VR, text)
        else:
            return
        _put(cleaned, block, "LO", creator.encode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it was read: raw bytes for text, pydicom's own for everything else."""

    tag: int
    vr: str
    raw: bytes
    read: DataElement | RawDataElement

    def items(self) -> Iterable[Dataset]:
        return self.read.value if self.vr == "SQ" and isinstance(self.read.value, Sequence) else ()

    def kept(self, ds: Dataset) -> DataElement | None:
        with contextlib.suppress(Exception):  # pydicom lets any error out that odd bytes provoke
            kept = ds[self.tag]
            if kept.VR == "AT" or kept.VR in annex_e.NUMBERS or kept.VR[0] == "O" or kept.VR == "UN":
                return kept
        return None


def element_of(ds: Dataset, tag: BaseTag) -> Element | None:
    """An element with its value representation; None for one that no dictionary knows or nobody can read."""
    read = ds.get_item(tag)
    vr = vr_of(tag, read.VR)
    if vr is None:
        return None
    if vr == "SQ":
        try:
            read = ds[tag]
        except Exception:  # pydicom lets any error out that odd bytes provoke
            return None
        return Element(tag, vr, b"", read) if read.VR == "SQ" else None
    return Element(tag, vr, _raw(read), read)


def _raw(element: DataElement | RawDataElement) -> bytes:
    if isinstance(element, RawDataElement):
        return element.value or b""
    if isinstance(element.value, bytes):
        return element.value
    values = element.value if element.VM > 1 else [element.value]
    return "\\".join("" if value is None else str(value) for value in values).encode("utf-8")


def charset_of(ds: Dataset, inherited: str) -> str:
    """SpecificCharacterSet as the file declares it, values joined by a backslash."""
    if 0x00080005 not in ds:
        return inherited
    return _raw(ds.get_item(0x00080005)).decode("latin-1").strip("\x00 ")


def known_words(ds: Dataset, charset: str = "") -> Iterator[str]:
    """Every word of the attributes that are taken out, at any depth: names, numbers, places."""
    charset = charset_of(ds, charset)
    for tag in sorted(ds.keys()):
        element = None if tag.is_private else element_of(ds, tag)
        if element is None:
            continue
        for item in element.items():
            yield from known_words(item, charset)
        text = decode_thai(element.raw, charset)[0] if element.vr in annex_e.TEXTS | {"AE", "PN"} else ""
        if element.vr == "PN":
            yield from words_of_name(text)
        elif action_of(tag, element.vr) in (Action.REMOVE, Action.EMPTY, Action.DUMMY):
            yield from words_of_number(text)


def capped_age(text: str) -> str | None:
    """An AS value as it is up to 89 years, 090Y above, None where it is no age."""
    if not text:
        return ""
    years = parse_age(text)
    if years is None:
        return None
    return "090Y" if years > OLDEST_SHOWN else text


def _age(ds: Dataset) -> str | None:
    """The age of an adult on the day of the study where the file gives dates but no age."""
    stated, birth, study = (_raw(ds.get_item(tag)) if tag in ds else b"" for tag in _AGE_TAGS)
    if stated.strip(b"\x00 "):
        return None
    years = age_between(*(repair_date(value.decode("latin-1"))[0] for value in (birth, study)))
    return None if years is None or years < 2 else f"{min(int(years), 90):03d}Y"


_AGE_TAGS = (PATIENT_AGE, 0x00100030, 0x00080020)


def _is_public_code(tag: int, text: str, ds: Dataset) -> bool:
    if tag != CODE_VALUE or len(text) > 12:
        return False
    scheme = _raw(ds.get_item(0x00080102)).decode("latin-1").strip("\x00 ") if 0x00080102 in ds else ""
    return scheme in PUBLIC_SCHEMES


def _new_data_set() -> Dataset:
    """One whose raw values are written as they are: explicit little endian, UTF-8."""
    ds = Dataset(parent_encoding=UTF_8)
    ds.set_original_encoding(False, True, UTF_8)
    return ds


def _put(ds: Dataset, tag: int, vr: str, value: bytes) -> None:
    if len(value) >= LONGEST_SHORT and vr.encode() in SHORT_VRS:
        return
    value += (b"\x00" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
    ds[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
