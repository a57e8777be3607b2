"""HospitalMode: whether the AI speaks at a hospital (live) or only watches (silent), and who switched it.

In silent mode studies are received, analysed and kept as ever, and the pages show the answers under a mark
that says so; but nothing is pushed to a PACS and nobody is alerted.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.db import Base, UtcDateTime, now, words
from service.hospitals import find_hospital


class Mode(StrEnum):
    """What the AI does at a hospital."""

    LIVE = "live"
    SILENT = "silent"


class HospitalMode(Base):
    """A hospital's mode since somebody switched it; without a row it is live."""

    __tablename__ = "hospital_modes"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    mode: Mapped[Mode] = mapped_column(words(Mode))
    switched_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def mode_of(session: Session, hcode: str | None) -> Mode:
    """What the AI does at a hospital; live where nobody has switched it."""
    row = session.get(HospitalMode, hcode) if hcode else None
    return row.mode if row else Mode.LIVE


def modes(session: Session) -> Mapping[str, HospitalMode]:
    """Every hospital that was ever switched."""
    return {row.hcode: row for row in session.scalars(select(HospitalMode))}


def switch_mode(session: Session, viewer: Viewer, hcode: str, mode: Mode) -> HospitalMode:
    """Let the AI speak at a hospital, or only watch; from the next study on.

    Raises:
        NotFound: no such hospital.
    """
    find_hospital(session, hcode)
    row = session.get(HospitalMode, hcode)
    if row is None:
        row = HospitalMode(hcode=hcode, mode=mode, switched_by=viewer.username)
        session.add(row)
    elif row.mode is mode:
        return row
    else:
        row.mode, row.switched_by, row.at = mode, viewer.username, now()
    session.flush()
    audit.record(session, viewer.username, f"hospital.{mode.value}", detail={"hospital": hcode})
    return row
