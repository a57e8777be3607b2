"""FHIR under /fhir: the patients, studies and reports of a hospital, for its own systems. FHIR R4 3.1.0.

Errors are OperationOutcomes. Only JSON is spoken: R4, and what there is of it in R5 with `fhirVersion=5.0`.
"""

from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse

from service import audit
from service.accounts import Permission, Viewer
from service.api.access import IdentityReader, Look, note_read
from service.api.problems import responses
from service.errors import NotAcceptable, NotFound, UnsupportedMedia
from service.fhir.audit_search import read_event, search_events
from service.fhir.bundle import collection, searchset
from service.fhir.capability import capability_statement
from service.fhir.criteria import SEARCHES, read_criteria
from service.fhir.elements import Resource
from service.fhir.model_card import is_card_id, link_cards, read_card, search_cards, wants_card
from service.fhir.page import Page
from service.fhir.r5 import R5_KINDS, check_r5, in_version
from service.fhir.reading import everything, read_resource, search_resources
from service.fhir.versions import Version, wanted_version
from service.settings import Settings

STARTED: Final = datetime.now(UTC)
AUDIT_EVENT: Final = "AuditEvent"
DOCUMENT: Final = "DocumentReference"


def version_of(request: Request) -> Version:
    """The version that the request wants to be answered in.

    Raises:
        NotAcceptable: neither R4 nor R5 as JSON is among what is accepted.
    """
    wanted = request.query_params.get("_format") or request.headers.get("accept") or "*/*"
    return wanted_version(wanted)


def speaks_json(request: Request) -> None:
    """Refuse a request for XML or Turtle, or for another version than R4 and R5.

    Raises:
        NotAcceptable: see `version_of`.
    """
    version_of(request)


def speaks_r4(request: Request) -> None:
    """Refuse to answer in R5 where something is written: it was sent in R4.

    Raises:
        NotAcceptable: R4 is not what is wanted.
    """
    if version_of(request) is not Version.R4:
        raise NotAcceptable("what is written here is sent and answered in FHIR R4; read it in R5 afterwards")


router = APIRouter(
    prefix="/fhir",
    tags=["fhir"],
    dependencies=[Depends(speaks_json, scope="function")],
    responses=responses(400, 401, 403, 404, 406),
)

Kind = Annotated[str, Path(pattern="^[A-Z][A-Za-z]{1,40}$", examples=["DiagnosticReport"])]
Number = Annotated[str, Path(pattern=r"^[A-Za-z0-9\-.]{1,64}$", description="the resource's id")]


@router.get("/metadata")
def read_capabilities(request: Request) -> JSONResponse:
    """What can be read and searched here; open to everybody."""
    version = version_of(request)
    made = capability_statement(_base(request), request.app.version, STARTED, version)
    return JSONResponse(made, media_type=version.media_type)


@router.get("/Patient/{number}/$everything")
def read_everything(number: Number, request: Request, viewer: IdentityReader, session: Look) -> JSONResponse:
    """A patient with all that the hub holds of them and the viewer may see."""
    page = everything(session, viewer, number, base=_base(request))
    link_cards(page.resources, packages_of(request))
    _note(request, session, viewer, "fhir.read", "Patient", page)
    told = page.resources
    if version_of(request) is Version.R5:
        told = [each for each in told if each["resourceType"] in R5_KINDS]
    return _answer(request, collection(_base(request), told))


@router.get("/{kind}")
def search(kind: Kind, request: Request, viewer: IdentityReader, session: Look) -> JSONResponse:
    """Search for resources of one kind; send names and numbers of patients by POST to `_search` instead."""
    return _search(request, viewer, session, kind, request.query_params.multi_items())


async def sent_form(request: Request) -> list[tuple[str, str]]:
    """The parameters of a search that came as a form.

    Raises:
        UnsupportedMedia: it is no form.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise UnsupportedMedia("a search by POST is a form: application/x-www-form-urlencoded")
    form = await request.form()  # read once already, in search of a browser's mark
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


@router.post("/{kind}/_search", responses=responses(415))
def search_by_form(
    kind: Kind,
    request: Request,
    viewer: IdentityReader,
    session: Look,
    sent: Annotated[list[tuple[str, str]], Depends(sent_form, scope="function")],
) -> JSONResponse:
    """The same search with its parameters in the body, so that no address holds a patient's number."""
    return _search(request, viewer, session, kind, [*request.query_params.multi_items(), *sent])


@router.get("/{kind}/{number}")
def read(kind: Kind, number: Number, request: Request, viewer: IdentityReader, session: Look) -> JSONResponse:
    """One resource by its id."""
    _check_kind(request, kind, viewer)
    if kind == AUDIT_EVENT:
        page = read_event(session, number)
    elif kind == DOCUMENT and is_card_id(number):
        page = read_card(session, number, packages_of(request))
    else:
        page = read_resource(session, viewer, kind, number, base=_base(request))
    link_cards(page.resources, packages_of(request))
    _note(request, session, viewer, "fhir.read", kind, page)
    made = page.resources[0]
    version = made.get("meta", {}).get("versionId")
    return _answer(request, made, headers={"ETag": f'W/"{version}"'} if version else None)


def _search(
    request: Request, viewer: Viewer, session: Look, kind: str, pairs: list[tuple[str, str]]
) -> JSONResponse:
    _check_kind(request, kind, viewer)
    criteria = read_criteria(kind, pairs, lenient="handling=lenient" in request.headers.get("prefer", ""))
    if kind == AUDIT_EVENT:
        page = search_events(session, viewer, criteria)
    elif kind == DOCUMENT and wants_card(criteria):
        page = search_cards(session, criteria, packages_of(request))
    else:
        page = search_resources(session, viewer, criteria, base=_base(request))
    link_cards(page.resources, packages_of(request))
    _note(request, session, viewer, "fhir.search", kind, page)
    return _answer(request, searchset(_base(request), kind, pairs, page.resources, after=page.next))


def packages_of(request: Request) -> list[FilePath]:
    """The model packages that the hub has: what workers load, and those that were registered."""
    settings: Settings = request.app.state.settings
    registered = settings.data / "models"
    return [settings.model, *(sorted(registered.iterdir()) if registered.is_dir() else ())]


def _check_kind(request: Request, kind: str, viewer: Viewer) -> None:
    if kind not in SEARCHES:
        raise NotFound(f"no resource {kind!r} here; there are {', '.join(sorted(SEARCHES))}")
    if version_of(request) is Version.R5:
        check_r5(kind)
    if kind == AUDIT_EVENT:
        viewer.must(Permission.ADMINISTER)


def _note(request: Request, session: Look, viewer: Viewer, action: str, kind: str, page: Page) -> None:
    detail: audit.Detail = {"kind": kind, "studies": sorted(set(page.studies))}
    study_id = page.studies[0] if len(set(page.studies)) == 1 else None
    note_read(request, session, viewer, action, study_id=study_id, detail=detail)


def _base(request: Request) -> str:
    root = request.app.state.settings.public_url or str(request.base_url).rstrip("/")
    return f"{root}/fhir"


def _answer(request: Request, resource: Resource, headers: dict[str, Any] | None = None) -> JSONResponse:
    version = version_of(request)
    return JSONResponse(in_version(resource, version), headers=headers, media_type=version.media_type)
