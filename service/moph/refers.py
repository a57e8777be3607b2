"""Refer: what the hub knows of one referral as values, before any of the ministry's files is made of it.

Nothing here is read from a row or the network, and nothing is made up: what nobody told is empty.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.referral_details import ReferralDetails
from service.referral_states import Reason, ReferralState


class Ptypedis(StrEnum):
    """PTYPEDIS: the group of diseases that the ministry follows referrals by (standards 3.4)."""

    STEMI = "01"
    STROKE = "02"
    TRAUMA = "03"
    CANCER = "04"
    SEPSIS = "05"
    PREGNANCY = "06"
    NEWBORN = "07"
    OTHER = "99"


GROUPS: tuple[tuple[Ptypedis, str], ...] = (
    (Ptypedis.STEMI, r"I2[12]"),
    (Ptypedis.STROKE, r"I6[0-4]|G4[56]"),
    (Ptypedis.TRAUMA, r"[ST]"),
    (Ptypedis.CANCER, r"C|D0"),
    (Ptypedis.SEPSIS, r"A4[01]"),
    (Ptypedis.PREGNANCY, r"O"),
    (Ptypedis.NEWBORN, r"P"),
)
"""By the beginning of the ICD-10 code; I69, what an old stroke left, is no acute stroke (standards 4.1)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The referral that this one goes on from."""

    referid: str
    hospcode: str


@dataclass(frozen=True, slots=True)
class HeadCt:
    """The CT that the patient is referred with; the report is a radiologist's, never the AI's."""

    at: datetime | None
    name: str
    report: str = ""
    reported_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it at the receiving hospital."""

    state: ReferralState
    reason: Reason | None
    words: str
    """The reason in words, with what the person wrote to it."""
    hn: str
    arrived_at: datetime | None
    reply: str
    replied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refer:
    """One referral from its request on."""

    referid: str
    """The sending hospital's own number, such as 69-000123: at most 10 characters, as the file takes them."""
    hospcode: str
    destination: str
    referred_at: datetime
    updated_at: datetime
    urgency: int
    """1 life-threatening to 5 non-acute."""
    hn: str
    """At the sending hospital."""
    served_at: datetime | None
    """When the patient came to the sending hospital."""
    details: ReferralDetails
    origin: Origin | None
    sends_back: bool
    """Whether it goes to the hospital that the patient came from."""
    stroke: bool
    """Whether a stroke is what somebody found, or asks to have treated."""
    ct: HeadCt | None
    outcome: Outcome

    @property
    def referid_province(self) -> str:
        """As nRefer makes it: hospital code and number."""
        return self.hospcode + self.referid

    @property
    def icd10(self) -> str:
        """The code without its dot, as the 43 files want it."""
        return self.details.icd10.replace(".", "")

    @property
    def disease_group(self) -> Ptypedis | None:
        """By the code; without one by what is treated; None where neither says anything."""
        if not self.icd10:
            return Ptypedis.STROKE if self.stroke else None
        return next((group for group, start in GROUPS if re.match(start, self.icd10)), Ptypedis.OTHER)

    @property
    def findings(self) -> Sequence[tuple[str, int]]:
        """What was measured or scored at the bedside, in the letter's order."""
        told = self.details
        values = (
            ("SBP (mmHg)", told.systolic),
            ("DBP (mmHg)", told.diastolic),
            ("GCS", told.gcs),
            ("NIHSS", told.nihss),
        )
        return [(name, value) for name, value in values if value is not None]
