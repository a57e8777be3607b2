"""What is asked, said and seen of a case before it is judged: criteria, answers, facts, doubts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum

from labeling.wording import QUESTIONS, REASONS, Both

THAILAND = timezone(timedelta(hours=7))


class Answer(StrEnum):
    """What is said of a criterion."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Criterion(StrEnum):
    """A condition of the study; the word says what has to hold."""

    ADULT = "adult"
    DEFICIT = "deficit"
    STROKE_CODE = "stroke_code"
    WITHIN_72_H = "within_72_h"
    DIAGNOSTIC = "diagnostic"
    REPORT = "report"
    NO_SURGERY = "no_surgery"

    @property
    def question(self) -> Both:
        """What the hospital is asked."""
        return QUESTIONS[self]

    @property
    def reason(self) -> Both:
        """Why a case is excluded that does not meet it."""
        return REASONS[self]


class Doubt(StrEnum):
    """Why a person has to look."""

    UNANSWERED = "unanswered"
    AGE_CONTRADICTS = "age_contradicts"
    AGES_DIFFER = "ages_differ"
    CODE_CONTRADICTS = "code_contradicts"
    CODE_UNREADABLE = "code_unreadable"
    CODE_INJURY = "code_injury"
    HOURS_CONTRADICT = "hours_contradict"
    CT_BEFORE_ONSET = "ct_before_onset"
    ONSET_BEFORE_BIRTH = "onset_before_birth"
    SKULL_DEFECT = "skull_defect"
    MOTION = "motion"
    NO_REPORT_TEXT = "no_report_text"
    REPORT_TEXT = "report_text"


class Source(StrEnum):
    """Who decided a criterion."""

    HOSPITAL = "hospital"
    DATA = "data"
    PERSON = "person"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the hospital says of a case."""

    said: Mapping[Criterion, Answer] = field(default_factory=dict)
    """A criterion without an answer is unknown. YES means that it holds: a diagnostic CT, no surgery."""
    icd10: str = ""
    """Codes as written, any number of them."""
    onset: datetime | date | None = None
    """With a time zone; a day where nobody knows the hour."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What images and report say of a case; None is not known."""

    age_years: float | None = None
    """PatientAge (0010,1010)."""
    birth_date: date | None = None
    acquired: datetime | date | None = None
    """Acquisition, else StudyDate (0008,0020) and StudyTime."""
    skull_defect: bool | None = None
    motion: bool | None = None
    report: bool | None = None
    """Whether there is text of an official report."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One doubt: of which criterion, and in words that name the values."""

    criterion: Criterion
    doubt: Doubt
    text: Both


def hours_between(onset: datetime | date, acquired: datetime | date) -> tuple[float, float]:
    """The least and the most hours from onset to CT; a day is any moment of it, in Thailand.

    Raises:
        ValueError: a moment without a time zone.
    """
    (first, last), (early, late) = span_of(onset), span_of(acquired)
    return (early - last).total_seconds() / 3600, (late - first).total_seconds() / 3600


def span_of(moment: datetime | date) -> tuple[datetime, datetime]:
    """The first and the last moment that is meant.

    Raises:
        ValueError: a moment without a time zone.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone")
        local = moment.astimezone(THAILAND)
        return local, local
    start = datetime.combine(moment, time(), THAILAND)
    return start, start + timedelta(days=1)
