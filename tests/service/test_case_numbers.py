"""Case numbers: one for each row, and no slip of the pen leads to another patient."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.case_numbers import LONGEST, case_number, check_digit, study_of
from service.errors import BadRequest

NUMBERS = st.integers(1, 10**LONGEST - 1)


@given(NUMBERS)
def test_a_number_leads_back_to_its_row(number: int) -> None:
    written = case_number(number)
    assert study_of(written) == number
    thai = written.translate({ord(str(n)): chr(ord("๐") + n) for n in range(10)})
    assert study_of(f" {thai.replace('-', ' - ')} ") == number


@given(NUMBERS, st.data())
def test_one_wrong_digit_is_told(number: int, data: st.DataObject) -> None:
    written = case_number(number)
    places = [at for at, sign in enumerate(written) if sign.isdigit()]
    at = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from([each for each in "0123456789" if each != written[at]]))
    with pytest.raises(BadRequest):
        study_of(written[:at] + digit + written[at + 1 :])


def test_nearly_every_swap_of_neighbours_is_told() -> None:
    told = all_swaps = 0
    for number in range(1, 3000):
        digits = case_number(number).replace("-", "")
        for at in range(len(digits) - 1):
            if digits[at] == digits[at + 1]:
                continue
            swapped = digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]
            all_swaps += 1
            try:
                study_of(swapped)
            except BadRequest:
                told += 1
    assert told / all_swaps > 0.97


def test_the_published_example() -> None:
    assert check_digit("00200667308") == 5
    assert check_digit("0794") == 5


@pytest.mark.parametrize("text", ["", "-", "12", "abc", "00000-2", "1" * 30, "00123-", "00-123-4", "1.2.3"])
def test_what_is_no_case_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="no case number"):
        study_of(text)
