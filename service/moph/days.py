"""Days as hospitals count them: by Thailand's clock."""

from datetime import date, datetime, time, timedelta

from service.errors import BadRequest
from service.thai_time import THAILAND

LONGEST_DAYS = 92


def days_in_thailand(since: date, until: date) -> tuple[datetime, datetime]:
    """From the first day's beginning to the last day's end.

    Raises:
        BadRequest: the days are in the wrong order, or too many.
    """
    days = (until - since).days + 1
    if not 1 <= days <= LONGEST_DAYS:
        raise BadRequest(f"{since} to {until} is {days} days; it may be 1 to {LONGEST_DAYS}")
    start = datetime.combine(since, time(), THAILAND)
    return start, start + timedelta(days=days)
