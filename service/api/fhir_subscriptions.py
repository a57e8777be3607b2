"""FHIR R4 Subscriptions by rest-hook: made, changed, removed; read and searched as other resources are."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import JSONResponse

from service.api.access import Fenced, IdentityReader, Work
from service.api.fhir import speaks_r4
from service.api.fhir_writing import IfMatch, Sent
from service.api.problems import responses
from service.fhir.subscription import (
    change_subscription,
    create_subscription,
    find_fhir_subscription,
    subscription,
)
from service.fhir.versions import FHIR_JSON
from service.fhir.written import read_version
from service.subscriptions import Subscription, remove_subscription

router = APIRouter(
    prefix="/fhir/Subscription",
    tags=["fhir"],
    dependencies=[Depends(speaks_r4, scope="function")],
    responses=responses(400, 401, 403, 404, 406, 409, 415, 422),
)

Number = Annotated[str, Path(pattern=r"^[0-9]{1,17}$")]


@router.post("", status_code=201)
def create(viewer: IdentityReader, session: Work, sent: Sent, fence: Fenced) -> JSONResponse:
    """Have an address called when a search would find something new; the answer alone holds the secret.

    Every call is an empty POST, signed (`X-Hub-Timestamp`, `X-Hub-Signature`), tried again ever less often.
    After 24 hours of failures the subscription is switched off, with the reason in `error`.
    """
    made = create_subscription(session, viewer, sent, fence)
    answer = _answer(made, status=201, secret=True)
    answer.headers["Location"] = f"Subscription/{made.id}/_history/{made.version}"
    return answer


@router.put("/{number}")
def update(
    number: Number,
    viewer: IdentityReader,
    session: Work,
    sent: Sent,
    fence: Fenced,
    if_match: IfMatch = None,
) -> JSONResponse:
    """Change it, or switch it on or off; on, it is called from the next event on."""
    version = None if if_match is None else read_version(if_match)
    return _answer(change_subscription(session, viewer, number, sent, fence, version=version))


@router.delete("/{number}", status_code=204)
def delete(number: Number, viewer: IdentityReader, session: Work) -> Response:
    """Remove it: nothing is called any more."""
    remove_subscription(session, viewer, find_fhir_subscription(session, viewer, number, lock=True))
    return Response(status_code=204)


def _answer(row: Subscription, *, status: int = 200, secret: bool = False) -> JSONResponse:
    headers = {"ETag": f'W/"{row.version}"'}
    made = subscription(row, secret=secret)
    return JSONResponse(made, status_code=status, headers=headers, media_type=FHIR_JSON)
