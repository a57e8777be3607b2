"""NReferKey: the keys by which a hospital's referrals enter MOPH Refer; without them none is sent."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.circuits import close_circuit
from service.db import Base, UtcDateTime, now
from service.errors import BadRequest, NotFound
from service.hospitals import find_hospital
from service.moph.messages import line_of, withdraw_messages

LONGEST_KEY = 200


class NReferKey(Base):
    """What the ministry gave a hospital. Neither half is ever shown again."""

    __tablename__ = "nrefer_keys"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    api_key: Mapped[str] = mapped_column(String(LONGEST_KEY))
    secret_key: Mapped[str] = mapped_column(String(LONGEST_KEY))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    """Referrals that changed from then on are sent; what was before is the hospital's own to upload."""
    set_by: Mapped[str] = mapped_column(String(100))


def set_keys(session: Session, actor: Viewer, hcode: str, *, api_key: str, secret_key: str) -> NReferKey:
    """Give a hospital its keys, or new ones: what waits is tried at once.

    Raises:
        NotFound: no such hospital.
        BadRequest: a key is empty, too long, or not printable ASCII.
    """
    find_hospital(session, hcode)
    for name, key in (("api key", api_key), ("secret key", secret_key)):
        if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            raise BadRequest(
                f"the {name} has {len(key)} characters; 1 to {LONGEST_KEY} printable ASCII ones are taken"
            )
    row = session.get(NReferKey, hcode)
    if row is None:
        row = NReferKey(hcode=hcode, since=now())
        session.add(row)
    row.api_key, row.secret_key, row.set_by = api_key, secret_key, actor.username
    close_circuit(session, line_of(hcode))
    session.flush()
    audit.record(session, actor.username, "moph.keys_set", detail={"hospital": hcode})
    return row


def drop_keys(session: Session, actor: Viewer, hcode: str) -> None:
    """Send no more of this hospital; what waits is withdrawn.

    Raises:
        NotFound: it has no keys.
    """
    row = session.get(NReferKey, hcode)
    if row is None:
        raise NotFound(f"hospital {hcode!r} has no keys for MOPH Refer")
    session.delete(row)
    withdraw_messages(session, hcode)
    session.flush()
    audit.record(session, actor.username, "moph.keys_dropped", detail={"hospital": hcode})


def list_keys(session: Session) -> Sequence[NReferKey]:
    """Which hospitals have keys, by code."""
    return session.scalars(select(NReferKey).order_by(NReferKey.hcode)).all()
