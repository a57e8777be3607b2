"""Figures within groups of studies: hospital, scanner, technique, patient and size of the lesion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.stroke import StrokeType
from training.intervals import Figure, proportion

Bools = npt.NDArray[np.bool_]

VOLUME_ML = (5.0, 25.0)
PRESENCE = frozenset({"old_infarct", "calcification", "motion"})
LEAST_POSITIVES = 20
MOST_LOST = 0.10
"""A stratum of at least LEAST_POSITIVES whose sensitivity lies further below the whole's breaks the bar."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One group of studies."""

    column: str
    group: str
    num_positive: int
    num_negative: int
    sensitivity: Figure | None
    specificity: Figure | None
    lags: bool
    """Whether it breaks the bar against the whole."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the manifest by which studies are parted."""

    words: str
    key: str
    edges: tuple[float, ...] = ()
    """Where bands of a number part; a value on an edge belongs to the band above."""
    unit: str = ""


COLUMNS = (
    Column("hospital", "hospital"),
    Column("vendor", "vendor"),
    Column("scanner", "scanner"),
    Column("header dialect", "dialect"),
    Column("kernel", "kernel"),
    Column("slice thickness", "spacing_mm", (1.75, 4.5), "mm"),
    Column("matrix", "matrix", (400.0, 600.0), "pixels"),
    Column("gantry tilt", "tilt_deg", (5.0, 15.0), "deg"),
    Column("age", "age", (50.0, 65.0, 80.0), "years"),
    Column("sex", "sex"),
    Column("onset to CT", "onset_h", (4.5, 24.0), "h"),
    Column("old infarct", "old_infarct"),
    Column("calcification", "calcification"),
    Column("motion", "motion"),
    Column("readers", "agreement"),
    Column("lesion volume", "lesion_ml", VOLUME_ML, "mL"),
)


def group_of(column: Column, row: Mapping[str, Any], kind: StrokeType) -> str | None:
    """The group of a study; None where the manifest says nothing."""
    value = lesion_ml(row, kind) if column.key == "lesion_ml" else row.get(column.key)
    if column.key == "old_infarct" and value is None:
        value = row.get("labels", {}).get("old_infarct")
    if column.key in PRESENCE and value in (0, 1):
        return "present" if value else "absent"
    if value is None or value == "":
        return None
    return band(abs(float(value)), column.edges, column.unit) if column.edges else str(value)


def lesion_ml(row: Mapping[str, Any], kind: StrokeType) -> float | None:
    """Volume of the lesion: `lesion_ml` is a number, or numbers by stroke type."""
    value = row.get("lesion_ml")
    if isinstance(value, Mapping):
        value = value.get(str(kind))
    return None if value is None else float(value)


def band(value: float, edges: Sequence[float], unit: str) -> str:
    """The band of a number in words."""
    place = int(np.searchsorted(edges, value, side="right"))
    if place == 0:
        return f"under {edges[0]:g} {unit}"
    if place == len(edges):
        return f"{edges[-1]:g} {unit} and more"
    return f"{edges[place - 1]:g} to under {edges[place]:g} {unit}"


def stratify(
    rows: Sequence[Mapping[str, Any]], kind: StrokeType, positive: Bools, flagged: Bools
) -> list[Stratum]:
    """Sensitivity and specificity by group, for the columns that the manifest has.

    Args:
        rows: Of the manifest, one a study.
        kind: Whose lesion the volumes are of.
        positive: By study, the truth.
        flagged: By study, the answer.
    """
    whole = proportion(int((positive & flagged).sum()), int(positive.sum()))
    strata = []
    for column in COLUMNS:
        groups = [group_of(column, row, kind) for row in rows]
        for name in _in_order(column, groups):
            inside = np.array([group == name for group in groups], bool)
            strata.append(_stratum(column.words, name or "not given", positive, flagged, inside, whole))
    return strata


def _in_order(column: Column, groups: Sequence[str | None]) -> list[str | None]:
    """The groups that occur: bands from low to high, names by the alphabet; nothing if none is known."""
    known = {group for group in groups if group is not None}
    if not known:
        return []
    middles = [column.edges[0] - 1, *column.edges] if column.edges else []
    bands = [band(value, column.edges, column.unit) for value in middles]
    order = [name for name in bands if name in known] if bands else sorted(known)
    # negatives have no lesion, so "not given" says nothing there
    missing = None in groups and column.key != "lesion_ml"
    return [*order, *([None] if missing else [])]


def _stratum(
    words: str, group: str, positive: Bools, flagged: Bools, inside: Bools, whole: Figure | None
) -> Stratum:
    yes, no = positive & inside, ~positive & inside
    sensitivity = proportion(int((yes & flagged).sum()), int(yes.sum()))
    lags = (
        whole is not None
        and sensitivity is not None
        and sensitivity.num >= LEAST_POSITIVES
        and sensitivity.value < whole.value - MOST_LOST
    )
    specificity = proportion(int((no & ~flagged).sum()), int(no.sum()))
    return Stratum(words, group, int(yes.sum()), int(no.sum()), sensitivity, specificity, lags)
