"""What people type into the consult pages, read with an error that names it."""

import re
from typing import Any

from pydantic import BaseModel

from service.consult_details import ConsultDetails
from service.errors import BadRequest
from service.specialties import Specialty
from service.web.fields import checked, thai_moment


class AskForm(BaseModel):
    """What the asking form sends; an empty field is not known."""

    to: str = ""
    specialty: Specialty = Specialty.NEUROLOGY
    question: str = ""
    onset: str = ""
    onset_at: str = ""
    nihss: str = ""
    gcs: str = ""
    systolic: str = ""
    diastolic: str = ""
    glucose: str = ""
    anticoagulant: str = ""
    inr: str = ""
    last_dose_at: str = ""

    def details(self) -> ConsultDetails:
        """The patient's condition.

        Raises:
            BadRequest: a value is out of range.
        """
        told = {name: getattr(self, name).strip() for name in ConsultDetails.model_fields}
        values: dict[str, Any] = {name: value for name, value in told.items() if value}
        for name in ("onset_at", "last_dose_at"):
            if name in values:
                values[name] = thai_moment(values[name])
        return checked(ConsultDetails, values)


def slice_numbers(text: str) -> list[int]:
    """Numbers between commas or spaces.

    Raises:
        BadRequest: something else is there.
    """
    parts = re.split(r"[\s,]+", text.strip()) if text.strip() else []
    if not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise BadRequest(f"{text[:40]!r} are no slices; write their numbers as 12, 13")
    return [int(part) for part in parts]
