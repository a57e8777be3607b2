"""What the hub knows of a case by itself: age, moment of the CT, defects, and whether a report has come."""

from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.answers import Facts, hours_between
from model.stroke import Refusal
from service.acquisitions import Acquisition
from service.errors import BadRequest
from service.reports import Report
from service.studies import Study


def read_onset(text: str) -> datetime | date | None:
    """An onset as it is kept.

    Raises:
        BadRequest: it is no ISO day, and no ISO moment with a time zone.
    """
    if not text:
        return None
    try:
        onset = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is no onset; write 2026-11-22 or 2026-11-22T16:00+07:00") from None
    if isinstance(onset, datetime) and onset.tzinfo is None:
        raise BadRequest(f"onset {text!r} has no time zone; write it as 2026-11-22T16:00+07:00")
    return onset


def facts_of(session: Session, study: Study) -> Facts:
    """What the hub knows by itself; a defect or motion only where the study was refused for it."""
    acquisition = session.get(Acquisition, study.id)
    reported = session.scalar(select(Report.id).where(Report.study_id == study.id).limit(1)) is not None
    return Facts(
        age_years=study.age_years,
        birth_date=study.birth_date,
        acquired=acquisition.first_at if acquisition else study.study_date,
        skull_defect=Refusal.POST_SURGERY.value in study.reasons or None,
        motion=Refusal.ARTEFACT.value in study.reasons or None,
        report=reported,
    )


def hours_to_ct(session: Session, onset: str, study: Study) -> float | None:
    """Hours from onset to CT; None unless both are known to the minute."""
    acquired, began = facts_of(session, study).acquired, read_onset(onset)
    if not isinstance(acquired, datetime) or not isinstance(began, datetime):
        return None
    return round(hours_between(began, acquired)[0], 2)
