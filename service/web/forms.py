"""The administrators' page of forms: a template looked at, changed, or the shipped one put back."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from sqlalchemy.orm import Session

from service import forms
from service.accounts import Viewer
from service.api.access import Administrator, Look
from service.db import session_scope
from service.form_trials import BadTemplate, preview_form, try_template
from service.forms import (
    LONGEST_NOTE,
    LONGEST_SOURCE,
    check_source,
    find_version,
    newest_version,
    save_version,
    source_of,
    versions_of,
)
from service.settings import Settings
from service.web.page import render, see_other
from service.web.words import Language

router = APIRouter(prefix="/console/forms", include_in_schema=False)

Kind = Annotated[forms.Form, Path()]
Source = Annotated[str, Form(max_length=LONGEST_SOURCE + 10_000)]
"""A browser ends lines with two characters: the limit itself is checked on what is kept."""
Note = Annotated[str, Form(max_length=LONGEST_NOTE)]


@router.get("")
def show_forms(request: Request, viewer: Administrator, session: Look) -> Response:
    """Every form and who changed it last."""
    rows = [(form, newest_version(session, form)) for form in forms.Form]
    return render(request, "forms.html", viewer, rows=rows)


@router.get("/{form}")
def show_form(
    form: Kind,
    request: Request,
    viewer: Administrator,
    session: Look,
    version: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> Response:
    """One form's template to be changed: as it is, or as an earlier version was."""
    shown = find_version(session, form, version) if version else newest_version(session, form)
    return _show(request, session, viewer, form, source=source_of(shown, form))


@router.post("/{form}/preview")
def preview(
    form: Kind,
    request: Request,
    viewer: Administrator,
    source: Source,
    language: Annotated[Language, Form()] = Language.TH,
) -> Response:
    """The template with a made-up patient; nothing is kept."""
    settings: Settings = request.app.state.settings
    try:
        content = preview_form(form, source, settings.data, language=language)
    except BadTemplate as error:
        return _refuse(request, viewer, form, source, error)
    headers = {"Content-Disposition": f'inline; filename="{form.value}-preview.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)


@router.post("/{form}")
def change(
    form: Kind,
    request: Request,
    viewer: Administrator,
    source: Source,
    note: Note = "",
    seen: Annotated[int, Form(ge=0, le=2**53)] = 0,
) -> Response:
    """Use the template from now on; one that fails comes back with what is wrong."""
    settings: Settings = request.app.state.settings
    try:
        try_template(form, source, settings.data)
    except BadTemplate as error:
        return _refuse(request, viewer, form, source, error)
    with session_scope(request.app.state.engine) as session:
        save_version(session, viewer, form, source, note=note, seen=seen)
    return see_other(request, f"/console/forms/{form.value}", flash="form_saved")


@router.post("/{form}/put-back")
def put_back(form: Kind, request: Request, viewer: Administrator) -> Response:
    """The shipped template again."""
    with session_scope(request.app.state.engine) as session:
        save_version(session, viewer, form, "")
    return see_other(request, f"/console/forms/{form.value}", flash="form_put_back")


def _refuse(request: Request, viewer: Viewer, form: forms.Form, source: str, error: BadTemplate) -> Response:
    with session_scope(request.app.state.engine, write=False) as session:
        source = check_source(source)
        return _show(request, session, viewer, form, source=source, wrong=error.message, status=422)


def _show(
    request: Request,
    session: Session,
    viewer: Viewer,
    form: forms.Form,
    *,
    source: str,
    wrong: str = "",
    status: int = 200,
) -> Response:
    newest = newest_version(session, form)
    values: dict[str, Any] = {
        "form": form,
        "source": source,
        "newest": newest,
        "versions": versions_of(session, form),
        "wrong": wrong,
        "longest": LONGEST_SOURCE,
        "longest_note": LONGEST_NOTE,
    }
    return render(request, "form.html", viewer, status=status, **values)
