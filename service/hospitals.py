"""Hospital: who belongs to the region."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base
from service.errors import NotFound

REGION_8 = Path(__file__).parent / "data" / "hospitals.csv"

HCODE: Final = re.compile("[0-9]{5}")
"""A hospital's code: five Arabic digits. The nine characters of Provider ID (AA0000051) are none."""


class Hospital(Base):
    """One hospital of the region."""

    __tablename__ = "hospitals"

    hcode: Mapped[str] = mapped_column(String(5), primary_key=True)
    name_th: Mapped[str] = mapped_column(String(200))
    name_en: Mapped[str] = mapped_column(String(200))
    province_th: Mapped[str] = mapped_column(String(100))
    province_en: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(40))
    uc_population: Mapped[int | None]
    ct_slices: Mapped[int | None]
    """Detector rows of its largest scanner; None where it has no scanner."""
    ct_scanners: Mapped[int]
    ct_patients_per_month: Mapped[int | None]
    pacs_vendor: Mapped[str] = mapped_column(String(100))


def seed_hospitals(session: Session, source: Path = REGION_8) -> int:
    """Add the region's hospitals that are missing; those already there keep what was edited.

    Returns:
        How many were added.
    """
    known = set(session.scalars(select(Hospital.hcode)))
    with source.open(encoding="utf-8", newline="") as rows:
        missing = [_hospital(row) for row in csv.DictReader(rows) if row["hcode"] not in known]
    session.add_all(missing)
    session.flush()
    return len(missing)


def _hospital(row: dict[str, str]) -> Hospital:
    numbers = {
        key: int(row[key]) if row[key] else None
        for key in ("uc_population", "ct_slices", "ct_scanners", "ct_patients_per_month")
    }
    return Hospital(**{**row, **numbers, "ct_scanners": numbers["ct_scanners"] or 0})


def find_hospital(session: Session, hcode: str) -> Hospital:
    """The hospital with this code.

    Raises:
        NotFound: there is none.
    """
    # nothing but a code is put to the database: not every one takes any text
    if HCODE.fullmatch(hcode) and (hospital := session.get(Hospital, hcode)):
        return hospital
    raise NotFound(f"no hospital has the code {hcode!r}")


def list_hospitals(session: Session) -> Sequence[Hospital]:
    """Every hospital by code."""
    return session.scalars(select(Hospital).order_by(Hospital.hcode)).all()


def hospital_names(session: Session, *, thai: bool) -> dict[str, str]:
    """The name of every hospital by code; columns alone, as every page with a list asks for them."""
    name = Hospital.name_th if thai else Hospital.name_en
    return {hcode: text for hcode, text in session.execute(select(Hospital.hcode, name))}
