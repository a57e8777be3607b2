"""The hub's own certificate authority: small, in files, enough for a region's machines. PS3.15 annex B.

Authority and hub certificate are made once; machines get theirs for a signing request, or with a key where a
vendor cannot make one. Nothing is issued twice for the same key, nothing is ever deleted: `issued/` is the
register. The listener reads the folder itself (`pacs_gateway.tls`).
"""

import os
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pacs_gateway.tls import fingerprint
from service.db import now
from service.errors import AlreadyExists, BadRequest, NotFound, NotReady
from service.signing import key_pem, new_key, requested_key, self_signed, signed, subject

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 825
LONGEST_DAYS = 1825
EXPIRES_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate, as far as an administrator asks."""

    fingerprint: str
    name: str
    """Common name: the AE title of a machine."""
    hcode: str
    """Organisational unit: the hospital's code; empty for the hub and for other people's."""
    kind: str
    """authority, hub, issued or trusted."""
    expires_at: datetime
    revoked: bool

    @property
    def expires_soon(self) -> bool:
        """Whether it must be renewed within a month."""
        return not self.revoked and self.expires_at - now() < EXPIRES_SOON


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh certificate; the key is there only where it was made here, and is kept nowhere."""

    certificate: Certificate
    pem: bytes
    key_pem: bytes | None


def init_authority(folder: Path, name: str, hosts: Sequence[str] = ()) -> None:
    """Make the authority and the hub's own certificate.

    Args:
        folder: where they go.
        name: the hub's AE title.
        hosts: host names and addresses that others call the hub by; localhost is added.

    Raises:
        AlreadyExists: there is an authority; a second would shut out every machine of the first.
    """
    if (folder / "ca.key").exists():
        raise AlreadyExists(
            f"there is an authority in {folder}; use `hub tls renew` for the hub's certificate"
        )
    for part in (folder, folder / "trusted", folder / "issued"):
        part.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = new_key()
    # a name of its own: of two authorities of one name, a verifier tries only one
    certificate = self_signed(f"{name} authority {secrets.token_hex(4)}", key, AUTHORITY_DAYS)
    _write(folder / "ca.key", key_pem(key))
    _write(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM))
    renew_hub(folder, name, hosts)


def renew_hub(folder: Path, name: str, hosts: Sequence[str] = ()) -> Certificate:
    """A new certificate for the hub itself; connections from now on show it.

    Raises:
        NotReady: there is no authority yet.
    """
    key = new_key()
    certificate = _sign(folder, subject(name, ""), key.public_key(), CERTIFICATE_DAYS, hosts)
    # between the two the pair does not fit, and the listener goes on with the one before
    _write(folder / "hub.key", key_pem(key))
    _write(folder / "hub.pem", certificate.public_bytes(serialization.Encoding.PEM))
    return _described(certificate, "hub", frozenset())


def issue(
    folder: Path,
    ae_title: str,
    hcode: str,
    *,
    request_pem: bytes | None = None,
    days: int = CERTIFICATE_DAYS,
) -> Issued:
    """A certificate for a machine, for its signing request or with a key made here.

    Raises:
        NotReady: there is no authority yet.
        BadRequest: the request is none, its signature or key does not do, or the days are out of range.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise BadRequest(f"{days} days must be from 1 to {LONGEST_DAYS}")
    key = None if request_pem else new_key()
    public = requested_key(request_pem) if request_pem else key.public_key() if key else None
    assert public is not None
    fresh = _sign(folder, subject(ae_title, hcode), public, days)
    pem = fresh.public_bytes(serialization.Encoding.PEM)
    described = _described(fresh, "issued", frozenset())
    _write(folder / "issued" / f"{described.fingerprint}.pem", pem)
    return Issued(described, pem, None if key is None else key_pem(key))


def trust(folder: Path, pem: bytes) -> Certificate:
    """Trust a machine's own certificate, or another authority's.

    Raises:
        BadRequest: it is no certificate.
    """
    described = _described(_load(pem, "the certificate"), "trusted", frozenset())
    _write(folder / "trusted" / f"{described.fingerprint}.pem", pem)
    return described


def revoke(folder: Path, print_: str) -> Certificate:
    """Let a certificate in no more, from the next connection on; again changes nothing.

    Raises:
        NotFound: no such certificate was issued or trusted here.
    """
    found = next((each for each in list_certificates(folder) if each.fingerprint == print_), None)
    if found is None or found.kind in ("authority", "hub"):
        raise NotFound(f"no certificate with the fingerprint {print_} was issued or trusted here")
    revoked = _revoked(folder) | {print_}
    _write(folder / "revoked.txt", "".join(f"{each}\n" for each in sorted(revoked)).encode())
    return found


def list_certificates(folder: Path) -> list[Certificate]:
    """Every certificate of the folder, the one that expires first at the top."""
    kinds: list[tuple[str, Iterable[Path]]] = [
        ("authority", [folder / "ca.pem"]),
        ("hub", [folder / "hub.pem"]),
        ("issued", (folder / "issued").glob("*.pem")),
        ("trusted", (folder / "trusted").glob("*.pem")),
    ]
    revoked = _revoked(folder)
    found = [
        _described(_load(path.read_bytes(), str(path)), kind, revoked)
        for kind, paths in kinds
        for path in paths
        if path.is_file()
    ]
    return sorted(found, key=lambda each: each.expires_at)


def _sign(
    folder: Path, name: x509.Name, key: rsa.RSAPublicKey, days: int, hosts: Sequence[str] = ()
) -> x509.Certificate:
    if not (folder / "ca.key").is_file():
        raise NotReady(f"there is no authority in {folder} yet: run `hub tls init`")
    authority = _load((folder / "ca.pem").read_bytes(), "ca.pem")
    authority_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(authority_key, rsa.RSAPrivateKey)
    return signed(name, key, days, authority=authority, authority_key=authority_key, hosts=hosts)


def _load(pem: bytes, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise BadRequest(f"{what} is no certificate in PEM: {error}") from error


def _described(certificate: x509.Certificate, kind: str, revoked: frozenset[str]) -> Certificate:
    shown = fingerprint(certificate.public_bytes(serialization.Encoding.DER))
    return Certificate(
        fingerprint=shown,
        name=_attribute(certificate, NameOID.COMMON_NAME),
        hcode=_attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME) if kind == "issued" else "",
        kind=kind,
        expires_at=certificate.not_valid_after_utc,
        revoked=shown in revoked,
    )


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _revoked(folder: Path) -> frozenset[str]:
    path = folder / "revoked.txt"
    return frozenset(path.read_text("utf-8").split()) if path.is_file() else frozenset()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner's eyes only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
