"""What is told when a consult is asked for, and what the advice says; checked value by value.

Times have a time zone. Whatever is not known is left out: no default here looks like a finding.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]


class Anticoagulant(StrEnum):
    """Whether the patient takes something that thins the blood."""

    UNKNOWN = "unknown"
    NONE = "none"
    WARFARIN = "warfarin"
    DOAC = "doac"
    HEPARIN = "heparin"
    ANTIPLATELET = "antiplatelet"


class Onset(StrEnum):
    """What is known of the beginning."""

    UNKNOWN = "unknown"
    WITNESSED = "witnessed"
    LAST_KNOWN_WELL = "last_known_well"
    """Found with it; `onset_at` is when the patient was last known well."""
    WAKE_UP = "wake_up"


class ConsultDetails(BaseModel):
    """The patient's condition when advice is asked for (standards 4.2, 4.3)."""

    model_config = ConfigDict(extra="forbid")

    onset: Onset = Onset.UNKNOWN
    onset_at: AwareDatetime | None = None
    nihss: int | None = Field(default=None, ge=0, le=42)
    gcs: int | None = Field(default=None, ge=3, le=15)
    systolic: int | None = Field(default=None, ge=20, le=350, description="mmHg")
    diastolic: int | None = Field(default=None, ge=10, le=250, description="mmHg")
    glucose: int | None = Field(default=None, ge=5, le=2000, description="mg/dL")
    anticoagulant: Anticoagulant = Anticoagulant.UNKNOWN
    inr: float | None = Field(default=None, ge=0.1, le=30)
    last_dose_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def pressures_are_in_order(self) -> Self:
        """The diastolic pressure is the lower one."""
        if self.systolic is not None and self.diastolic is not None and self.diastolic > self.systolic:
            msg = f"diastolic {self.diastolic} is above systolic {self.systolic}"
            raise ValueError(msg)
        return self


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
