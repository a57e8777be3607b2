"""Caller: a machine that may send, known by its network address or by its certificate."""

import re
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from sqlalchemy import ForeignKey, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, Id, Json, after_commit
from service.errors import AlreadyExists, BadRequest, NotFound
from service.hospitals import find_hospital
from service.listings import write_listing
from service.settings import Settings


class Caller(Base):
    """A DICOM application entity that may call, and the hospital it speaks for."""

    __tablename__ = "callers"
    __table_args__ = (UniqueConstraint("ae_title", "hcode"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16))
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), index=True)
    addresses: Mapped[list[str]] = mapped_column(Json)
    """Networks it may call from without TLS, such as 10.8.0.0/16."""
    certificates: Mapped[list[str]] = mapped_column(Json)
    """SHA-256 fingerprints of the certificates it may show over TLS. With none and no address it may call
    in plain from anywhere; with a certificate and no address only over TLS."""


def add_caller(
    session: Session, ae_title: str, hcode: str, addresses: Sequence[str], *, certificates: Sequence[str] = ()
) -> Caller:
    """Allow a DICOM machine to call for a hospital.

    Raises:
        NotFound: no such hospital.
        BadRequest: the AE title, a network or a fingerprint is not well formed.
        AlreadyExists: this AE title is already listed for this hospital.
    """
    find_hospital(session, hcode)
    caller = Caller(
        ae_title=check_ae_title(ae_title),
        hcode=hcode,
        addresses=[_network(each) for each in addresses],
        certificates=[check_fingerprint(each) for each in certificates],
    )
    if _caller(session, caller.ae_title, hcode):
        raise AlreadyExists(f"AE title {caller.ae_title!r} is already listed for hospital {hcode}")
    session.add(caller)
    session.flush()
    return caller


def map_certificate(session: Session, ae_title: str, hcode: str, fingerprint: str) -> Caller:
    """Let a machine come with this certificate; one that is not listed yet may then call over TLS alone.

    Raises:
        NotFound, BadRequest: see `add_caller`.
    """
    caller = _caller(session, check_ae_title(ae_title), hcode)
    if caller is None:
        return add_caller(session, ae_title, hcode, [], certificates=[fingerprint])
    caller.certificates = list(dict.fromkeys([*caller.certificates, check_fingerprint(fingerprint)]))
    session.flush()
    return caller


def unmap_certificate(session: Session, fingerprint: str) -> int:
    """Take a certificate from every caller, and remove one that had nothing else; how many were changed."""
    changed = [each for each in list_callers(session) if fingerprint in each.certificates]
    for caller in changed:
        caller.certificates = [each for each in caller.certificates if each != fingerprint]
        if not caller.certificates and not caller.addresses:
            session.delete(caller)  # with neither it would be let in from anywhere
    session.flush()
    return len(changed)


def remove_caller(session: Session, ae_title: str, hcode: str) -> None:
    """Stop a machine from calling for a hospital.

    Raises:
        NotFound: it is not listed.
    """
    caller = _caller(session, ae_title, hcode)
    if caller is None:
        raise NotFound(f"AE title {ae_title!r} is not listed for hospital {hcode}")
    session.delete(caller)
    session.flush()


def list_callers(session: Session) -> Sequence[Caller]:
    """Every caller by AE title."""
    return session.scalars(select(Caller).order_by(Caller.ae_title, Caller.hcode)).all()


def write_callers(session: Session, path: Path, *, learn: bool = False) -> None:
    """Write the list that the DICOM listener reads at its next association."""
    callers = [
        {
            "ae": caller.ae_title,
            "addresses": caller.addresses,
            "certificates": caller.certificates,
            "hcode": caller.hcode,
        }
        for caller in list_callers(session)
    ]
    write_listing(path, {"callers": callers, "learn": learn})


def publish_callers(session: Session, settings: Settings) -> None:
    """Write the list once the session has committed."""
    after_commit(session, lambda: write_callers(session, settings.callers, learn=settings.learn_callers))


def check_ae_title(ae_title: str) -> str:
    """An AE title without the spaces around it. PS3.5 section 6.2.

    Raises:
        BadRequest: it is none.
    """
    title = ae_title.strip()
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", title):
        raise BadRequest(f"AE title {ae_title!r} must have 1 to 16 ASCII characters without a backslash")
    return title


def check_fingerprint(text: str) -> str:
    """A SHA-256 fingerprint as 64 lower-case hexadecimal digits; colons and spaces are let go.

    Raises:
        BadRequest: it is none.
    """
    digits = re.sub(r"[:\s]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise BadRequest(f"{text!r} is not a SHA-256 fingerprint: 64 hexadecimal digits")
    return digits


def _caller(session: Session, ae_title: str, hcode: str) -> Caller | None:
    return session.scalar(select(Caller).where(Caller.ae_title == ae_title.strip(), Caller.hcode == hcode))


def _network(address: str) -> str:
    try:
        return str(ip_network(address.strip(), strict=False))
    except ValueError:
        raise BadRequest(f"{address!r} is not an IP address or network, such as 10.8.0.0/16") from None
