"""Case number: how people name a study on the telephone, in an alert or a letter, without naming the patient.

The study's row number with a check digit by ISO/IEC 7064 MOD 11,10, which catches every single wrong digit
and nearly every two that were swapped. Nothing of the patient is in it, and alone it opens nothing.
"""

import re

from service.errors import BadRequest

SHORTEST = 5
"""Digits before the check digit; numbers are filled with zeros from the left."""
LONGEST = 18

_WRITTEN = re.compile(rf"\s*(\d{{1,{LONGEST}}})\s*-?\s*(\d)\s*")


def case_number(study_id: int) -> str:
    """The case number of a study's row, as `00123-7`.

    Args:
        study_id: The row's number, from 1.
    """
    assert study_id > 0, study_id
    digits = f"{study_id:0{SHORTEST}d}"
    return f"{digits}-{check_digit(digits)}"


def study_of(text: str) -> int:
    """The row number that a case number means; Thai digits, and spaces for the dash, are taken too.

    Raises:
        BadRequest: it is no case number, or a digit is wrong.
    """
    if (match := _WRITTEN.fullmatch(text)) is None:
        raise BadRequest(f"{text[:40]!r} is no case number; one looks like {case_number(123)}")
    digits, check = (str(int(part)).zfill(len(part)) for part in match.groups())
    if check_digit(digits.zfill(SHORTEST)) != int(check) or int(digits) == 0:
        raise BadRequest(f"{text[:40]!r} is no case number: a digit is wrong")
    return int(digits)


def check_digit(digits: str) -> int:
    """The digit that belongs behind these, by ISO/IEC 7064 MOD 11,10."""
    product = 10
    for digit in digits:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (11 - product) % 10
