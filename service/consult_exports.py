"""Consults as they leave the hub: one whole, as JSON, and a list, as a table."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from service.case_numbers import case_number
from service.consult_clock import Due
from service.consult_details import Advice, ConsultDetails, Outcome
from service.consult_messages import ConsultMessage
from service.consult_states import ConsultState
from service.consults import Consult
from service.specialties import Specialty
from service.spreadsheets import harmless


class MessageOut(BaseModel):
    """One message."""

    hospital: str | None
    written_by: str
    at: datetime
    text: str
    slices: list[int] = Field(description="numbers of slices, 1 the most inferior")


class ConsultOut(BaseModel):
    """One consult; nothing in it but the free texts could tell who the patient is."""

    id: int
    case: str
    hospital: str = Field(description="who asks")
    to: str = Field(description="who is asked")
    specialty: Specialty
    state: ConsultState
    question: str
    details: ConsultDetails
    advice: Advice | None
    outcome: Outcome | None
    ending: str = Field(description="what came of it, or why it was taken back")
    asked_by: str
    asked_at: datetime
    open_due_at: datetime
    opened_by: str
    opened_at: datetime | None
    opened_late: bool
    accepted_by: str
    accepted_at: datetime | None
    advice_due_at: datetime
    answered_by: str
    answered_at: datetime | None
    advised_late: bool
    ended_by: str
    ended_at: datetime | None


class ConsultWhole(ConsultOut):
    """One consult with its thread and what may be done next; this is also its export."""

    study: str | None = Field(description="Study Instance UID; null for who does not see the study any more")
    messages: list[MessageOut]
    next: list[str] = Field(description="what the reader may do")


SAME = tuple(name for name in ConsultOut.model_fields if name in Consult.__mapper__.attrs)
"""Fields that are columns of the row under the same name; some are replaced below by what they hold."""
COLUMNS = tuple(
    name for name in ConsultOut.model_fields if name not in ("question", "details", "advice", "ending")
)


def message_out(message: ConsultMessage) -> MessageOut:
    """A message as it is shown."""
    return MessageOut(
        hospital=message.hcode,
        written_by=message.written_by,
        at=message.at,
        text=message.text,
        slices=message.slices,
    )


def consult_columns(consult: Consult, due: Due) -> dict[str, Any]:
    """The fields of `ConsultOut`; `due` is how the consult stands against the clock."""
    return {
        **{name: getattr(consult, name) for name in SAME},
        "case": case_number(consult.study_id),
        "hospital": consult.hcode,
        "to": consult.to_hcode,
        "details": ConsultDetails.model_validate(consult.details),
        "advice": Advice.model_validate(consult.advice) if consult.advice else None,
        "open_due_at": due.open_at,
        "opened_late": due.opened_late,
        "advice_due_at": due.advice_at,
        "advised_late": due.advised_late,
    }


def consults_csv(consults: Iterable[ConsultOut]) -> str:
    """A table of consults without their free texts, with a byte order mark for spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for each in consults:
        row = each.model_dump(mode="json")
        writer.writerow([harmless(row[name]) for name in COLUMNS])
    return "\ufeff" + text.getvalue()
