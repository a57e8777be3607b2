"""Evaluation: what a package answered to studies of known truth, as `training.evaluate` wrote it down.

It belongs to a package by its digest, registered or not, so that the package of HUB_MODEL has one too.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Index, String, select
from sqlalchemy.orm import Mapped, Session, defer, mapped_column

from model.stroke import StrokeType
from service import audit
from service.accounts import Viewer
from service.db import Base, Id, UtcDateTime, now
from service.errors import BadRequest

MOST_STUDIES = 20_000
SHARE = Field(ge=0, le=1)


class KnownAnswer(BaseModel):
    """What was answered to one study of known truth."""

    case: str = Field(max_length=200)
    population: str = Field(max_length=40)
    labels: dict[StrokeType, Literal[0, 1]]
    probabilities: dict[StrokeType, float]


class Share(BaseModel):
    """A share of studies."""

    value: float = SHARE
    num: int = Field(ge=0)


class Stratum(BaseModel):
    """One group of studies."""

    column: str
    group: str
    sensitivity: Share | None
    specificity: Share | None


class Row(BaseModel):
    """The figures of one population and stroke type."""

    population: str
    stroke_type: StrokeType
    strata: list[Stratum] = []


class Report(BaseModel):
    """What the gates need of an evaluation report."""

    model: str = Field(max_length=200)
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    studies: list[KnownAnswer] = Field(min_length=1, max_length=MOST_STUDIES)
    figures: list[Row] = []


class Evaluation(Base):
    """One report, without what no gate needs."""

    __tablename__ = "model_evaluations"
    __table_args__ = (Index("ix_model_evaluations_digest_id", "digest", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    model_name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    """Of the package."""
    truth: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the studies and what is true of them: equal where two packages answered the same."""
    studies: Mapped[int]
    report: Mapped[dict[str, Any]]
    added_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def read_report(text: str | bytes) -> Report:
    """The report, checked.

    Raises:
        BadRequest: it is none; the text says where.
    """
    try:
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BadRequest(f"this is no report of training.evaluate: {place}: {first['msg']}") from None


def add_evaluation(session: Session, viewer: Viewer, report: Report) -> Evaluation:
    """Keep a report; the newest on the same studies counts."""
    truth = json.dumps(
        sorted([each.case, each.population, sorted(each.labels.items())] for each in report.studies)
    )
    made = Evaluation(
        model_name=report.model,
        digest=report.digest,
        truth=hashlib.sha256(truth.encode()).hexdigest(),
        studies=len(report.studies),
        report=report.model_dump(mode="json"),
        added_by=viewer.username,
    )
    session.add(made)
    session.flush()
    detail: audit.Detail = {"evaluation": made.id, "digest": made.digest[:12], "studies": made.studies}
    audit.record(session, viewer.username, "model.evaluation", detail=detail)
    return made


def evaluations_of(session: Session, digest: str) -> Sequence[Evaluation]:
    """The evaluations of a package, newest first, without what they say."""
    query = select(Evaluation).where(Evaluation.digest == digest).order_by(Evaluation.id.desc())
    return session.scalars(query.options(defer(Evaluation.report))).all()


def common_evaluations(session: Session, first: str, second: str) -> tuple[Report, Report] | None:
    """The newest evaluations of two packages on the same studies; None where there are none."""
    theirs = {each.truth: each.id for each in reversed(evaluations_of(session, second))}
    for each in evaluations_of(session, first):
        if each.truth in theirs:
            own, other = session.get_one(Evaluation, each.id), session.get_one(Evaluation, theirs[each.truth])
            return Report.model_validate(own.report), Report.model_validate(other.report)
    return None
