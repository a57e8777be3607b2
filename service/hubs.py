"""HospitalHub: the hospital that stands behind another one when nobody there answers."""

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.db import Base
from service.errors import BadRequest
from service.hospitals import Hospital, find_hospital

PROVINCIAL = "provincial"


class HospitalHub(Base):
    """A hub that somebody chose; without a row it is the provincial hospital of the same province."""

    __tablename__ = "hospital_hubs"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    hub: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))


def hub_of(session: Session, hcode: str) -> str | None:
    """The code of the hospital's hub; None for one that has nobody behind it."""
    if row := session.get(HospitalHub, hcode):
        return row.hub
    hospital = find_hospital(session, hcode)
    if hospital.kind == PROVINCIAL:
        return None
    query = (
        select(Hospital.hcode)
        .where(Hospital.province_en == hospital.province_en, Hospital.kind == PROVINCIAL)
        .order_by(Hospital.hcode)
    )
    return session.scalar(query.limit(1))


def choose_hub(session: Session, viewer: Viewer, hcode: str, hub: str) -> HospitalHub:
    """Put another hospital behind this one.

    Raises:
        NotFound: no such hospital.
        BadRequest: a hospital cannot stand behind itself.
    """
    if hcode == hub:
        raise BadRequest(f"hospital {hcode} cannot be its own hub")
    for each in (hcode, hub):
        find_hospital(session, each)
    row = session.merge(HospitalHub(hcode=hcode, hub=hub))
    session.flush()
    audit.record(session, viewer.username, "hospital.hub", detail={"hospital": hcode, "to": hub})
    return row
