"""Neighbour: another Imaging Hub, at which some of the hospitals live that patients are referred to and from.

Both sides list each other under the same name with the same secret. What one sends the other is signed with
it: `X-Hub-Signature: sha256=HEX` is the HMAC-SHA256 of timestamp, method, path and body.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, Id, UtcDateTime, now
from service.errors import AlreadyExists, BadRequest, NotFound, NotSignedIn
from service.hospitals import find_hospital

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
SHORTEST_SECRET: Final = 32
CLOCKS_APART: Final = 300.0
"""Seconds by which the two hubs' clocks may differ; an older message is refused."""


class Neighbour(Base):
    """One other hub."""

    __tablename__ = "neighbours"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    """Of the pair: the other hub lists this one by the same."""
    url: Mapped[str] = mapped_column(String(300))
    secret: Mapped[str] = mapped_column(String(200))
    enabled: Mapped[bool] = mapped_column(default=True)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)


class NeighbourHospital(Base):
    """A hospital whose people work at a neighbour; at most one."""

    __tablename__ = "neighbour_hospitals"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    neighbour_id: Mapped[int] = mapped_column(ForeignKey("neighbours.id"), index=True)


def add_neighbour(
    session: Session, name: str, url: str, hospitals: Iterable[str], *, secret: str = ""
) -> Neighbour:
    """List another hub, and the hospitals that live there.

    Args:
        session: A writing session.
        name: Of the pair.
        url: Where it answers, without path.
        hospitals: Their codes.
        secret: As the other side has it; empty makes a new one.

    Raises:
        AlreadyExists: the name is taken, or a hospital lives at another neighbour.
        BadRequest: name, address or secret are not accepted.
        NotFound: no such hospital.
    """
    if not NAME.fullmatch(name):
        raise BadRequest(f"neighbour {name!r} must have 1 to 40 small letters, digits or dashes")
    if secret and not SHORTEST_SECRET <= len(secret) <= 200:
        raise BadRequest(f"a secret of {len(secret)} characters; it must have {SHORTEST_SECRET} to 200")
    if session.scalar(select(Neighbour.id).where(Neighbour.name == name)):
        raise AlreadyExists(f"a neighbour is called {name!r} already")
    made = Neighbour(name=name, url=_address(url), secret=secret or secrets.token_urlsafe(32), enabled=True)
    session.add(made)
    session.flush()
    settle_hospitals(session, made, hospitals)
    return made


def settle_hospitals(session: Session, neighbour: Neighbour, hospitals: Iterable[str]) -> None:
    """Make these the hospitals that live there.

    Raises:
        AlreadyExists: one lives at another neighbour.
        NotFound: no such hospital.
    """
    chosen = list(dict.fromkeys(hospitals))
    session.execute(delete(NeighbourHospital).where(NeighbourHospital.neighbour_id == neighbour.id))
    for hcode in chosen:
        find_hospital(session, hcode)
        if (other := neighbour_of(session, hcode)) is not None:
            raise AlreadyExists(f"hospital {hcode} lives at neighbour {other.name!r}")
        session.add(NeighbourHospital(hcode=hcode, neighbour_id=neighbour.id))
    session.flush()


def switch_neighbour(session: Session, name: str, *, enabled: bool) -> Neighbour:
    """Talk to it, or not for now; what is to be said waits.

    Raises:
        NotFound: there is none of this name.
    """
    found = find_neighbour(session, name)
    found.enabled = enabled
    session.flush()
    return found


def find_neighbour(session: Session, name: str) -> Neighbour:
    """The neighbour of this name.

    Raises:
        NotFound: there is none.
    """
    if found := session.scalar(select(Neighbour).where(Neighbour.name == name)):
        return found
    raise NotFound(f"no neighbour is called {name!r}")


def list_neighbours(session: Session) -> Sequence[Neighbour]:
    """Every neighbour by name."""
    return session.scalars(select(Neighbour).order_by(Neighbour.name)).all()


def hospitals_at(session: Session, neighbour: Neighbour) -> list[str]:
    """The codes of the hospitals that live there."""
    query = select(NeighbourHospital.hcode).where(NeighbourHospital.neighbour_id == neighbour.id)
    return list(session.scalars(query.order_by(NeighbourHospital.hcode)))


def neighbour_of(session: Session, hcode: str) -> Neighbour | None:
    """The hub at which a hospital lives; None where that is this one."""
    query = select(Neighbour).join(NeighbourHospital, NeighbourHospital.neighbour_id == Neighbour.id)
    return session.scalar(query.where(NeighbourHospital.hcode == hcode))


def sign_request(secret: str, timestamp: str, method: str, path: str, body: bytes) -> str:
    """The signature in hex."""
    head = f"{timestamp}.{method}.{path}.".encode()
    return hmac.new(secret.encode(), head + body, hashlib.sha256).hexdigest()


def recognise(
    session: Session, *, name: str, timestamp: str, signature: str, method: str, path: str, body: bytes
) -> Neighbour:
    """The neighbour that signed a request.

    Raises:
        NotSignedIn: nobody of this name did, or too long ago.
    """
    found = session.scalar(select(Neighbour).where(Neighbour.name == name, Neighbour.enabled))
    # the same work and the same words whether or not the name is known
    secret = found.secret if found else secrets.token_urlsafe(32)
    wanted = f"sha256={sign_request(secret, timestamp, method, path, body)}"
    fresh = timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12
    late = not fresh or abs(now().timestamp() - int(timestamp)) > CLOCKS_APART
    if (
        not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))
        or late
        or found is None
    ):
        raise NotSignedIn("no neighbour of this hub signed this within five minutes")
    return found


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or len(url) > 300:
        raise BadRequest(f"address {url[:80]!r} must be http(s)://host[:port] without a path")
    return f"{parts.scheme}://{parts.netloc}"
