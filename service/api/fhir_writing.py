"""Referring over FHIR: POST a ServiceRequest, PUT a Task to move it on, or both at once. FHIR R4 3.1.0."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import JSONResponse

from service.api.access import IdentityReader, Work
from service.api.fhir import speaks_json
from service.api.problems import FHIR_JSON, responses
from service.errors import Malformed, UnsupportedMedia
from service.fhir.referral_search import told
from service.fhir.referring import answers, carry_out, move, read_version, refer

LONGEST = 1_000_000
"""Bytes of a body."""

router = APIRouter(
    prefix="/fhir",
    tags=["fhir"],
    dependencies=[Depends(speaks_json, scope="function")],
    responses=responses(400, 401, 403, 404, 406, 409, 415, 422),
)


async def sent_resource(request: Request) -> Any:
    """The body.

    Raises:
        Malformed: it is no JSON, or too long.
        UnsupportedMedia: it is said to be something else.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (FHIR_JSON, "application/json", "application/json+fhir"):
        raise UnsupportedMedia(f"the body must be {FHIR_JSON}, not {media_type[:60]!r}")
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
    referral = refer(session, viewer, sent)
    headers = {
        "Location": f"ServiceRequest/r{referral.id}/_history/{referral.version}",
        "ETag": f'W/"{referral.version}"',
    }
    made = told(session, viewer, "ServiceRequest", referral)
    return JSONResponse(made, status_code=201, headers=headers, media_type=FHIR_JSON)


@router.put("/Task/{number}")
def update_task(
    number: Annotated[str, Path(pattern=r"^[A-Za-z0-9\-.]{1,64}$")],
    viewer: IdentityReader,
    session: Work,
    sent: Sent,
    if_match: IfMatch = None,
) -> JSONResponse:
    """Move a referral on: its status, a reason where one is needed, the patient's number, the reply."""
    version = None if if_match is None else read_version(if_match)
    referral = move(session, viewer, number, sent, version=version)
    made = told(session, viewer, "Task", referral)
    return JSONResponse(made, headers={"ETag": f'W/"{referral.version}"'}, media_type=FHIR_JSON)


@router.post("")
def transact(viewer: IdentityReader, session: Work, sent: Sent) -> JSONResponse:
    """Several of both, all or none."""
    done = carry_out(session, viewer, sent)
    return JSONResponse(answers(session, viewer, done), media_type=FHIR_JSON)
