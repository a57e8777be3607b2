"""A referral on paper: the letter as a PDF, and the package of letter, images, result and FHIR document."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import IdentityReader, Look, note_read
from service.api.problems import responses
from service.db import now
from service.errors import NotFound
from service.forms import Form
from service.letters import referral_letter
from service.packages import read_package, write_package
from service.referrals import Referral, find_referral, shows_patient
from service.reply_drafts import draft_for
from service.reply_letters import drafted_letter, reply_letter
from service.settings import Settings
from service.web.page import words_of
from service.web.words import Language

Lang = Annotated[
    Language | None, Query(description="of the labels: th or en; left out, as the reader's pages")
]
READ_AS = {Form.LETTER: "letter.read", Form.STROKE: "stroke_sheet.read"}
router = APIRouter(
    prefix="/api/v1/referrals", tags=["referrals"], responses=responses(401, 403, 404, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=2**53, description="the referral's row number")]


@router.get(
    "/{number}/letter.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The letter"}},
)
def read_letter(
    number: Number, request: Request, viewer: IdentityReader, session: Look, lang: Lang = None
) -> Response:
    """The letter as it stands now; a draft's says that it is one."""
    return _form(Form.LETTER, number, request, viewer, session, lang)


@router.get(
    "/{number}/stroke-sheet.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The sheet"}},
)
def read_stroke_sheet(
    number: Number, request: Request, viewer: IdentityReader, session: Look, lang: Lang = None
) -> Response:
    """The stroke fast-track sheet that travels with the patient, with blanks to be written by hand."""
    return _form(Form.STROKE, number, request, viewer, session, lang)


def _form(
    form: Form, number: int, request: Request, viewer: Viewer, session: Session, lang: Language | None
) -> Response:
    referral = find_referral(session, number, viewer)
    if not shows_patient(referral, viewer):
        raise NotFound(f"the {form.value} of referral {number} is no longer shown")
    settings: Settings = request.app.state.settings
    content = referral_letter(
        session,
        referral,
        request.app.state.storage,
        data=settings.data,
        address=address_of_hub(request),
        language=language_of(request, lang),
        form=form,
    )
    note_read(request, session, viewer, READ_AS[form], study_id=referral.study_id)
    return Response(content, media_type="application/pdf", headers=named(referral, "pdf"))


@router.get(
    "/{number}/reply.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The reply letter"}},
)
def read_reply(
    number: Number, request: Request, viewer: IdentityReader, session: Look, lang: Lang = None
) -> Response:
    """The receiving hospital's reply letter; before it is sent, that hospital reads its draft here."""
    referral = find_referral(session, number, viewer)
    settings: Settings = request.app.state.settings
    language, address = language_of(request, lang), address_of_hub(request)
    drafted = draft_for(session, referral, viewer) is not None
    content = (
        drafted_letter(session, referral, viewer, data=settings.data, address=address, language=language)
        if drafted
        else reply_letter(session, referral, data=settings.data, address=address, language=language)
    )
    note_read(request, session, viewer, "reply.read", study_id=referral.study_id)
    return Response(content, media_type="application/pdf", headers=named(referral, "pdf", "reply"))


@router.get(
    "/{number}/package.zip",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "The package"}},
)
def read_package_of(number: Number, request: Request, viewer: IdentityReader, session: Look) -> Response:
    """Letter, images, result and a FHIR document as a zip."""
    referral = find_referral(session, number, viewer)
    if not shows_patient(referral, viewer):
        raise NotFound(f"the package of referral {number} is no longer shown")
    settings: Settings = request.app.state.settings
    storage = request.app.state.storage
    package = read_package(
        session, referral, storage, data=settings.data, address=address_of_hub(request), at=now()
    )
    headers = named(referral, "zip")
    detail = {"instances": len(package.files)}
    note_read(request, session, viewer, "package.read", study_id=referral.study_id, detail=detail)
    return StreamingResponse(write_package(package, storage), media_type="application/zip", headers=headers)


def language_of(request: Request, chosen: Language | None) -> Language:
    """What was asked for, else what the reader's pages speak; Thai for a machine that says nothing."""
    return chosen or words_of(request).language


def address_of_hub(request: Request) -> str:
    """What people type to reach the hub: as set, else as this request reached it."""
    settings: Settings = request.app.state.settings
    return settings.public_url or str(request.base_url).rstrip("/")


def named(referral: Referral, ending: str, what: str = "referral") -> dict[str, str]:
    """The header that names a file by hospital and number, without the patient."""
    name = f"{what}-{referral.from_hcode}-{referral.serial or f'draft-{referral.id}'}.{ending}"
    return {"Content-Disposition": f'inline; filename="{name}"'}
