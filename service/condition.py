"""Condition: how a patient with a stroke is, as a doctor tells it in a consult or a referral; value by value.

Times have a time zone. Whatever is not known is left out: no default here looks like a finding.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from service.arrivals import clean

Paragraph = Annotated[str, AfterValidator(clean), StringConstraints(strip_whitespace=True, max_length=4000)]


class Anticoagulant(StrEnum):
    """Whether the patient takes something that thins the blood."""

    UNKNOWN = "unknown"
    NONE = "none"
    WARFARIN = "warfarin"
    DOAC = "doac"
    HEPARIN = "heparin"
    ANTIPLATELET = "antiplatelet"


class Condition(BaseModel):
    """What both hospitals need to know before they decide (standards 4.2, 4.3)."""

    model_config = ConfigDict(extra="forbid")

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
