"""Judge from the pixels whether a volume can be assessed: a plain head CT without metal or motion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.stroke import Note, Refusal


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What the pixels say: refusals with their sentences, and notes."""

    refusals: tuple[tuple[Refusal, str], ...]
    notes: tuple[Note, ...]


def check_pixels(
    hu: NDArray[np.int16], spacing_mm: tuple[float, float, float], positions_mm: NDArray[np.float64]
) -> QualityReport:
    """Judge a stack of slices."""
    return QualityReport((), ())
