"""ReferralDetails: what the sending doctor tells of the patient, checked value by value.

Times have a time zone. Whatever is not known is left out: no default here looks like a finding.
"""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, field_validator

from service.arrivals import clean
from service.condition import Condition, Paragraph

CITIZEN_ID_DIGITS = 13

Line = Annotated[str, AfterValidator(clean), StringConstraints(strip_whitespace=True, max_length=200)]


class Care(StrEnum):
    """What was done so that the patient can travel (43 files, CARE_REFER)."""

    AIRWAY = "airway"
    BREATHING = "breathing"
    IV_LINE = "iv_line"
    BLEEDING = "bleeding"
    SPLINT = "splint"
    OTHER = "other"


class ReferralDetails(Condition):
    """The clinical part of a referral (standards 4.4)."""

    diagnosis: Line = Field(default="", description="in words")
    icd10: Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)] = Field(
        default="", pattern=r"^([A-Za-z][0-9]{2}(\.?[0-9]{1,2})?)?$", examples=["I61.0"]
    )
    request: Paragraph = Field(default="", description="what is asked of the receiving hospital, and why")
    history: Paragraph = ""
    treatment: Paragraph = Field(default="", description="given so far")
    care: list[Care] = Field(default_factory=list, max_length=20, description="done before the transfer")
    last_known_well_at: AwareDatetime | None = None
    platelets: int | None = Field(default=None, ge=0, le=3_000_000, description="per microlitre")
    allergies: Line = ""
    escort: Line = Field(default="", description="who travels with the patient, and lines and tubes")
    right: Line = Field(default="", description="the patient's health scheme")
    citizen_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20)] = ""
    doctor: Line = ""
    licence: Line = ""
    telephone: Line = ""

    @field_validator("care")
    @classmethod
    def _once(cls, done: list[Care]) -> list[Care]:
        return [each for each in Care if each in done]

    @field_validator("citizen_id")
    @classmethod
    def _digits(cls, text: str) -> str:
        return re.sub(r"[\s-]", "", text)


def citizen_id_warning(text: str) -> bool:
    """Whether a citizen id looks wrong: not 13 digits, or another check digit.

    It is a warning and no more: foreigners and newborns have numbers that fail. Standards 3.2.
    """
    if not text:
        return False
    if not re.fullmatch(r"[0-9]{13}", text):
        return True
    total = sum(int(digit) * (CITIZEN_ID_DIGITS - place) for place, digit in enumerate(text[:12]))
    return (11 - total % 11) % 10 != int(text[12])
