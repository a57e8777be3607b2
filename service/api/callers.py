"""Callers over HTTP, for administrators: which machines may send, changed without a restart."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from service import audit
from service.api.access import Administrator, Look, Work
from service.api.problems import responses
from service.callers import Caller, add_caller, list_callers, map_certificate, publish_callers, remove_caller

router = APIRouter(prefix="/api/v1/callers", tags=["callers"], responses=responses(401, 403, 404, 422, 503))

Hospital = Annotated[str, Path(max_length=5)]
Title = Annotated[str, Path(max_length=16, description="Calling AE title")]


class CallerOut(BaseModel):
    """A machine that may send."""

    ae_title: str
    hospital: str
    addresses: list[str]
    certificates: list[str]


class CallerIn(BaseModel):
    """A new caller; with a certificate and no address it may call only over TLS."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"ae_title": "UDON_CT1", "hospital": "10671", "addresses": ["10.8.1.0/24"]}]
        },
    )

    ae_title: str = Field(max_length=16)
    hospital: str = Field(max_length=5)
    addresses: list[str] = Field(default=[], max_length=50)
    certificates: list[str] = Field(default=[], max_length=20)


class CertificateIn(BaseModel):
    """A certificate that a caller may show."""

    model_config = ConfigDict(extra="forbid")

    fingerprint: str = Field(max_length=100, description="SHA-256, hexadecimal")


@router.get("")
def read_callers(viewer: Administrator, session: Look) -> list[CallerOut]:
    """Every caller by AE title."""
    return [_out(each) for each in list_callers(session)]


@router.post("", status_code=201, responses=responses(409))
def create_caller(request: Request, body: CallerIn, viewer: Administrator, session: Work) -> CallerOut:
    """Let a machine send studies."""
    caller = add_caller(session, body.ae_title, body.hospital, body.addresses, certificates=body.certificates)
    audit.record(
        session, viewer.username, "caller.add", detail={"caller": caller.id, "hospital": caller.hcode}
    )
    publish_callers(session, request.app.state.settings)
    return _out(caller)


@router.post("/{hospital}/{title}/certificates", status_code=201)
def create_certificate(
    request: Request,
    hospital: Hospital,
    title: Title,
    body: CertificateIn,
    viewer: Administrator,
    session: Work,
) -> CallerOut:
    """Let a machine come with this certificate over TLS."""
    caller = map_certificate(session, title, hospital, body.fingerprint)
    audit.record(
        session, viewer.username, "caller.certificate", detail={"caller": caller.id, "hospital": hospital}
    )
    publish_callers(session, request.app.state.settings)
    return _out(caller)


@router.delete("/{hospital}/{title}", status_code=204)
def delete_caller(
    request: Request, hospital: Hospital, title: Title, viewer: Administrator, session: Work
) -> None:
    """Stop a machine from sending."""
    remove_caller(session, title, hospital)
    audit.record(session, viewer.username, "caller.remove", detail={"hospital": hospital})
    publish_callers(session, request.app.state.settings)


def _out(caller: Caller) -> CallerOut:
    return CallerOut(
        ae_title=caller.ae_title,
        hospital=caller.hcode,
        addresses=caller.addresses,
        certificates=caller.certificates,
    )
