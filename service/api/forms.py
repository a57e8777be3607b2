"""The forms over HTTP: their templates, their versions, a preview with a made-up patient; changing them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service import forms
from service.api.access import Administrator, Look
from service.api.problems import responses
from service.db import session_scope
from service.form_trials import preview_form, try_template
from service.forms import (
    LONGEST_NOTE,
    LONGEST_SOURCE,
    FormVersion,
    find_version,
    newest_version,
    save_version,
    source_of,
    versions_of,
)
from service.settings import Settings
from service.web.words import Language

router = APIRouter(prefix="/api/v1/forms", tags=["forms"], responses=responses(401, 403, 404, 422, 503))

Number = Annotated[int, Path(ge=1, le=2**53)]


class VersionOut(BaseModel):
    """One version of a template."""

    number: int
    shipped: bool
    """Whether the shipped template was put back."""
    note: str
    made_by: str
    made_at: datetime


class FormOut(BaseModel):
    """A form and who changed it last; without a version it is as shipped."""

    form: forms.Form
    version: VersionOut | None


class TemplateOut(FormOut):
    """A form with its template."""

    source: str


class PreviewIn(BaseModel):
    """A template to be looked at."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(default="", max_length=LONGEST_SOURCE, description="typst; empty: the shipped one")
    language: Language = Language.TH


class TemplateIn(BaseModel):
    """A template to be used from now on."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=LONGEST_SOURCE, description="typst")
    note: str = Field(default="", max_length=LONGEST_NOTE, description="why")
    seen: int | None = Field(
        default=None, ge=0, description="the version that the caller saw; 0: the shipped"
    )


class PutBackIn(BaseModel):
    """The shipped template again."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(default="", max_length=LONGEST_NOTE, description="why")


@router.get("")
def read_forms(viewer: Administrator, session: Look) -> list[FormOut]:
    """Every form and who changed it last."""
    return [FormOut(form=form, version=_version_out(newest_version(session, form))) for form in forms.Form]


@router.get("/{form}")
def read_form(form: forms.Form, viewer: Administrator, session: Look) -> TemplateOut:
    """The template that counts for what is requested from now on."""
    newest = newest_version(session, form)
    return TemplateOut(form=form, version=_version_out(newest), source=source_of(newest, form))


@router.get("/{form}/versions")
def read_versions(form: forms.Form, viewer: Administrator, session: Look) -> list[VersionOut]:
    """Every version, newest first."""
    return [out for each in versions_of(session, form) if (out := _version_out(each))]


@router.get("/{form}/versions/{number}")
def read_version(form: forms.Form, number: Number, viewer: Administrator, session: Look) -> TemplateOut:
    """One version with its template."""
    version = find_version(session, form, number)
    return TemplateOut(form=form, version=_version_out(version), source=source_of(version, form))


@router.post(
    "/{form}/preview",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The form of a made-up patient"}},
)
def preview(form: forms.Form, body: PreviewIn, request: Request, viewer: Administrator) -> Response:
    """A template with a made-up patient; nothing is kept."""
    settings: Settings = request.app.state.settings
    content = preview_form(form, body.source, settings.data, language=body.language)
    return Response(content, media_type="application/pdf")


@router.post("/{form}", status_code=201, responses=responses(409))
def change_form(form: forms.Form, body: TemplateIn, request: Request, viewer: Administrator) -> TemplateOut:
    """Use this template from now on; it is tried first, and refused where it fails."""
    settings: Settings = request.app.state.settings
    try_template(form, body.source, settings.data)  # before the session: it takes a second or two
    with session_scope(request.app.state.engine) as session:
        version = save_version(session, viewer, form, body.source, note=body.note, seen=body.seen)
        return TemplateOut(form=form, version=_version_out(version), source=version.source)


@router.post("/{form}/put-back", status_code=201)
def put_back(form: forms.Form, body: PutBackIn, request: Request, viewer: Administrator) -> TemplateOut:
    """Use the shipped template again; what was changed stays among the versions."""
    with session_scope(request.app.state.engine) as session:
        version = save_version(session, viewer, form, "", note=body.note)
        return TemplateOut(form=form, version=_version_out(version), source=source_of(version, form))


def _version_out(version: FormVersion | None) -> VersionOut | None:
    if version is None:
        return None
    return VersionOut(
        number=version.id,
        shipped=not version.source,
        note=version.note,
        made_by=version.made_by,
        made_at=version.made_at,
    )
