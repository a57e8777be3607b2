"""The hub's authority: what it makes and what it refuses, by function and by API."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from service.accounts import Role
from service.certificates import init_authority, issue, list_certificates, revoke
from service.errors import AlreadyExists, BadRequest, NotFound, NotReady
from service.settings import Settings
from tests.service.api.conftest import SignIn, anonymous, app, signed_in  # noqa: F401
from tests.service.factories import UDON


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    init_authority(folder, "IMAGINGHUB", ["hub.example", "10.8.0.1"])
    return folder


def signing_request(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whoever")])
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


def test_a_second_authority_is_not_made_over_the_first(authority: Path) -> None:
    before = (authority / "ca.pem").read_bytes()
    with pytest.raises(AlreadyExists, match="renew"):
        init_authority(authority, "IMAGINGHUB")
    assert (authority / "ca.pem").read_bytes() == before


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="hub tls init"):
        issue(tmp_path, "CT1", UDON)


def test_a_certificate_for_a_request_names_the_machine_and_comes_without_a_key(authority: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issued = issue(authority, "UDON_CT1", UDON, request_pem=signing_request(key), days=30)
    certificate = x509.load_pem_x509_certificate(issued.pem)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((authority / "ca.pem").read_bytes()))
    assert certificate.public_key() == key.public_key()
    assert (issued.certificate.name, issued.certificate.hcode, issued.key_pem) == ("UDON_CT1", UDON, None)


@pytest.mark.parametrize(
    ("request_pem", "days", "named"),
    [
        (b"nothing", 30, "signing request"),
        (signing_request(rsa.generate_private_key(public_exponent=65537, key_size=1024)), 30, "2048"),
        (signing_request(ec.generate_private_key(ec.SECP256R1())), 30, "RSA"),
        (None, 0, "0 days"),
        (None, 1826, "1826"),
    ],
)
def test_a_request_that_will_not_do_is_refused(
    authority: Path, request_pem: bytes | None, days: int, named: str
) -> None:
    before = len(list_certificates(authority))
    with pytest.raises(BadRequest, match=named):
        issue(authority, "CT1", UDON, request_pem=request_pem, days=days)
    assert len(list_certificates(authority)) == before


def test_what_expires_within_a_month_is_said(authority: Path) -> None:
    soon = issue(authority, "OLD_CT", UDON, days=29).certificate
    assert soon.expires_soon
    assert list_certificates(authority)[0].expires_at <= soon.expires_at
    revoke(authority, soon.fingerprint)
    assert not next(
        each for each in list_certificates(authority) if each.fingerprint == soon.fingerprint
    ).expires_soon


def test_the_hubs_own_certificate_is_renewed_and_not_revoked(authority: Path) -> None:
    own = next(each for each in list_certificates(authority) if each.kind == "hub")
    with pytest.raises(NotFound, match=own.fingerprint):
        revoke(authority, own.fingerprint)


def test_by_api_a_request_is_signed_mapped_and_revoked(
    signed_in: SignIn,  # noqa: F811
    settings: Settings,
) -> None:
    client = signed_in(Role.ADMIN)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    body = {"ae_title": "UDON_CT1", "hospital": UDON, "request": signing_request(key).decode()}
    assert client.post("/api/v1/certificates", json=body).status_code == 409  # no authority yet
    init_authority(settings.tls, "IMAGINGHUB")
    issued = client.post("/api/v1/certificates", json=body)
    assert issued.status_code == 201
    shown = issued.json()["certificate"]["fingerprint"]
    assert client.get("/api/v1/callers").json()[0]["certificates"] == [shown]
    assert client.delete(f"/api/v1/certificates/{shown}").status_code == 204
    assert client.get("/api/v1/callers").json() == []
    states = {each["kind"]: each["revoked"] for each in client.get("/api/v1/certificates").json()}
    assert states == {"authority": False, "hub": False, "issued": True}
