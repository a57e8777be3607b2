"""What is known of a case, by slice and by study: 0, 1, or NaN, which pulls nowhere."""

import numpy as np
import numpy.typing as npt

from model.network import MASKS, STROKE_TYPES
from training.cases import Case

MIN_PIXELS = 10
"""Fewer lesion pixels than this in a slice, and its label is unknown; none, and it is 0."""
NUM_HAEMORRHAGES = 6
"""any_ich and its five kinds come first in STROKE_TYPES and in MASKS."""


Counts = npt.NDArray[np.int64]


def num_pixels(case: Case) -> Counts:
    """(slices, M): pixels of every mask."""
    return np.stack([(case.masks >> index & 1).sum(axis=(1, 2)) for index in range(len(MASKS))], axis=1)


def slice_labels(case: Case, pixels: Counts) -> npt.NDArray[np.float32]:
    """Labels of every slice, (slices, K): 0, 1, or NaN where nobody knows.

    Args:
        case: Whose card says what its masks and readers vouch for.
        pixels: (slices, M), as `num_pixels` counts them.
    """
    labels = np.full((len(pixels), len(STROKE_TYPES)), np.nan, np.float32)
    for index, name in enumerate(MASKS):
        labels[pixels[:, index] >= MIN_PIXELS, index] = 1
        if name in case.card.known_masks:
            labels[pixels[:, index] == 0, index] = 0
    _from_ranges(labels, case)
    if case.card.source == "sich":
        # where there is no haematoma there may be blood of another kind, but seldom
        labels[labels[:, 0] == 0, :NUM_HAEMORRHAGES] = 0
    labels[list(case.card.unsure_slices)] = np.nan
    return labels


def _from_ranges(labels: npt.NDArray[np.float32], case: Case) -> None:
    """A reader's first and last slices; a finding that the study lacks is in none of its slices."""
    for index, name in enumerate(STROKE_TYPES):
        ranges = case.card.slice_ranges.get(name)
        if ranges:
            labels[:, index] = 0
            for first, last in ranges:
                labels[first : last + 1, index] = 1
        elif case.card.labels.get(name) == 0:
            labels[:, index] = 0


def study_labels(case: Case) -> npt.NDArray[np.float32]:
    """Labels of the study, (K): 0, 1 or NaN."""
    return np.array([case.card.labels.get(name, np.nan) for name in STROKE_TYPES], np.float32)


def vouched_masks(case: Case, pixels: Counts) -> npt.NDArray[np.bool_]:
    """(slices, M): True where the case vouches for the pixels in which a mask is 0."""
    named = np.array([name in case.card.known_masks for name in MASKS])
    # a finding that the study lacks has no pixels
    named |= np.array([case.card.labels.get(name) == 0 for name in MASKS])
    known = np.repeat(named[None], len(pixels), axis=0)
    if case.card.source == "sich":
        # a real slice without any haematoma vouches for every kind of haemorrhage
        known[pixels[:, 0] == 0, :NUM_HAEMORRHAGES] = True
    return known
