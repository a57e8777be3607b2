"""The words for stroke on CT that every folder shares: what may be found, decided, and refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class StrokeType(StrEnum):
    """One output of the network; the order is the order of its logits."""

    ANY_ICH = "any_ich"
    IPH = "iph"
    IVH = "ivh"
    SAH = "sah"
    SDH = "sdh"
    EDH = "edh"
    ACUTE_ISCHAEMIA = "acute_ischaemia"
    HYPERDENSE_ARTERY = "hyperdense_artery"
    OLD_INFARCT = "old_infarct"
    MASS_EFFECT = "mass_effect"


class Decision(StrEnum):
    """What is said of one stroke type; silence is not among the answers."""

    FLAG = "flag"
    CLEAR = "clear"
    REVIEW = "review"
    NOT_ASSESSED = "not_assessed"


class Refusal(StrEnum):
    """Why a study is not assessed at all, as a machine reads it."""

    NOT_CT = "not_ct"
    NO_IMAGES = "no_images"
    NOT_HEAD = "not_head"
    UNDER_18 = "under_18"
    CONTRAST = "contrast"
    MISSING_SLICES = "missing_slices"
    TOO_FEW_SLICES = "too_few_slices"
    ARTEFACT = "artefact"
    POST_SURGERY = "post_surgery"
    UNDECODABLE = "undecodable"
    NOT_AXIAL = "not_axial"
    NO_GEOMETRY = "no_geometry"
    IMPLAUSIBLE_HU = "implausible_hu"


@dataclass(frozen=True, slots=True)
class Note:
    """One remark on the quality of the input: a code for machines, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Score:
    """What the network says of one stroke type in one study."""

    stroke_type: StrokeType
    probability: float | None
    """Calibrated; None where the package is not proven for this type."""
    threshold: float | None
    decision: Decision
    reason: str
    """Why this decision, in words that name the numbers compared."""


@dataclass(frozen=True, slots=True)
class SliceScore:
    """Uncalibrated evidence in one slice, inferior to superior."""

    sop_instance_uid: str
    z_mm: float
    probabilities: Mapping[StrokeType, float]
    box: tuple[float, float, float, float] | None = None
    """Of the suspected bleed in fractions of the image: left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one study."""

    model_name: str
    model_digest: str
    decision: Decision
    """FLAG if any type is flagged, else REVIEW if the model abstains, else CLEAR."""
    scores: tuple[Score, ...]
    slices: tuple[SliceScore, ...]
    notes: tuple[Note, ...]
    series_instance_uid: str
    engine: str
    seconds: Mapping[str, float]
    """Wall time by step: load, infer."""
    distance: float | None = None
    """Of the study's embedding from those that the package knows."""
    usual_distance: float | None = None
    """Beyond it a study is unusual to the package."""
