"""Fields of forms: what a browser sends, read into checked values, and moments as its fields want them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import BadRequest
from service.thai_time import THAILAND

FORM = "%Y-%m-%dT%H:%M"
"""Of `datetime-local`, which has no zone: people mean Thailand's clock."""
Model = TypeVar("Model", bound=BaseModel)


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
        return datetime.strptime(text.strip()[:16], FORM).replace(tzinfo=THAILAND)
    except ValueError:
        raise BadRequest(f"{text!r} is no moment; write it as 2026-11-22T16:00") from None


def as_field(moment: datetime) -> str:
    """A moment as such a field takes it."""
    return moment.astimezone(THAILAND).strftime(FORM)
