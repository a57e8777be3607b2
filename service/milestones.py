"""Milestone and Interval: the times that count in a stroke, and how long one should take from another."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Milestone(StrEnum):
    """Something that happens to a patient with a stroke at one moment, in the usual order."""

    LAST_KNOWN_WELL = "last_known_well"
    ONSET = "onset"
    DOOR = "door"
    """The patient came to the hospital that made the CT."""
    PHYSICIAN = "physician"
    STROKE_CALL = "stroke_call"
    """The stroke team was called."""
    CT_ORDERED = "ct_ordered"
    SCAN = "scan"
    """The first image was made."""
    FIRST_SLICE = "first_slice"
    """The first image reached the hub."""
    LAST_SLICE = "last_slice"
    RESULT = "result"
    """The AI answered."""
    ALERT = "alert"
    ALERT_ANSWERED = "alert_answered"
    OPENED = "opened"
    """Somebody first looked at the study after the AI had answered."""
    READ = "read"
    """A radiologist agreed, corrected, or could not assess it."""
    REPORT = "report"
    CONSULT_ASKED = "consult_asked"
    CONSULT_ACCEPTED = "consult_accepted"
    CONSULT_ANSWERED = "consult_answered"
    NEEDLE = "needle"
    """Bolus of the thrombolytic."""
    REFERRAL_REQUESTED = "referral_requested"
    REFERRAL_ACCEPTED = "referral_accepted"
    DEPARTED = "departed"
    ARRIVED = "arrived"
    PUNCTURE = "puncture"
    """Groin puncture for a thrombectomy."""
    COMPLETED = "completed"
    """The receiving hospital wrote back."""


TYPED: Final = frozenset(
    {
        Milestone.LAST_KNOWN_WELL,
        Milestone.ONSET,
        Milestone.DOOR,
        Milestone.PHYSICIAN,
        Milestone.STROKE_CALL,
        Milestone.CT_ORDERED,
        Milestone.NEEDLE,
        Milestone.PUNCTURE,
    }
)
"""What only people know the time of; all else the hub hears of."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From one milestone to another."""

    word: str
    start: Milestone
    end: Milestone
    minutes: int | None
    """Within which it should be done; None where nobody has set a target."""
    source: str
    """Who set the target."""


_KORAT = "Thai hospital standard (Theppharat, Korat)"
_FLOW = "flow of this region's tele-stroke, configurable"

INTERVALS: Final = (
    Interval("onset_door", Milestone.ONSET, Milestone.DOOR, None, ""),
    Interval("door_physician", Milestone.DOOR, Milestone.PHYSICIAN, 10, _KORAT),
    Interval("door_scan", Milestone.DOOR, Milestone.SCAN, 25, _KORAT),
    Interval("last_slice_result", Milestone.LAST_SLICE, Milestone.RESULT, 5, _FLOW),
    Interval("alert_answered", Milestone.ALERT, Milestone.ALERT_ANSWERED, 10, _FLOW),
    Interval("result_opened", Milestone.RESULT, Milestone.OPENED, None, ""),
    Interval("door_read", Milestone.DOOR, Milestone.READ, 45, "AHA 2013"),
    Interval("consult_accepted", Milestone.CONSULT_ASKED, Milestone.CONSULT_ACCEPTED, 10, _FLOW),
    Interval("consult_answered", Milestone.CONSULT_ASKED, Milestone.CONSULT_ANSWERED, 20, _FLOW),
    Interval("door_needle", Milestone.DOOR, Milestone.NEEDLE, 60, _KORAT),
    Interval("onset_needle", Milestone.ONSET, Milestone.NEEDLE, 270, "4.5 hours, rt-PA"),
    Interval("referral_accepted", Milestone.REFERRAL_REQUESTED, Milestone.REFERRAL_ACCEPTED, 15, _FLOW),
    Interval("door_in_door_out", Milestone.DOOR, Milestone.DEPARTED, 90, _FLOW),
    Interval("transport", Milestone.DEPARTED, Milestone.ARRIVED, None, ""),
    Interval("scan_puncture", Milestone.SCAN, Milestone.PUNCTURE, 90, "SNIS, ideal"),
)
"""In the order of a patient's way."""
