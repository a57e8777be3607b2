"""Certificates over HTTP, for administrators: listed, issued for a signing request, trusted, revoked."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from service import audit
from service.api.access import Administrator, Look, Work
from service.api.problems import responses
from service.callers import (
    check_ae_title,
    check_fingerprint,
    map_certificate,
    publish_callers,
    unmap_certificate,
)
from service.certificates import CERTIFICATE_DAYS, issue, list_certificates, revoke, trust
from service.hospitals import find_hospital

router = APIRouter(
    prefix="/api/v1/certificates", tags=["certificates"], responses=responses(401, 403, 404, 409, 422, 503)
)

Pem = Annotated[str, Field(max_length=50_000)]


class CertificateOut(BaseModel):
    """A certificate that the hub made or trusts."""

    model_config = ConfigDict(from_attributes=True)

    fingerprint: str
    name: str
    hospital: str = Field(validation_alias="hcode")
    kind: str
    expires_at: datetime
    expires_soon: bool
    revoked: bool


class IssuedOut(BaseModel):
    """A fresh certificate, in PEM."""

    certificate: CertificateOut
    pem: str


class RequestIn(BaseModel):
    """A machine's signing request; its private key stays where it was made."""

    model_config = ConfigDict(extra="forbid")

    ae_title: str = Field(max_length=16)
    hospital: str = Field(max_length=5)
    request: Pem
    days: int = CERTIFICATE_DAYS


class TrustIn(BaseModel):
    """A certificate that somebody else issued to a machine."""

    model_config = ConfigDict(extra="forbid")

    ae_title: str = Field(max_length=16)
    hospital: str = Field(max_length=5)
    pem: Pem


@router.get("")
def read_certificates(request: Request, viewer: Administrator, session: Look) -> list[CertificateOut]:
    """Every certificate, the one that expires first at the top."""
    return [CertificateOut.model_validate(each) for each in list_certificates(request.app.state.settings.tls)]


@router.post("", status_code=201)
def create_certificate(request: Request, body: RequestIn, viewer: Administrator, session: Work) -> IssuedOut:
    """Issue a certificate for a signing request, and let the machine call with it."""
    settings = request.app.state.settings
    find_hospital(session, body.hospital)
    title = check_ae_title(body.ae_title)
    issued = issue(settings.tls, title, body.hospital, request_pem=body.request.encode(), days=body.days)
    shown = issued.certificate.fingerprint
    caller = map_certificate(session, title, body.hospital, shown)
    audit.record(
        session, viewer.username, "certificate.issue", detail={"caller": caller.id, "fingerprint": shown}
    )
    publish_callers(session, settings)
    return IssuedOut(certificate=CertificateOut.model_validate(issued.certificate), pem=issued.pem.decode())


@router.post("/trusted", status_code=201)
def trust_certificate(
    request: Request, body: TrustIn, viewer: Administrator, session: Work
) -> CertificateOut:
    """Trust a certificate that somebody else issued, and let the machine call with it."""
    settings = request.app.state.settings
    find_hospital(session, body.hospital)
    trusted = trust(settings.tls, body.pem.encode())
    caller = map_certificate(session, body.ae_title, body.hospital, trusted.fingerprint)
    audit.record(
        session,
        viewer.username,
        "certificate.trust",
        detail={"caller": caller.id, "fingerprint": trusted.fingerprint},
    )
    publish_callers(session, settings)
    return CertificateOut.model_validate(trusted)


@router.delete("/{fingerprint}", status_code=204)
def revoke_certificate(
    request: Request,
    fingerprint: Annotated[str, Path(max_length=100)],
    viewer: Administrator,
    session: Work,
) -> None:
    """Let a certificate in no more."""
    settings = request.app.state.settings
    revoked = revoke(settings.tls, check_fingerprint(fingerprint))
    unmap_certificate(session, revoked.fingerprint)
    audit.record(session, viewer.username, "certificate.revoke", detail={"fingerprint": revoked.fingerprint})
    publish_callers(session, settings)
