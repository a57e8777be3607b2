"""Acquisition: when the scanner says that it made the images, and how far its clock seems to be off.

CT clocks drift, and nobody notices until minutes count. An image cannot arrive before it is made: where
several seem to, the clock is ahead. A clock that is behind looks like a slow line, so it is pointed at and
never corrected.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.arrivals import clean
from service.db import Base, UtcDateTime
from service.findings import Analysis
from service.studies import Study
from service.thai_time import THAILAND

STUDIES = 50
"""The newest studies of a scanner by which its clock is judged."""
FEWEST = 10
"""Studies below which a clock is not said to be behind."""
BEHIND = timedelta(minutes=15)
"""The shortest way from scanner to hub that cannot be the line's doing in every one of them."""
LONGEST = 10 * 365 * 86_400
"""Seconds: a scan older than this was dated by mistake, or is no acute one."""

ACQUISITION = ("0008002A", "00080022", "00080032", "00080023", "00080033")
"""AcquisitionDateTime; AcquisitionDate and Time; ContentDate and Time."""


class Acquisition(Base):
    """The first and the last image of a study, by the scanner's clock."""

    __tablename__ = "acquisitions"
    __table_args__ = (Index("ix_acquisitions_scanner", "scanner", "study_id"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    scanner: Mapped[str] = mapped_column(String(200))
    """Hospital, maker, and serial number or station name."""
    lag_seconds: Mapped[float] = mapped_column(Float)
    """From the last image to the last slice's arrival, by two clocks."""
    kernel: Mapped[str] = mapped_column(String(64), default="")
    """ConvolutionKernel of the series that was read, or of the first; empty where the images name none."""


@dataclass(frozen=True, slots=True)
class ScannerClock:
    """What the newest studies of one scanner tell of its clock."""

    studies: int
    ahead: timedelta
    """By at least this much; zero where nothing says so."""
    behind: timedelta | None
    """By up to this much, unless every study took its time; None where some came quickly."""


def note_acquisition(session: Session, study: Study, headers: Iterable[Mapping[str, Any]]) -> None:
    """Keep when a study's images were made, from the headers of all of them; nothing where none says so.

    Args:
        session: A writing session.
        study: Whose.
        headers: DICOM JSON, an image each.
    """
    made = [header for header in headers if _is_original(header)]
    times = sorted(at for header in made if (at := acquired_at(header)) is not None)
    if not times:
        return
    lag = (study.last_received_at - times[-1]).total_seconds()
    if abs(lag) > LONGEST:
        return
    session.merge(
        Acquisition(
            study_id=study.id,
            first_at=times[0],
            last_at=times[-1],
            scanner=_scanner(study, made[0]),
            lag_seconds=lag,
            kernel=_kernel(session, study, made),
        )
    )


def acquired_at(header: Mapping[str, Any]) -> datetime | None:
    """When an image was made, by its header; None where it does not say so, or says what is no time."""
    zone = _zone(_text(header, "00080201"))
    whole, *parts = (_text(header, tag) for tag in ACQUISITION)
    for digits in (whole, "".join(parts[:2]), "".join(parts[2:])):
        if (moment := _moment(digits, zone)) is not None:
            return moment
    return None


def clock_of(session: Session, scanner: str) -> ScannerClock:
    """What the newest studies of a scanner tell of its clock."""
    query = select(Acquisition.lag_seconds).where(Acquisition.scanner == scanner)
    return judge_clock(session.scalars(query.order_by(Acquisition.study_id.desc()).limit(STUDIES)).all())


def judge_clock(lags: Iterable[float]) -> ScannerClock:
    """What the ways from scanner to hub tell of its clock: the shortest bounds the error.

    Args:
        lags: Seconds, a study each; negative where an image seems to have come before it was made.
    """
    known = list(lags)
    shortest = timedelta(seconds=min(known, default=0.0))
    behind = shortest if len(known) >= FEWEST and shortest >= BEHIND else None
    return ScannerClock(len(known), max(-shortest, timedelta()), behind)


def _is_original(header: Mapping[str, Any]) -> bool:
    kind = header.get("00080008", {}).get("Value", ["ORIGINAL"])
    return "ORIGINAL" in kind and "LOCALIZER" not in kind


def _scanner(study: Study, header: Mapping[str, Any]) -> str:
    device = _text(header, "00181000") or _text(header, "00081010")
    return clean(f"{study.hcode or ''} {_text(header, '00080070')} {device}")[:200]


def _kernel(session: Session, study: Study, headers: Sequence[Mapping[str, Any]]) -> str:
    """PS3.3 C.8.15.3.9; several values are steps of one reconstruction."""
    read = session.scalar(
        select(Analysis.series_instance_uid).where(
            Analysis.study_id == study.id, Analysis.revision == study.revision
        )
    )
    telling = next((each for each in headers if _text(each, "0020000E") == read), headers[0])
    values = telling.get("00181210", {}).get("Value", [])
    return clean("\\".join(str(each).strip() for each in values if each is not None))[:64]


def _text(header: Mapping[str, Any], tag: str) -> str:
    values = header.get(tag, {}).get("Value", [])
    return str(values[0]).strip() if values and values[0] is not None else ""


def _moment(digits: str, zone: timezone) -> datetime | None:
    """A DT, or a DA and a TM behind each other. PS3.5 6.2."""
    for sign in "+-":
        if sign in digits[8:]:
            digits, _, offset = digits.partition(sign)
            zone = _zone(sign + offset, zone)
    whole, _, fraction = digits.partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(whole) in (12, 14)):
        return None
    try:
        moment = datetime.strptime(whole.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=zone)
        if fraction.isascii() and fraction.isdecimal():
            moment += timedelta(microseconds=int(fraction[:6].ljust(6, "0")))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(offset: str, otherwise: timezone = THAILAND) -> timezone:
    # a time without TimezoneOffsetFromUTC is local time. PS3.3 C.12.1.1
    sign, digits = offset[:1], offset[1:]
    if sign not in ("+", "-") or not (digits.isascii() and digits.isdecimal() and len(digits) == 4):
        return otherwise
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    if minutes > 14 * 60:
        return otherwise
    return timezone(timedelta(minutes=-minutes if sign == "-" else minutes))
