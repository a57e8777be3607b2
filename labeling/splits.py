"""Which part of a data set a case belongs to: whole hospitals and the last months held out, then by patient.

The parts are those of `training.data`. Where they fall depends on names alone, so more cases move none.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """A part of a data set, or why a case is in none."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    TEST = "test"
    EXTERNAL = "external"
    """Of held-out hospitals."""
    TEMPORAL = "temporal"
    """Of held-out months."""
    LEFT_OUT = "left_out"
    """Its patient is held out by another case."""


HELD = frozenset({Part.TEST, Part.EXTERNAL, Part.TEMPORAL})
"""What a model is judged by; three readers read it."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How a data set is parted."""

    hospitals: tuple[str, ...] = ()
    """Held out whole."""
    months: int = 0
    """The last so many months with cases are held out."""
    calibration: float = 0.15
    test: float = 0.20
    """Of the patients that are left."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What of a case decides its part."""

    case: str
    patient: str
    """Its group, as `patients.group_patients` names it."""
    hospital: str
    month: str
    """YYYY-MM; empty where unknown, and then never among the last."""


class Leak(ValueError):
    """A patient or a held-out hospital is in two parts; the text names some."""


def split_cases(cases: Sequence[Placed], shares: Shares) -> dict[str, Part]:
    """The part of every case, checked by `assert_disjoint`.

    A patient who is seen in a held-out hospital and elsewhere counts there only; other cases are left out.

    Raises:
        ValueError: no case comes from a hospital to hold out, or the shares exceed 1.
    """
    if not 0 <= shares.calibration + shares.test < 1:
        raise ValueError(f"shares of {shares.calibration} and {shares.test} leave nothing to train on")
    if absent := sorted(set(shares.hospitals) - {each.hospital for each in cases}):
        raise ValueError(f"no case comes from the held-out hospital {absent[0]}")
    outside = {each.patient for each in cases if each.hospital in shares.hospitals}
    rest = [each for each in cases if each.patient not in outside]
    known = sorted({each.month for each in rest if each.month})
    last = set(known[max(0, len(known) - shares.months) :]) if shares.months else set()
    late = {each.patient for each in rest if each.month in last}
    parts = {each.case: _part(each, shares, outside, late, last) for each in cases}
    assert_disjoint(cases, parts)
    return parts


def assert_disjoint(cases: Iterable[Placed], parts: Mapping[str, Part]) -> None:
    """Guard against leakage.

    Raises:
        Leak: a patient is in two parts, or a hospital of the external part is in another.
    """
    of_patient: dict[str, set[Part]] = defaultdict(set)
    of_hospital: dict[str, set[Part]] = defaultdict(set)
    for each in cases:
        if parts[each.case] is not Part.LEFT_OUT:
            of_patient[each.patient].add(parts[each.case])
            of_hospital[each.hospital].add(parts[each.case])
    if shared := sorted(patient for patient, found in of_patient.items() if len(found) > 1):
        raise Leak(f"{len(shared)} patients are in more than one part: {shared[:5]}")
    torn = sorted(name for name, found in of_hospital.items() if Part.EXTERNAL in found and len(found) > 1)
    if torn:
        raise Leak(f"held-out hospitals are in other parts, too: {torn[:5]}")


def _part(each: Placed, shares: Shares, outside: set[str], late: set[str], last: set[str]) -> Part:
    if each.patient in outside:
        return Part.EXTERNAL if each.hospital in shares.hospitals else Part.LEFT_OUT
    if each.patient in late:
        return Part.TEMPORAL if each.month in last else Part.LEFT_OUT
    draw = int.from_bytes(hashlib.sha256(each.patient.encode()).digest()[:4], "big") / 2**32
    if draw < shares.calibration:
        return Part.CALIBRATION
    return Part.TEST if draw < shares.calibration + shares.test else Part.TRAIN
