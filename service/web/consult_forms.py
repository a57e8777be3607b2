"""What people type into the consult pages, read with an error that names it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.consult_details import ConsultDetails
from service.errors import BadRequest
from service.specialties import Specialty
from service.web.words import THAILAND

FORM = "%Y-%m-%dT%H:%M"
Model = TypeVar("Model", bound=BaseModel)


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


def checked(model: type[Model], values: Mapping[str, Any]) -> Model:
    """The values as the model takes them.

    Raises:
        BadRequest: one is out of range; the text names it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadRequest(f"{place}: {first['msg']}".removeprefix(": ")) from None


def thai_moment(text: str) -> datetime:
    """What a browser's field for a local time sends, in Thailand.

    Raises:
        BadRequest: it is no moment.
    """
    try:
        return datetime.strptime(text.strip(), FORM).replace(tzinfo=THAILAND)
    except ValueError:
        raise BadRequest(f"{text!r} is no moment; write it as 2026-11-22T16:00") from None


def slice_numbers(text: str) -> list[int]:
    """Numbers between commas or spaces.

    Raises:
        BadRequest: something else is there.
    """
    parts = re.split(r"[\s,]+", text.strip()) if text.strip() else []
    if not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise BadRequest(f"{text[:40]!r} are no slices; write their numbers as 12, 13")
    return [int(part) for part in parts]
