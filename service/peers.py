"""Peer: another application entity that the hub calls: where it is, what it wants, what it is asked."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.callers import check_ae_title, check_fingerprint
from service.db import Base, Id, Json, UtcDateTime, after_commit, now
from service.errors import AlreadyExists, BadRequest, NotFound
from service.hospitals import find_hospital
from service.listings import write_listing
from service.settings import Settings

if TYPE_CHECKING:
    from pacs_gateway.peers import Peer as Remote


class PeerRole(StrEnum):
    """What the hub does with a peer."""

    DESTINATION = "destination"
    """Results, letters and referred studies are sent to it."""
    PRIORS = "priors"
    """It is asked for earlier studies, and how many instances a study has."""
    COMMITMENT = "commitment"
    """It is told what the hub keeps for good, and is asked the same. PS3.4 annex J."""


class ResultKind(StrEnum):
    """A kind of result object that a destination may want."""

    SR = "sr"
    SEG = "seg"
    GSPS = "gsps"
    SC = "sc"
    PDF = "pdf"


class Peer(Base):
    """One peer; its name is what people, deliveries and addresses call it by."""

    __tablename__ = "peers"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    ae_title: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    hcode: Mapped[str | None] = mapped_column(ForeignKey("hospitals.hcode"), index=True)
    tls: Mapped[bool]
    certificate: Mapped[str] = mapped_column(String(64))
    """The fingerprint it must show over TLS; empty takes any that the hub's certificates vouch for."""
    objects: Mapped[list[str]] = mapped_column(Json)
    """The kinds of result that are pushed to it; none pushes nothing."""
    roles: Mapped[list[str]] = mapped_column(Json)
    enabled: Mapped[bool]
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)

    @property
    def commits(self) -> bool:
        """Whether it is asked to commit to what it was sent."""
        return PeerRole.COMMITMENT in self.roles


def add_peer(
    session: Session,
    name: str,
    *,
    ae_title: str,
    host: str,
    port: int,
    hcode: str | None = None,
    tls: bool = False,
    certificate: str = "",
    objects: Iterable[str] = (),
    roles: Iterable[str] = (PeerRole.DESTINATION,),
    enabled: bool = True,
) -> Peer:
    """Add a peer.

    Raises:
        AlreadyExists: the name is taken.
        BadRequest: a value is not accepted; the text names it and the limit.
        NotFound: no such hospital.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", name):
        raise BadRequest(f"peer name {name!r} must have 1 to 60 letters, digits, dots, dashes or underscores")
    if session.scalar(select(Peer.id).where(Peer.name == name)):
        raise AlreadyExists(f"a peer is called {name!r} already")
    peer = Peer(name=name)
    values = {
        "ae_title": ae_title,
        "host": host,
        "port": port,
        "hcode": hcode,
        "tls": tls,
        "enabled": enabled,
    }
    _set(session, peer, {**values, "certificate": certificate, "objects": objects, "roles": roles})
    session.add(peer)
    session.flush()
    return peer


def change_peer(session: Session, name: str, **changes: Any) -> Peer:
    """Change what is given of a peer; the next association goes by it.

    Raises:
        NotFound, BadRequest: see `add_peer`.
    """
    peer = find_peer(session, name)
    with session.no_autoflush:
        _set(session, peer, changes)
    session.flush()
    return peer


def remove_peer(session: Session, name: str) -> None:
    """Forget a peer.

    Raises:
        NotFound: there is none of this name.
    """
    session.delete(find_peer(session, name))
    session.flush()


def find_peer(session: Session, name: str) -> Peer:
    """The peer of this name.

    Raises:
        NotFound: there is none.
    """
    if peer := session.scalar(select(Peer).where(Peer.name == name)):
        return peer
    raise NotFound(f"no peer is called {name!r}")


def list_peers(
    session: Session, *, hcode: str | None = None, role: PeerRole | None = None, enabled_only: bool = False
) -> Sequence[Peer]:
    """Peers by name, narrowed by what is given."""
    query = select(Peer).order_by(Peer.name)
    if hcode is not None:
        query = query.where(Peer.hcode == hcode)
    if enabled_only:
        query = query.where(Peer.enabled)
    return [peer for peer in session.scalars(query) if role is None or role in peer.roles]


def destinations(session: Session, hcode: str, kind: ResultKind | None = None) -> Sequence[Peer]:
    """Where a hospital wants results: its enabled destinations, and with `kind` those that want this kind."""
    found = list_peers(session, hcode=hcode, role=PeerRole.DESTINATION, enabled_only=True)
    return [peer for peer in found if kind is None or kind in peer.objects]


def as_remote(peer: Peer, settings: Settings) -> "Remote":
    """The peer as the gateway calls it."""
    # not at the top: rows are read where nobody is called, and pynetdicom costs 20 MB
    from pacs_gateway.peers import Peer as Remote
    from pacs_gateway.tls import TlsFiles

    tls = TlsFiles(settings.tls) if peer.tls else None
    return Remote(peer.ae_title, peer.host, peer.port, tls, peer.certificate)


def write_peers(session: Session, path: Path) -> None:
    """Write the list of peers whom the listener reports commitments to."""
    fields = ("ae_title", "host", "port", "hcode", "tls", "certificate")
    listed = list_peers(session, role=PeerRole.COMMITMENT, enabled_only=True)
    write_listing(path, {"peers": [{name: getattr(peer, name) for name in fields} for peer in listed]})


def publish_peers(session: Session, settings: Settings) -> None:
    """Write the list once the session has committed."""
    after_commit(session, lambda: write_peers(session, settings.peers))


def _set(session: Session, peer: Peer, values: dict[str, Any]) -> None:
    """Check every value, then set them all."""
    checked = {name: _check(session, name, value) for name, value in values.items()}
    tls = checked.get("tls", peer.tls)
    if checked.get("certificate", peer.certificate) and not tls:
        raise BadRequest(f"peer {peer.name!r} has a certificate to show, but not tls")
    for name, value in checked.items():
        setattr(peer, name, value)


def _check(session: Session, name: str, value: Any) -> Any:
    match name:
        case "ae_title":
            return check_ae_title(value)
        case "host":
            return _host(value)
        case "port":
            if not 1 <= value <= 65535:
                raise BadRequest(f"port {value} must be a whole number from 1 to 65535")
            return value
        case "hcode":
            return None if value is None else find_hospital(session, value).hcode
        case "certificate":
            return check_fingerprint(value) if value else ""
        case "objects":
            return _words(value, ResultKind)
        case "roles":
            return _words(value, PeerRole)
        case "tls" | "enabled":
            return bool(value)
    raise BadRequest(f"a peer has no {name!r}")


def _host(text: str) -> str:
    host = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?", host):
        raise BadRequest(f"host {text!r} must be a host name or an IP address of at most 255 characters")
    return host


def _words(values: Iterable[str], closed: type[StrEnum]) -> list[str]:
    given = list(dict.fromkeys(str(each) for each in values))
    unknown = [each for each in given if each not in set(closed)]
    if unknown:
        raise BadRequest(f"{unknown[0]!r} is none of {', '.join(closed)}")
    return given
