"""X.509 as DICOM machines understand it: RSA, SHA-256, both uses in one certificate. RFC 5280, RFC 9325."""

import ipaddress
from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.db import now
from service.errors import BadRequest

KEY_BITS = 2048
"""RFC 9325 section 4.3 asks for no more; RSA, because old PACS know nothing else."""


def self_signed(name: str, key: rsa.RSAPrivateKey, days: int) -> x509.Certificate:
    """An authority's own certificate, good for one level below it."""
    builder = _builder(subject(name), subject(name), key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def signed(
    name: x509.Name,
    key: rsa.RSAPublicKey,
    days: int,
    *,
    authority: x509.Certificate,
    authority_key: rsa.RSAPrivateKey,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """A machine's certificate, for calling and for being called.

    Args:
        name: of `subject`.
        key: the machine's.
        days: how long it is good.
        authority, authority_key: who signs.
        hosts: host names and addresses beside localhost.
    """
    builder = _builder(name, authority.subject, key, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    names = [_general_name(each) for each in dict.fromkeys(["localhost", "127.0.0.1", *hosts])]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
    )
    return builder.sign(authority_key, hashes.SHA256())


def _builder(name: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, days: int) -> x509.CertificateBuilder:
    begin = now() - timedelta(hours=1)  # hospital clocks are late now and then
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now() + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def requested_key(pem: bytes) -> rsa.RSAPublicKey:
    """The key of a signing request, which proves that its owner holds the other half.

    Raises:
        BadRequest: it is none, or its key is not RSA or too short.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
        if not request.is_signature_valid:
            raise InvalidSignature("its signature does not fit its key")
    except (ValueError, InvalidSignature) as error:
        raise BadRequest(f"the signing request cannot be used: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS:
        raise BadRequest(f"the signing request must have an RSA key of {KEY_BITS} bits or more")
    return key


def subject(name: str, hcode: str = "") -> x509.Name:
    """A machine's AE title, and its hospital's code as organisational unit."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if hcode:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, hcode))
    return x509.Name(parts)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def new_key() -> rsa.RSAPrivateKey:
    """A fresh private key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """A private key in PEM, not encrypted: the listener must start without a person."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
