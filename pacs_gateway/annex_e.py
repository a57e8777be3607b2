"""What becomes of each attribute when a data set leaves care: PS3.15 table E.1-1 under our options.

The table is packaged as `data/annex_e.csv`, one row an attribute; `default_action` decides by value
representation on those that it does not list.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydicom.datadict import dictionary_VR
from pydicom.tag import BaseTag

BASIC_PROFILE = "113100"
CLEAN_PIXEL_DATA = "113101"
CLEAN_VISUAL_FEATURES = "113102"
CLEAN_DESCRIPTORS = "113105"
MODIFIED_DATES = "113107"
PATIENT_CHARACTERISTICS = "113108"
SAFE_PRIVATE = "113111"
METHODS = {
    BASIC_PROFILE: "Basic Application Confidentiality Profile",
    CLEAN_PIXEL_DATA: "Clean Pixel Data Option",
    CLEAN_VISUAL_FEATURES: "Clean Recognizable Visual Features Option",
    CLEAN_DESCRIPTORS: "Clean Descriptors Option",
    MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
    PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
    SAFE_PRIVATE: "Retain Safe Private Option",
}
"""Codes of PS3.16 context group 7050 with their meanings."""

TEXTS = frozenset({"SH", "LO", "ST", "LT", "UC", "UT"})
NARRATIVES = frozenset({"ST", "LT", "UT"})
DATES = frozenset({"DA", "DT"})
NUMBERS = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"})
LOOKUP_TABLES = frozenset(
    {0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203, 0x00283002, 0x00283006}
)
PIXELS = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00010})
"""Offset tables and pixels."""


class Action(StrEnum):
    """What is done to an attribute; the letters of table E.1-1 in brackets."""

    REMOVE = "remove"
    """(X)"""
    EMPTY = "empty"
    """(Z) zero length"""
    DUMMY = "dummy"
    """(D) a value that says nothing"""
    UID = "uid"
    """(U) another UID, the same for the same one"""
    MOVE = "move"
    """(C of modified dates) moved by the patient's own number of days"""
    DESCRIBE = "describe"
    """(C of descriptors) only words of the imaging vocabulary stay"""
    SWEEP = "sweep"
    """what is known of the patient, numbers and Thai words are taken out"""
    TERM = "term"
    """an upper-case code word, kept unless it holds something known of the patient"""
    AGE = "age"
    """kept up to 89 years, PS3.15 E.3.6"""
    NUMBER = "number"
    """kept where it is a number"""
    ITEMS = "items"
    """each item is treated like a data set"""
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of table E.1-1."""

    tag: str
    """Eight hexadecimal digits, with X where any digit will do, or PRIVATE."""
    name: str
    profile: str
    """Action code of the basic profile, such as X/Z/D."""
    options: dict[str, str]


@cache
def rules() -> dict[str, Rule]:
    """All 621 rows, by tag."""
    text = (files("pacs_gateway") / "data" / "annex_e.csv").read_text("utf-8")
    return {row["tag"]: _rule(row) for row in csv.DictReader(text.splitlines())}


def _rule(row: dict[str, str]) -> Rule:
    options = dict(option.split("=") for option in row["options"].split())
    return Rule(row["tag"], row["name"], row["profile"], options)


def rule_of(tag: int) -> Rule | None:
    """The row that speaks of a tag, or None."""
    text = f"{tag:08X}"
    if BaseTag(tag).is_private:
        return rules()["PRIVATE"]
    if text[:2] in ("50", "60"):
        exact = rules().get(f"{text[:2]}XX{text[4:]}")
        return exact or rules()["50XXXXXX" if text.startswith("50") else "60XX3000"]
    return rules().get(text)


@cache
def action_of(tag: int, vr: str) -> Action:
    """What to do with an attribute of this tag and value representation."""
    if tag >> 16 < 0x0008 or not tag & 0xFFFF:
        return Action.REMOVE  # commands, file meta, directories, group lengths: no part of a data set
    rule = rule_of(tag)
    return default_action(tag, vr) if rule is None else _chosen(rule, tag, vr)


def _chosen(rule: Rule, tag: int, vr: str) -> Action:
    options = rule.options
    if "modified_dates" in options:
        if vr in DATES:
            return Action.MOVE
        if vr == "TM":
            return Action.KEEP
    if options.get("patient") == "K":
        return Action.AGE if vr == "AS" else default_action(tag, vr)
    if options.get("descriptors") == "C" or options.get("patient") == "C":
        if vr in TEXTS - NARRATIVES:
            return Action.DESCRIBE
        if vr == "SQ" and rule.name.endswith("Code Sequence"):
            return Action.ITEMS
    return without_options(tag, vr)


def without_options(tag: int, vr: str) -> Action:
    """The basic profile alone: also what is done when a value that an option would keep cannot be read.

    Where the table leaves a choice (X/Z/D), the last is taken: it is right for every kind of object, and an
    attribute that is not there is never added.
    """
    rule = rule_of(tag)
    if rule is None:
        return Action.REMOVE
    code = rule.profile.split("/")[-1]
    if code == "U*":
        return Action.ITEMS
    if code == "D" and vr == "UI":
        return Action.UID
    return {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}[code]


def default_action(tag: int, vr: str) -> Action:
    """What to do with a public attribute that the table does not list."""
    if vr in NARRATIVES or vr in ("AE", "UR", "UN"):
        return Action.REMOVE
    if vr in DATES:
        return Action.MOVE
    if vr in NUMBERS or vr == "TM" or tag in PIXELS | LOOKUP_TABLES:
        return Action.KEEP
    actions = {
        "AS": Action.AGE,
        "CS": Action.TERM,
        "DS": Action.NUMBER,
        "IS": Action.NUMBER,
        "LO": Action.SWEEP,
        "PN": Action.EMPTY,
        "SH": Action.SWEEP,
        "SQ": Action.ITEMS,
        "UC": Action.SWEEP,
        "UI": Action.UID,
    }
    return actions.get(vr, Action.REMOVE)  # other bytes say what nobody can read


def vr_of(tag: int, written: str | None) -> str | None:
    """The value representation: the dictionary's where the file gives none, None for an unknown attribute."""
    if BaseTag(tag).is_private:
        return written or "UN"
    try:
        known = dictionary_VR(tag)
    except KeyError:
        return None
    return written if written not in (None, "UN") else known
