"""Dates moved by a number of days, so that the time between any two of a patient's stays what it was."""

import re
from datetime import date, timedelta

from pacs_gateway.thai import repair_date

_DATETIME = re.compile(r"([0-9]{8})([0-9]{0,6}(?:\.[0-9]{1,6})?)([+-][0-9]{4})?")
_TIME = re.compile(r"[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:\.[0-9]{1,6})?)?)?")


def move_date(text: str, days: int, *, today: date | None = None) -> str | None:
    """A DA value, moved; Buddhist era becomes Common Era. None for what is no date. PS3.5 6.2."""
    found, _ = repair_date(text, today=today)
    return None if found is None else _written(found, days)


def move_datetime(text: str, days: int, *, today: date | None = None) -> str | None:
    """A DT value whose date is moved and whose time of day and offset stay; None where no day is given."""
    parts = _DATETIME.fullmatch(text.strip("\x00 "))
    moved = None if parts is None else move_date(parts[1], days, today=today)
    return None if parts is None or moved is None else moved + parts[2] + (parts[3] or "")


def is_time(text: str) -> bool:
    """Whether a TM value is one."""
    return _TIME.fullmatch(text.strip("\x00 ")) is not None


def _written(day: date, days: int) -> str | None:
    try:
        return (day + timedelta(days=days)).strftime("%Y%m%d").zfill(8)
    except OverflowError:
        return None
