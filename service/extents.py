"""From first and last slice, as readers gave them, to the slice ranges of a data set."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from model.stroke import StrokeType


def slice_ranges(
    labels: Sequence[Mapping[str, Any]], decided: Mapping[str, Any] | None
) -> dict[StrokeType, list[tuple[str, str]]]:
    """By stroke type the stretches that show it: the adjudicator's where there are any, else one reader's.

    Stretches of several readers are not merged: slices of which one says this and another that would become
    labels that nobody gave. The reader who gave most findings an extent is taken.
    """
    source = decided if decided and decided["extents"] else max(labels, key=_count, default=None)
    found: dict[StrokeType, list[tuple[str, str]]] = defaultdict(list)
    for extent in source["extents"] if source else ():
        found[StrokeType(extent["finding"])].append((extent["first"], extent["last"]))
    return dict(found)


def _count(label: Mapping[str, Any]) -> int:
    return len({extent["finding"] for extent in label["extents"]})
