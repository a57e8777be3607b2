"""What the sending doctor tells: bounds, time zones, and the citizen id that warns and never refuses."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.referral_details import ReferralDetails, citizen_id_warning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nihss", 43),
        ("gcs", 2),
        ("systolic", 400),
        ("inr", 0),
        ("icd10", "stroke"),
        ("onset_at", datetime(2026, 11, 28, 1, 0)),
        ("unheard_of", 1),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        ReferralDetails.model_validate({name: value})


def test_pressures_are_in_order() -> None:
    with pytest.raises(ValidationError, match="diastolic 120 is above systolic 90"):
        ReferralDetails.model_validate({"systolic": 90, "diastolic": 120})


def test_nothing_told_is_nothing_said() -> None:
    told = ReferralDetails().model_dump(exclude_defaults=True)
    assert told == {}


@given(st.text(alphabet="0123456789", min_size=12, max_size=12))
def test_exactly_one_check_digit_passes(digits: str) -> None:
    assert sum(not citizen_id_warning(f"{digits}{last}") for last in range(10)) == 1


@pytest.mark.parametrize(
    ("text", "warns"), [("2650591524440", False), ("1471445676574", True), ("123", True), ("", False)]
)
def test_known_numbers(text: str, warns: bool) -> None:
    assert citizen_id_warning(text) is warns
    assert ReferralDetails.model_validate({"citizen_id": text}).citizen_id == text


def test_blanks_and_dashes_of_a_citizen_id_are_dropped() -> None:
    assert ReferralDetails(citizen_id="2-6505-91524 44 0").citizen_id == "2650591524440"


@given(st.text(max_size=20) | st.text(alphabet="0123456789 -", max_size=20))
def test_any_citizen_id_is_taken_and_at_most_warned_of(text: str) -> None:
    taken = ReferralDetails(citizen_id=text).citizen_id
    right = len(taken) == 13 and taken.isascii() and taken.isdecimal()
    assert taken == "" or right or citizen_id_warning(taken)


def test_what_no_database_takes_is_dropped_from_words() -> None:
    told = ReferralDetails(history="found\0 at six", allergies="none\0")
    assert (told.history, told.allergies) == ("found at six", "none")
