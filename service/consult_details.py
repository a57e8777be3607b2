"""What is told when a consult is asked for, and what the advice says; checked value by value.

Times have a time zone. Whatever is not known is left out: no default here looks like a finding.
"""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.condition import Condition, Paragraph


class Onset(StrEnum):
    """What is known of the beginning."""

    UNKNOWN = "unknown"
    WITNESSED = "witnessed"
    LAST_KNOWN_WELL = "last_known_well"
    """Found with it; `onset_at` is when the patient was last known well."""
    WAKE_UP = "wake_up"


class ConsultDetails(Condition):
    """The patient's condition when advice is asked for."""

    onset: Onset = Onset.UNKNOWN


class Thrombolysis(StrEnum):
    """What is advised on thrombolysis."""

    YES = "yes"
    NO = "no"
    CONDITIONS = "conditions"
    """Yes, if; the conditions are said in words."""


class Imaging(StrEnum):
    """What further pictures are wanted."""

    REPEAT_CT = "repeat_ct"
    CTA = "cta"
    CTP = "ctp"
    MRI = "mri"


class Advice(BaseModel):
    """The answer."""

    model_config = ConfigDict(extra="forbid")

    thrombolysis: Thrombolysis
    conditions: Paragraph = ""
    transfer: bool
    imaging: list[Imaging] = Field(default_factory=list, max_length=len(Imaging))
    text: Paragraph = Field(default="", description="in words")

    @model_validator(mode="after")
    def conditions_are_said(self) -> Self:
        """Who advises on conditions names them."""
        if self.thrombolysis is Thrombolysis.CONDITIONS and not self.conditions:
            msg = "thrombolysis on conditions needs the conditions in words"
            raise ValueError(msg)
        self.imaging = [each for each in Imaging if each in self.imaging]
        return self


class Outcome(StrEnum):
    """What came of it at the asking hospital."""

    THROMBOLYSED = "thrombolysed"
    TRANSFERRED = "transferred"
    TREATED_HERE = "treated_here"
    PALLIATIVE = "palliative"
    NO_STROKE = "no_stroke"
    DIED = "died"
    OTHER = "other"
