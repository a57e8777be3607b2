"""The closed words of a review, which of them fit together, and in what a review differs from the AI."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from model.stroke import Decision, StrokeType
from service.errors import BadRequest

BLEEDS = frozenset({StrokeType.IPH, StrokeType.IVH, StrokeType.SAH, StrokeType.SDH, StrokeType.EDH})


class Verdict(StrEnum):
    """What a radiologist says of a result."""

    AGREE = "agree"
    CORRECT = "correct"
    NOT_ASSESSABLE = "not_assessable"
    WITHDRAWN = "withdrawn"
    """Takes the reviewer's own last word back."""


class Side(StrEnum):
    """Of the patient, not of the picture."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    MIDLINE = "midline"


class Hindrance(StrEnum):
    """Why nobody can judge the images."""

    MOTION = "motion"
    METAL = "metal"
    INCOMPLETE = "incomplete"
    CONTRAST = "contrast"
    POST_OPERATIVE = "post_operative"
    OTHER = "other"


class Disagreement(StrEnum):
    """In what a radiologist differs from the AI: what the ML team looks at first."""

    MISSED = "missed"
    """The AI said clear, the reviewer sees something."""
    FALSE_FLAG = "false_flag"
    OTHER_TYPE = "other_type"
    ABSTAINED = "abstained"
    """The AI would not say; the reviewer did."""
    NOT_ASSESSABLE = "not_assessable"
    """The AI answered on images that the reviewer calls not assessable."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stroke type is seen."""

    stroke_type: StrokeType
    side: Side | None = None
    first_slice: int | None = None
    """0 is the most inferior slice; both ends are given, or neither."""
    last_slice: int | None = None


def check_words(
    verdict: Verdict,
    *,
    present: Collection[StrokeType],
    places: Sequence[Place],
    hindrance: Hindrance | None,
    decision: Decision,
    slices: int,
) -> None:
    """Refuse a review whose words contradict one another.

    Args:
        verdict: The reviewer's.
        present: The stroke types that the reviewer names.
        places: Where they are.
        hindrance: Why the images cannot be judged.
        decision: The AI's.
        slices: How many slices the AI looked at.

    Raises:
        BadRequest: the text says what contradicts what.
    """
    if verdict is Verdict.WITHDRAWN:
        raise BadRequest("a review is taken back by its own request, not by a verdict")
    if verdict is not Verdict.CORRECT and (present or places):
        raise BadRequest(f"the verdict {verdict.value!r} names no stroke types; send 'correct' to name them")
    if verdict is Verdict.AGREE and decision not in (Decision.FLAG, Decision.CLEAR):
        raise BadRequest("the AI abstained, so say what is there with 'correct'")
    if (hindrance is None) is (verdict is Verdict.NOT_ASSESSABLE):
        raise BadRequest("a hindrance is given with the verdict 'not_assessable', and only with it")
    for place in places:
        _check_slices(place, slices)


def disagreement_of(
    verdict: Verdict, *, decision: Decision, flagged: Iterable[StrokeType], present: Iterable[StrokeType]
) -> Disagreement | None:
    """In what the review differs from the AI; None where it does not."""
    if verdict is Verdict.NOT_ASSESSABLE:
        return Disagreement.NOT_ASSESSABLE
    if verdict is not Verdict.CORRECT:
        return None
    if decision not in (Decision.FLAG, Decision.CLEAR):
        return Disagreement.ABSTAINED
    said, seen = _with_any(flagged), _with_any(present)
    if said == seen:
        return None
    if not said:
        return Disagreement.MISSED
    return Disagreement.OTHER_TYPE if seen else Disagreement.FALSE_FLAG


def _with_any(types: Iterable[StrokeType]) -> frozenset[StrokeType]:
    """Any kind of haemorrhage is a haemorrhage, whether or not it was also said so."""
    named = frozenset(types)
    return named | {StrokeType.ANY_ICH} if named & BLEEDS else named


def _check_slices(place: Place, slices: int) -> None:
    first, last = place.first_slice, place.last_slice
    if first is None and last is None:
        return
    if first is None or last is None or not 0 <= first <= last < slices:
        kind = place.stroke_type.value
        raise BadRequest(f"slices {first} to {last} for {kind}; the study's are numbered 0 to {slices - 1}")
