"""The consult pages: ask about a study, what was asked and is being asked, and the thread of one consult."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request, Response
from sqlalchemy.orm import Session

from service.accounts import Permission
from service.api.access import Adviser, Consulter, Look, Work, note_read
from service.case_numbers import case_number
from service.condition import Anticoagulant
from service.consult_clock import Due, consult_clock
from service.consult_details import (
    Advice,
    ConsultDetails,
    Imaging,
    Onset,
    Outcome,
    Thrombolysis,
)
from service.consult_messages import ConsultMessage, thread_of, write_message
from service.consult_states import OPEN, consult_verbs
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
from service.findings import analysis_of
from service.hospitals import hospital_names
from service.hubs import hub_of
from service.sight import find_own_study, sees
from service.specialties import Specialty
from service.studies import Study, load_study
from service.web.consult_forms import AskForm, slice_numbers
from service.web.fields import checked
from service.web.page import render, see_other, words_of
from service.web.study import slice_addresses
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Uid = Annotated[str, Path(max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**53)]
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One consult of the list."""

    consult: Consult
    case: str
    due: Due


@dataclass(frozen=True, slots=True)
class Said:
    """One message with the pictures that it points to."""

    message: ConsultMessage
    pictures: Sequence[tuple[int, str]]
    """Number and address of each slice; empty for who does not see the study."""


@router.get("/consults")
def show_consults(request: Request, viewer: Consulter, session: Look) -> Response:
    """What the viewer's hospital asked and was asked, newest first."""
    clock = consult_clock(request.app.state.settings, request.app.state.engine)
    rows = [
        Row(each, case_number(each.study_id), clock.due(each))
        for each in list_consults(session, viewer, limit=SHOWN)
    ]
    names = hospital_names(session, thai=words_of(request).language is Language.TH)
    note_read(request, session, viewer, "consult.list", detail={"consults": len(rows)})
    return render(
        request,
        "consults.html",
        viewer,
        open=[row for row in rows if row.consult.state in OPEN],
        ended=[row for row in rows if row.consult.state not in OPEN],
        names=names,
    )


@router.get("/studies/{uid}/consult")
def show_asking(uid: Uid, request: Request, viewer: Consulter, session: Look) -> Response:
    """The form that asks about a study."""
    study = find_own_study(session, uid, viewer)
    names = hospital_names(session, thai=words_of(request).language is Language.TH)
    hub = hub_of(session, study.hcode) if study.hcode else None
    values: dict[str, Any] = {
        "study": study,
        "case": case_number(study.id),
        "named": viewer.may(Permission.READ_IDENTITY),
        "names": names,
        "hub": hub,
        "specialties": list(Specialty),
        "onsets": list(Onset),
        "anticoagulants": list(Anticoagulant),
    }
    note_read(request, session, viewer, "study.read", study_id=study.id)
    return render(request, "consult_ask.html", viewer, **values)


@router.post("/studies/{uid}/consult")
def ask_about(
    uid: Uid, form: Annotated[AskForm, Form()], request: Request, viewer: Consulter, session: Work
) -> Response:
    """Ask, and go to the thread."""
    consult = ask(
        session,
        viewer,
        find_own_study(session, uid, viewer),
        to_hcode=form.to,
        specialty=form.specialty,
        question=form.question,
        details=form.details(),
    )
    return see_other(request, f"/consults/{consult.id}", flash="consult_asked")


@router.get("/consults/{number}")
def show_consult(number: Number, request: Request, viewer: Consulter, session: Look) -> Response:
    """One consult; the first look at the asked hospital stops the clock."""
    consult = find_consult(session, number, viewer)
    study = load_study(session, consult.study_id, lock=False)
    seen = sees(session, viewer, study)
    pictures = dict(enumerate(slice_addresses(session, study), start=1)) if seen else {}
    clock = consult_clock(request.app.state.settings, request.app.state.engine)
    values: dict[str, Any] = {
        "consult": consult,
        "case": case_number(study.id),
        "study": study if seen else None,
        "named": seen and viewer.may(Permission.READ_IDENTITY),
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "details": ConsultDetails.model_validate(consult.details),
        "advice": Advice.model_validate(consult.advice) if consult.advice else None,
        "due": clock.due(consult),
        "thread": [_said(each, pictures) for each in thread_of(session, consult)],
        "verbs": {verb.value for verb in consult_verbs(consult.state, sides_of(consult, viewer))},
        "writes": consult.state in OPEN and bool(sides_of(consult, viewer)),
        "keys": _keys(session, study, pictures) if seen else [],
        "slices": len(pictures),
        "thrombolysis": list(Thrombolysis),
        "imaging": list(Imaging),
        "outcomes": list(Outcome),
    }
    if "x-hub-unattended" not in request.headers:
        note_read(
            request, session, viewer, "consult.read", study_id=consult.study_id, detail={"consult": number}
        )
        with session_scope(request.app.state.engine) as writing:
            note_opened(writing, find_consult(writing, number, viewer, lock=True), viewer)
    return render(request, "consult.html", viewer, **values)


@router.post("/consults/{number}/accept")
def take_consult(number: Number, request: Request, viewer: Adviser, session: Work) -> Response:
    """Say that one has it."""
    accept(session, number, viewer)
    return see_other(request, f"/consults/{number}", flash="consult_accepted")


@router.post("/consults/{number}/answer")
def advise(
    number: Number,
    request: Request,
    viewer: Adviser,
    session: Work,
    thrombolysis: Annotated[Thrombolysis, Form()],
    transfer: Annotated[bool, Form()],
    conditions: Annotated[str, Form(max_length=4000)] = "",
    imaging: Annotated[list[Imaging] | None, Form()] = None,
    text: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Give the advice."""
    values = {
        "thrombolysis": thrombolysis,
        "transfer": transfer,
        "conditions": conditions,
        "imaging": imaging or [],
        "text": text,
    }
    answer(session, number, viewer, checked(Advice, values))
    return see_other(request, f"/consults/{number}", flash="consult_answered")


@router.post("/consults/{number}/close")
def end_consult(
    number: Number,
    request: Request,
    viewer: Consulter,
    session: Work,
    outcome: Annotated[Outcome, Form()],
    ending: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Say what came of it."""
    close(session, number, viewer, outcome, ending)
    return see_other(request, f"/consults/{number}", flash="consult_closed")


@router.post("/consults/{number}/cancel")
def take_back(
    number: Number,
    request: Request,
    viewer: Consulter,
    session: Work,
    reason: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Take the question back."""
    cancel(session, number, viewer, reason)
    return see_other(request, f"/consults/{number}", flash="consult_cancelled")


@router.post("/consults/{number}/messages")
def say(
    number: Number,
    request: Request,
    viewer: Consulter,
    session: Work,
    text: Annotated[str, Form(max_length=4000)] = "",
    slices: Annotated[list[int] | None, Form()] = None,
    more: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Write, with the key slices that were ticked and others by their numbers."""
    write_message(session, number, viewer, text, [*(slices or ()), *slice_numbers(more)])
    return see_other(request, f"/consults/{number}")


def _said(message: ConsultMessage, pictures: dict[int, str]) -> Said:
    return Said(message, [(each, pictures[each]) for each in message.slices if each in pictures])


def _keys(session: Session, study: Study, pictures: dict[int, str]) -> list[tuple[int, str]]:
    """The key slices, to be ticked: number and address of each."""
    analysis = analysis_of(session, study)
    numbers = [index + 1 for index, _ in analysis.key_slices] if analysis else []
    return [(each, pictures[each]) for each in numbers if each in pictures]
