"""Consults over HTTP: ask about a study, accept, answer, write, close; and take them away as data."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import Adviser, Consulter, Look, Work, note_read
from service.api.problems import responses
from service.api.schemas import UID_EXAMPLE
from service.consult_clock import consult_clock
from service.consult_details import Advice, ConsultDetails, Outcome
from service.consult_exports import (
    ConsultOut,
    ConsultWhole,
    MessageOut,
    consult_columns,
    consults_csv,
    message_out,
)
from service.consult_messages import thread_of, write_message
from service.consult_states import ConsultSide, ConsultState, consult_verbs
from service.consults import (
    Consult,
    accept,
    answer,
    ask,
    cancel,
    close,
    find_consult,
    list_consults,
    note_opened,
    sides_of,
)
from service.db import session_scope
from service.sight import find_study, sees
from service.specialties import Specialty
from service.studies import load_study

router = APIRouter(
    prefix="/api/v1/consults", tags=["consults"], responses=responses(401, 403, 404, 409, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=2**53)]


class ConsultIn(BaseModel):
    """What is asked, about which study, of whom."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "study": UID_EXAMPLE,
                    "to": "10671",
                    "specialty": "neurology",
                    "question": "Thrombolysis?",
                    "details": {
                        "onset": "witnessed",
                        "onset_at": "2026-11-22T12:10:00+07:00",
                        "nihss": 14,
                        "gcs": 13,
                        "systolic": 168,
                        "diastolic": 92,
                        "glucose": 132,
                        "anticoagulant": "none",
                    },
                }
            ]
        },
    )

    study: str = Field(max_length=64)
    to: str = Field(pattern=r"^\d{5}$")
    specialty: Specialty
    question: str = Field(max_length=4000)
    details: ConsultDetails = ConsultDetails()


class ClosingIn(BaseModel):
    """What came of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"outcome": "thrombolysed"}]})

    outcome: Outcome
    ending: str = Field(default="", max_length=4000)


class CancellingIn(BaseModel):
    """Why it is taken back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "patient improved"}]}
    )

    reason: str = Field(max_length=4000)


class MessageIn(BaseModel):
    """Words, and slices that they point to."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "see here", "slices": [12]}]}
    )

    text: str = Field(default="", max_length=4000)
    slices: list[int] = Field(default_factory=list, max_length=8)


class ConsultPage(BaseModel):
    """Consults, newest first; send `next` as `before` for the page that follows."""

    consults: list[ConsultOut]
    next: int | None


Before = Annotated[int | None, Query(ge=1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("")
def read_consults(
    request: Request,
    viewer: Consulter,
    session: Look,
    study: Annotated[str | None, Query(max_length=64, description="Study Instance UID")] = None,
    state: ConsultState | None = None,
    side: ConsultSide | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> ConsultPage:
    """The consults that the viewer's hospital asked or was asked."""
    number = None if study is None else find_study(session, study, viewer).id
    found = list_consults(
        session, viewer, study_id=number, state=state, side=side, before=before, limit=limit
    )
    page = [_out(request, each) for each in found]
    note_read(request, session, viewer, "consult.list", study_id=number, detail={"consults": len(page)})
    return ConsultPage(consults=page, next=found[-1].id if len(found) == limit else None)


@router.get(
    ".csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "The same as a table, without free texts"}},
)
def read_consults_csv(
    request: Request, viewer: Consulter, session: Look, before: Before = None, limit: Limit = 200
) -> Response:
    """The same as a table."""
    page = [_out(request, each) for each in list_consults(session, viewer, before=before, limit=limit)]
    note_read(request, session, viewer, "consult.list", detail={"consults": len(page)})
    headers = {"Content-Disposition": 'attachment; filename="consults.csv"'}
    return Response(consults_csv(page), media_type="text/csv", headers=headers)


@router.post("", status_code=201)
def create_consult(body: ConsultIn, request: Request, viewer: Consulter, session: Work) -> ConsultWhole:
    """Ask a hospital about a study of one's own; its people on call are told, and see the study."""
    study = find_study(session, body.study, viewer)
    consult = ask(
        session,
        viewer,
        study,
        to_hcode=body.to,
        specialty=body.specialty,
        question=body.question,
        details=body.details,
    )
    return whole(request, session, consult, viewer)


@router.get("/{number}")
def read_consult(request: Request, number: Number, viewer: Consulter, session: Look) -> ConsultWhole:
    """One consult with its thread. At the asked hospital the first look stops the clock."""
    consult = find_consult(session, number, viewer)
    made = whole(request, session, consult, viewer)
    note_read(request, session, viewer, "consult.read", study_id=consult.study_id, detail={"consult": number})
    with session_scope(request.app.state.engine) as writing:
        note_opened(writing, find_consult(writing, number, viewer, lock=True), viewer)
    return made


@router.post("/{number}/accept")
def accept_consult(number: Number, request: Request, viewer: Adviser, session: Work) -> ConsultWhole:
    """Say that one has it."""
    return whole(request, session, accept(session, number, viewer), viewer)


@router.post("/{number}/answer")
def answer_consult(
    number: Number, body: Advice, request: Request, viewer: Adviser, session: Work
) -> ConsultWhole:
    """Give the advice; the asking hospital is told."""
    return whole(request, session, answer(session, number, viewer, body), viewer)


@router.post("/{number}/close")
def close_consult(
    number: Number, body: ClosingIn, request: Request, viewer: Consulter, session: Work
) -> ConsultWhole:
    """Say what came of it; the asked hospital sees the study no more."""
    return whole(request, session, close(session, number, viewer, body.outcome, body.ending), viewer)


@router.post("/{number}/cancel")
def cancel_consult(
    number: Number, body: CancellingIn, request: Request, viewer: Consulter, session: Work
) -> ConsultWhole:
    """Take the question back; the asked hospital sees the study no more."""
    return whole(request, session, cancel(session, number, viewer, body.reason), viewer)


@router.post("/{number}/messages", status_code=201)
def create_message(number: Number, body: MessageIn, viewer: Consulter, session: Work) -> MessageOut:
    """Write to the other side, with slices to look at."""
    return message_out(write_message(session, number, viewer, body.text, body.slices))


def whole(request: Request, session: Session, consult: Consult, viewer: Viewer) -> ConsultWhole:
    """A consult with its thread, as the viewer may see it."""
    study = load_study(session, consult.study_id, lock=False)
    return ConsultWhole(
        **_columns(request, consult),
        study=study.study_instance_uid if sees(session, viewer, study) else None,
        messages=[message_out(each) for each in thread_of(session, consult)],
        next=[verb.value for verb in consult_verbs(consult.state, sides_of(consult, viewer))],
    )


def _out(request: Request, consult: Consult) -> ConsultOut:
    return ConsultOut(**_columns(request, consult))


def _columns(request: Request, consult: Consult) -> dict[str, Any]:
    clock = consult_clock(request.app.state.settings, request.app.state.engine)
    return consult_columns(consult, clock.due(consult))
