"""Hospital and Caller: who belongs to the region, and which machine speaks for whom."""

import csv
import json
import os
import tempfile
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from sqlalchemy import ForeignKey, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, Id, Json
from service.errors import AlreadyExists, BadRequest, NotFound

REGION_8 = Path(__file__).parent / "data" / "hospitals.csv"


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


class Caller(Base):
    """A DICOM application entity that may call, and the hospital it speaks for."""

    __tablename__ = "callers"
    __table_args__ = (UniqueConstraint("ae_title", "hcode"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16))
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), index=True)
    addresses: Mapped[list[str]] = mapped_column(Json)
    """Networks it may call from, such as 10.8.0.0/16."""


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
    if hospital := session.get(Hospital, hcode):
        return hospital
    raise NotFound(f"no hospital has the code {hcode!r}")


def list_hospitals(session: Session) -> Sequence[Hospital]:
    """Every hospital by code."""
    return session.scalars(select(Hospital).order_by(Hospital.hcode)).all()


def add_caller(session: Session, ae_title: str, hcode: str, addresses: Sequence[str]) -> Caller:
    """Allow a DICOM machine to call for a hospital.

    Raises:
        NotFound: no such hospital.
        BadRequest: the AE title or a network is not well formed.
        AlreadyExists: this AE title is already listed for this hospital.
    """
    find_hospital(session, hcode)
    if not 1 <= len(ae_title.strip()) <= 16 or not ae_title.isascii() or "\\" in ae_title:
        raise BadRequest(f"AE title {ae_title!r} must have 1 to 16 ASCII characters without a backslash")
    caller = Caller(ae_title=ae_title.strip(), hcode=hcode, addresses=[_network(each) for each in addresses])
    if _caller(session, caller.ae_title, hcode):
        raise AlreadyExists(f"AE title {caller.ae_title!r} is already listed for hospital {hcode}")
    session.add(caller)
    session.flush()
    return caller


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
    """Write the list that the DICOM listener reads; a reader sees the old one or the new one, never half."""
    callers = [
        {"ae": caller.ae_title, "addresses": caller.addresses, "hcode": caller.hcode}
        for caller in list_callers(session)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"callers": callers, "learn": learn}, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def _caller(session: Session, ae_title: str, hcode: str) -> Caller | None:
    return session.scalar(select(Caller).where(Caller.ae_title == ae_title.strip(), Caller.hcode == hcode))


def _network(address: str) -> str:
    try:
        return str(ip_network(address.strip(), strict=False))
    except ValueError:
        raise BadRequest(f"{address!r} is not an IP address or network, such as 10.8.0.0/16") from None
