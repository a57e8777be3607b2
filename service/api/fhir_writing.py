"""Referring and asking over FHIR: a ServiceRequest or a Task, alone or in a transaction. FHIR R4 3.1.0."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.api.access import IdentityReader, Work
from service.api.fhir import speaks_r4
from service.api.problems import responses
from service.errors import Malformed, UnsupportedMedia
from service.fhir.versions import FHIR_JSON, Version, sent_version
from service.fhir.written import Written, answers, carry_out, create, read_version, update

LONGEST = 1_000_000
"""Bytes of a body."""

router = APIRouter(
    prefix="/fhir",
    tags=["fhir"],
    dependencies=[Depends(speaks_r4, scope="function")],
    responses=responses(400, 401, 403, 404, 406, 409, 415, 422),
)


async def sent_resource(request: Request) -> Any:
    """The body.

    Raises:
        Malformed: it is no JSON, or too long.
        UnsupportedMedia: it is said to be something else, or of another version than R4.
    """
    said = request.headers.get("content-type", "")
    media_type = said.partition(";")[0].strip().lower()
    if media_type not in (FHIR_JSON, "application/json", "application/json+fhir"):
        raise UnsupportedMedia(f"the body must be {FHIR_JSON}, not {media_type[:60]!r}")
    if (version := sent_version(said)) != Version.R4:
        raise UnsupportedMedia(f"the body must be FHIR R4 (fhirVersion=4.0), not {version}")
    body = await request.body()
    if len(body) > LONGEST:
        raise Malformed(f"a body of {len(body)} bytes; {LONGEST} are taken")
    try:
        return json.loads(body)
    except ValueError as error:
        raise Malformed(f"the body is no JSON: {error.__class__.__name__}") from None


Sent = Annotated[Any, Depends(sent_resource, scope="function")]
IfMatch = Annotated[str | None, Header(max_length=60)]


@router.post("/ServiceRequest", status_code=201)
def create_service_request(viewer: IdentityReader, session: Work, sent: Sent) -> JSONResponse:
    """Refer a patient: active asks the hospital at once, draft waits for a Task that is requested."""
    return _answer(session, viewer, create(session, viewer, "ServiceRequest", sent))


@router.post("/Task", status_code=201)
def create_task(viewer: IdentityReader, session: Work, sent: Sent) -> JSONResponse:
    """Ask another hospital about a study: a Task for a consultation."""
    return _answer(session, viewer, create(session, viewer, "Task", sent))


@router.put("/Task/{number}")
def update_task(
    number: Annotated[str, Path(pattern=r"^[A-Za-z0-9\-.]{1,64}$")],
    viewer: IdentityReader,
    session: Work,
    sent: Sent,
    if_match: IfMatch = None,
) -> JSONResponse:
    """Move a referral or a consult on: its status, a reason where one is needed, the reply or the advice."""
    version = None if if_match is None else read_version(if_match)
    return _answer(session, viewer, update(session, viewer, number, sent, version=version))


@router.post("")
def transact(viewer: IdentityReader, session: Work, sent: Sent) -> JSONResponse:
    """Several of these, all or none."""
    done = carry_out(session, viewer, sent)
    return JSONResponse(answers(session, viewer, done), media_type=FHIR_JSON)


def _answer(session: Session, viewer: Viewer, written: Written) -> JSONResponse:
    headers = {"ETag": written.etag} | ({"Location": written.location} if written.status == 201 else {})
    made = written.resource(session, viewer)
    return JSONResponse(made, status_code=written.status, headers=headers, media_type=FHIR_JSON)
