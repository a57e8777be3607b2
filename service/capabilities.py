"""Capability: what a hospital says that it can do, who said so, and when.

Nothing is guessed: of what nobody has stated, nothing is known. The region's own list states CT and MRI.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Role, Viewer
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import NotAllowed
from service.hospitals import Hospital, find_hospital

REGION_LIST = "region 8 list"
"""Who the rows of the seed are stated by."""
LIST_DATE = datetime(2025, 4, 1, tzinfo=UTC)
"""1 April 2568, the date of the figures in the region's list."""


class Capability(StrEnum):
    """What a patient with a stroke may need of a hospital."""

    CT = "ct"
    MRI = "mri"
    THROMBOLYSIS = "thrombolysis"
    THROMBECTOMY = "thrombectomy"
    NEUROSURGERY = "neurosurgery"


class CapabilityStatement(Base):
    """One statement; the newest of a hospital and capability counts, and the older ones stay."""

    __tablename__ = "capability_statements"
    __table_args__ = (Index("ix_capability_statements_hcode_capability", "hcode", "capability", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    capability: Mapped[Capability] = mapped_column(words(Capability))
    available: Mapped[bool]
    stated_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


Stated = Mapping[Capability, CapabilityStatement]
"""What is stated of one hospital; what is missing is not known."""


def seed_capabilities(session: Session) -> int:
    """State what the region's list says, for hospitals of which nothing is stated yet.

    The list names 25 CT scanners in 23 hospitals, and one MRI in each provincial hospital. That it names no
    scanner elsewhere is not taken as a statement.

    Returns:
        How many statements were added.
    """
    known = set(session.scalars(select(CapabilityStatement.hcode).distinct()))
    added = [
        CapabilityStatement(
            hcode=hospital.hcode, capability=each, available=True, stated_by=REGION_LIST, at=LIST_DATE
        )
        for hospital in session.scalars(select(Hospital).order_by(Hospital.hcode))
        if hospital.hcode not in known
        for each in _listed(hospital)
    ]
    session.add_all(added)
    session.flush()
    return len(added)


def state_capability(
    session: Session, viewer: Viewer, hcode: str, capability: Capability, *, available: bool
) -> CapabilityStatement:
    """State that a hospital can do something, or cannot; stating what already stands changes nothing.

    Raises:
        NotFound: no such hospital.
        NotAllowed: it is not the viewer's own, and the viewer does not administer the hub.
    """
    find_hospital(session, hcode)
    if viewer.role is not Role.ADMIN and viewer.hcode != hcode:
        raise NotAllowed(f"only hospital {hcode} itself, or an administrator, states what it can do")
    standing = stated_of(session, hcode).get(capability)
    if standing is not None and standing.available is available:
        return standing
    statement = CapabilityStatement(
        hcode=hcode, capability=capability, available=available, stated_by=viewer.username
    )
    session.add(statement)
    session.flush()
    detail = {"hospital": hcode, "capability": capability.value, "available": int(available)}
    audit.record(session, viewer.username, "hospital.capability", detail=detail)
    return statement


def stated_of(session: Session, hcode: str) -> Stated:
    """What stands stated of one hospital."""
    return _standing(session, hcode).get(hcode, {})


def stated(session: Session) -> Mapping[str, Stated]:
    """What stands stated, by hospital; one of which nothing is stated is missing."""
    return _standing(session, None)


def _standing(session: Session, hcode: str | None) -> dict[str, dict[Capability, CapabilityStatement]]:
    newest = select(func.max(CapabilityStatement.id)).group_by(
        CapabilityStatement.hcode, CapabilityStatement.capability
    )
    if hcode is not None:
        newest = newest.where(CapabilityStatement.hcode == hcode)
    found: dict[str, dict[Capability, CapabilityStatement]] = {}
    for row in session.scalars(select(CapabilityStatement).where(CapabilityStatement.id.in_(newest))):
        found.setdefault(row.hcode, {})[row.capability] = row
    return found


def _listed(hospital: Hospital) -> list[Capability]:
    listed = [Capability.CT] if hospital.ct_scanners else []
    return [*listed, Capability.MRI] if hospital.kind == "provincial" else listed
