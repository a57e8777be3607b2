"""Judge from the pixels whether a volume can be assessed: a plain head CT without metal or motion.

A false refusal loses a patient, so only the clear cases are refused; the doubtful ones get a note, and notes
whose code is in REVIEW_CODES keep the model from clearing the study. Measured values are those of the four
real studies used in development, in the order haemorrhage, infarct, normal, contrast.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.head import find_head
from model.skull import (
    CROSS_SECTION_CM2,
    Skull,
    brain_values,
    edge_mm,
    measure_skull,
    metal_ml,
    noise_hu,
    sinus_hu,
)
from model.stroke import Note, Refusal

RING_MM = 30.0
"""Of height with brain in a closed ring of bone. Measured 90, 96, 105, 66."""
COVER_MM = 90.0
"""From the top of the head down. Measured 165, 144, 156, 85; a whole brain needs 120 or more."""
SCARCE_COVER_MM = 110.0
TOP_OPEN_CM2 = 100.0
"""Cross-section of the highest slice above which the vertex is cut off. Measured 0, 54, 0, 8."""
BRAIN_HU = (20.0, 45.0)
"""Median inside the skull. Measured 31.8, 30.7, 30.3, 34.9."""
IMPLAUSIBLE_BRAIN_HU = (10.0, 55.0)
AIR_HU = -700
"""The darkest hundredth of the field of view must lie below this; all four lie at -1000 or lower."""
SINUS_HU = 85.0
"""Median brightness of the sagittal sinus that only contrast reaches. Measured 47, 55, 46, 112."""
SINUS_OVER_BRAIN_HU = 45.0
"""Measured 15, 25, 16, 77; a scanner out of calibration moves both alike."""
BRIGHT_SINUS_HU = 72.0
"""Thick blood, a clot in the sinus or a bleed along the falx may reach this."""
SINUS_SLICES = 5
METAL_ML = 0.02
"""Inside the vault or on it. Measured 0 in all four."""
DEEP_METAL_ML = 0.5
"""Deeper than the bone: streaks then cross the brain."""
GAP_MM = 25.0
"""A piece of skull that a surgeon took. Measured 0 in all four."""
SMALL_GAP_MM = 12.0
GAP_HEIGHT_MM = 20.0
WIDEST_GAP_MM = 250.0
"""Wider than half a head: there was no skull to begin with."""
EDGE_MM = 4.0
"""A wider smear of the outline is taken for motion. Measured 2.2, 2.1, 1.7, 3.4 (a bandage); simulated motion
of 7 to 13 mm gives 5.2 to 6.5, a simulated head at rest 1.4 to 1.8."""
NOISE_HU = 15.0
"""Measured 3, 3, 3, 6; sharp kernels reach 20 and more."""
SMALL_HEAD_CM2 = 140.0
"""Largest cross-section of a head that may be a child's. Measured 260, 282, 246, 204."""

