"""What goes in and out of the routes of cases."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from labeling.answers import Answer, Criterion
from service.case_states import CaseState
from service.cases import LONGEST_CODES
from service.reports import LONGEST_TEXT

Said = dict[Criterion, Answer]


class CaseIn(BaseModel):
    """A study offered for labelling, with what the hospital answers; what is left out is unknown."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "study": "1.2.3",
                    "answers": {"adult": "yes", "deficit": "yes", "report": "yes"},
                    "icd10": "I63.9",
                    "onset": "2026-11-22T14:30+07:00",
                }
            ]
        },
    )

    study: str = Field(max_length=64)
    """Study Instance UID."""
    answers: Said = {}
    icd10: str = Field(default="", max_length=LONGEST_CODES)
    onset: str = Field(default="", max_length=40)
    """ISO moment with a time zone, or a day."""
    citizen_id: str = Field(default="", max_length=20)
    """Kept as an HMAC only."""
    report: str = Field(default="", max_length=LONGEST_TEXT)
    """Text of the official report; it is added to the study, unless it is its newest one already."""


class ScreeningIn(BaseModel):
    """What a person settles who has looked; unknown takes an earlier word back."""

    model_config = ConfigDict(extra="forbid")

    confirmed: Said = Field(min_length=1)
    note: str = Field(default="", max_length=2000)
    """Why, in words; nothing that names the patient."""


class WordOut(BaseModel):
    """A criterion with a text in both languages."""

    criterion: Criterion
    th: str
    en: str


class CaseOut(BaseModel):
    """A case without its patient."""

    number: int
    study_instance_uid: str
    hospital: str | None
    state: CaseState
    answers: Said
    confirmed: Said
    icd10: str
    onset: str
    excluded_by: list[WordOut]
    """Every reason, in words."""
    doubts: list[WordOut]
    """What a person has to look at, with the values."""
    admitted_at: datetime


class ReaderIn(BaseModel):
    """One reader; share is of a full load."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(max_length=100)
    share: float = Field(default=1.0, gt=0, le=1)


class AssignmentIn(BaseModel):
    """How to give out what is eligible."""

    model_config = ConfigDict(extra="forbid")

    readers: list[ReaderIn] = Field(min_length=1, max_length=200)
    adjudicators: list[str] = Field(default=[], max_length=50)
    common: int = Field(default=20, ge=0)
    test_reads: int = Field(default=3, ge=1, le=9)
    double_share: float = Field(default=0.10, ge=0, le=1)
    rereads: int = Field(default=2, ge=0, le=50)
    seed: int = Field(default=0, ge=0)
    held_out_hospitals: list[str] = []
    held_out_months: int = Field(default=0, ge=0, le=60)


class RoundOut(BaseModel):
    """A round of reading."""

    number: int
    readers: list[dict[str, Any]]
    """{reader, done, total}."""


class HandOverIn(BaseModel):
    """A reader who leaves; the others take over, or only those named."""

    model_config = ConfigDict(extra="forbid")

    reader: str = Field(max_length=100)
    to: list[str] | None = None


class HandOverOut(BaseModel):
    """What became of the reads."""

    moved: int
    dropped: int
    unplaced: int


class PairIn(BaseModel):
    """Whether two cases are of one patient."""

    model_config = ConfigDict(extra="forbid")

    first: int = Field(ge=1, le=2**53)
    second: int = Field(ge=1, le=2**53)
    same: bool


class SuspectOut(BaseModel):
    """Two patient keys of one name, birth date and sex, with the cases of each."""

    first: list[int]
    second: list[int]


class AgreementOut(BaseModel):
    """One coefficient of one question."""

    question: str
    coefficient: str
    first: str | None = None
    second: str | None = None
    value: float | None
    low: float | None
    high: float | None
    undefined: str | None
    observed: float | None
    cases: int
    prevalence: dict[str, float]


class ReaderOut(BaseModel):
    """One reader on one question."""

    reader: str
    reads: int
    found: tuple[int, int]
    """Of the cases that have it, how many the reader called so."""
    cleared: tuple[int, int]
    kappa: AgreementOut
    ac1: AgreementOut
    again: AgreementOut
    """Own re-reads."""


class StandingOut(BaseModel):
    """How far a hospital is."""

    model_config = ConfigDict(from_attributes=True)

    hcode: str
    name_th: str
    name_en: str
    quota: int
    offered: int
    waiting: int
    excluded: int
    taken: int
    settled: int