REVIEW_CODES = frozenset(
    {
        "age_conflict",
        "bone_kernel",
        "brain_density",
        "bright_sinus",
        "lossy_compression",
        "metal",
        "missing_slices",
        "motion",
        "noise",
        "scarce_cover",
        "shifted_slices",
        "skull_defect",
        "small_head",
        "top_not_covered",
        "undecodable_slices",
    }
)
"""Codes of the notes, wherever they are made, that call for a person: the study is not to be cleared."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What the pixels say: refusals with their sentences, and notes."""

    refusals: list[tuple[Refusal, str]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def refuse(self, refusal: Refusal, text: str) -> None:
        self.refusals.append((refusal, text))

    def note(self, code: str, text: str) -> None:
        self.notes.append(Note(code, text))


def check_pixels(
    hu: NDArray[np.int16], spacing_mm: tuple[float, float, float], positions_mm: NDArray[np.float64]
) -> QualityReport:
    """Judge a stack of slices.

    Args:
        hu: Shape (slices, rows, columns), slice 0 most inferior, rows to the back of the patient.
        spacing_mm: Slice, row, column.
        positions_mm: Of each slice along the normal.
    """
    report = QualityReport()
    darkest = float(np.percentile(hu[:: max(1, len(hu) // 8), ::8, ::8], 1))
    if darkest > AIR_HU:
        text = f"The darkest hundredth of the image is {darkest:.0f} HU; air lies below {AIR_HU}."
        report.refuse(Refusal.IMPLAUSIBLE_HU, text)
        return report
    head = find_head(hu, spacing_mm)
    skull = measure_skull(head, positions_mm)
    _judge_skull(report, skull)
    if any(refusal == Refusal.NOT_HEAD for refusal, _ in report.refusals):
        return report
    _judge_cover(report, skull)
    brain = _judge_brain(report, brain_values(head, skull))
    if brain is not None:
        _judge_contrast(report, sinus_hu(hu, head, skull, spacing_mm), brain)
    _judge_metal(report, *metal_ml(hu, head, skull, spacing_mm))
    _judge_sharpness(report, edge_mm(head, skull), noise_hu(hu, head, skull))
    return report


def _judge_skull(report: QualityReport, skull: Skull) -> None:
    """A head, and a whole one?"""
    like_head = skull.vault & (skull.body_cm2 < CROSS_SECTION_CM2[1])
    open_mm = float(
        skull.height_mm[like_head & (skull.gap_mm > GAP_MM) & (skull.gap_mm < WIDEST_GAP_MM)].sum()
    )
    widest = float(skull.gap_mm[like_head].max(initial=0.0))
    ring_mm = float(skull.height_mm[skull.ring].sum())
    if open_mm >= GAP_HEIGHT_MM:
        text = f"The skull is open over {open_mm:.0f} mm of height, up to {widest:.0f} mm wide."
        report.refuse(Refusal.POST_SURGERY, text)
    elif ring_mm < RING_MM:
        text = (
            f"A skull closes round brain over {ring_mm:.0f} mm of height, at least {RING_MM:.0f} are needed."
        )
        report.refuse(Refusal.NOT_HEAD, text)
    elif widest > SMALL_GAP_MM:
        report.note(
            "skull_defect", f"A gap of {widest:.0f} mm in the skull; more than {SMALL_GAP_MM:.0f} is odd."
        )
    largest = float(skull.body_cm2[like_head].max(initial=0.0))
    if 0 < largest < SMALL_HEAD_CM2:
        text = (
            f"Largest cross-section {largest:.0f} cm2; below {SMALL_HEAD_CM2:.0f} the head may be a child's."
        )
        report.note("small_head", text)


def _judge_cover(report: QualityReport, skull: Skull) -> None:
    shown = skull.body_cm2 > 0
    cover = float(skull.depth_mm[shown].max(initial=0.0)) + float(np.median(skull.height_mm))
    if cover < COVER_MM:
        text = f"The slices cover {cover:.0f} mm of the head, at least {COVER_MM:.0f} are needed."
        report.refuse(Refusal.MISSING_SLICES, text)
    elif cover < SCARCE_COVER_MM:
        report.note("scarce_cover", f"The slices cover only {cover:.0f} mm of the head.")
    if skull.body_cm2[-1] > TOP_OPEN_CM2:
        text = (
            f"The highest slice still cuts {skull.body_cm2[-1]:.0f} cm2 of the head: the top is not covered."
        )
        report.note("top_not_covered", text)


def _judge_brain(report: QualityReport, values: NDArray[np.float32]) -> float | None:
    """The median inside the skull, if it can be that of brain."""
    if not len(values):
        return None
    median = float(np.median(values))
    text = f"Median inside the skull {median:.0f} HU, brain has {BRAIN_HU[0]:.0f} to {BRAIN_HU[1]:.0f}."
    if not IMPLAUSIBLE_BRAIN_HU[0] <= median <= IMPLAUSIBLE_BRAIN_HU[1]:
        report.refuse(Refusal.IMPLAUSIBLE_HU, text)
        return None
    if not BRAIN_HU[0] <= median <= BRAIN_HU[1]:
        report.note("brain_density", text)
    return median


def _judge_contrast(report: QualityReport, sinus: NDArray[np.float64], brain: float) -> None:
    if len(sinus) < SINUS_SLICES:
        return
    median = float(np.median(sinus))
    text = f"The sagittal sinus measures {median:.0f} HU, brain {brain:.0f}"
    if median >= SINUS_HU and median - brain >= SINUS_OVER_BRAIN_HU:
        report.refuse(Refusal.CONTRAST, f"{text}; without contrast it stays below {SINUS_HU:.0f}.")
    elif median >= BRIGHT_SINUS_HU:
        report.note("bright_sinus", f"{text}: thick blood, a clot, or a little contrast.")


def _judge_metal(report: QualityReport, whole_ml: float, deep_ml: float) -> None:
    if deep_ml >= DEEP_METAL_ML:
        text = f"{deep_ml:.2f} mL of metal inside the skull, limit {DEEP_METAL_ML} mL."
        report.refuse(Refusal.ARTEFACT, text)
    elif whole_ml >= METAL_ML:
        report.note("metal", f"{whole_ml:.2f} mL of metal in or on the skull; an operation is likely.")


def _judge_sharpness(report: QualityReport, edge: float, noise: float) -> None:
    if edge > EDGE_MM:
        text = f"The outline of the head is smeared over {edge:.1f} mm, usual is 2: motion, or thick hair."
        report.note("motion", text)
    if noise > NOISE_HU:
        report.note("noise", f"Pixel noise of {noise:.0f} HU; above {NOISE_HU:.0f} faint changes drown.")
