"""Report: the final report of a study as text, and whether it says the same as the AI.

A report is never changed; a corrected one is added, and the newest counts. Its text is part of the patient's
record: it goes into no log and no address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.report_text import Claim, read_report
from model.stroke import Decision, StrokeType
from service import audit
from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.db import Base, Id, Json, UtcDateTime, now, words
from service.errors import BadRequest
from service.findings import Finding, analysis_of, findings_of
from service.studies import Study

LONGEST_TEXT = 20_000
LONGEST_PAGE = 200


class ReportSource(StrEnum):
    """How the text came here."""

    TYPED = "typed"
    PASTED = "pasted"
    TEMPLATE = "template"
    SENT = "sent"
    """By the hospital's system, over the API."""


class Concordance(StrEnum):
    """Whether report and AI say the same of what the AI assessed."""

    CONCORDANT = "concordant"
    AI_MISSED = "ai_missed"
    """The report says present, the AI said clear."""
    REPORT_SILENT = "report_silent"
    """The AI flagged; the report says absent, or does not speak of it."""
    UNDECIDED = "undecided"
    """There is no answer of the AI to compare with, or the report is in doubt."""


class Report(Base):
    """One version of a study's final report."""

    __tablename__ = "reports"
    __table_args__ = (Index("ix_reports_concordance", "concordance", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    revision: Mapped[int]
    """Of the study, when the report was added."""
    text: Mapped[str] = mapped_column(Text)
    source: Mapped[ReportSource] = mapped_column(words(ReportSource))
    author: Mapped[str] = mapped_column(String(100))
    claims: Mapped[dict[str, Any]] = mapped_column(Json)
    """What the rules of `labeling.report_text` read in it: stroke type to claim."""
    concordance: Mapped[Concordance] = mapped_column(words(Concordance))
    differs_in: Mapped[list[Any]] = mapped_column(Json)
    """The stroke types over which report and AI differ."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class DiscordantPair:
    """A study whose newest report differs from the AI."""

    report: Report
    study: Study


def add_report(
    session: Session, study: Study, viewer: Viewer, text: str, *, source: ReportSource = ReportSource.TYPED
) -> Report:
    """Add a final report and compare it with the AI's current answer.

    Raises:
        BadRequest: it is empty or too long.
    """
    text = clean(text).strip()
    if not 1 <= len(text) <= LONGEST_TEXT:
        raise BadRequest(f"a report of {len(text)} characters; it must have 1 to {LONGEST_TEXT}")
    claims = read_report(text)
    analysis = analysis_of(session, study)
    concordance, differs_in = compare(claims, findings_of(session, analysis) if analysis else ())
    report = Report(
        study_id=study.id,
        revision=study.revision,
        text=text,
        source=source,
        author=viewer.username,
        claims={kind.value: claim.value for kind, claim in claims.items()},
        concordance=concordance,
        differs_in=[kind.value for kind in differs_in],
    )
    session.add(report)
    session.flush()
    detail = {"report": report.id, "concordance": concordance.value}
    audit.record(session, viewer.username, "report.added", study_id=study.id, detail=detail)
    return report


def reports_of(session: Session, study: Study) -> Sequence[Report]:
    """Every version of the study's report, newest first."""
    return session.scalars(select(Report).where(Report.study_id == study.id).order_by(Report.id.desc())).all()


def discordant(
    session: Session,
    viewer: Viewer,
    *,
    kind: Concordance | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[DiscordantPair]:
    """Studies whose newest report differs from the AI, newest first."""
    from service.blindness import not_blind  # it is about cases, which import this

    newest = select(func.max(Report.id)).group_by(Report.study_id)
    kinds = (Concordance.AI_MISSED, Concordance.REPORT_SILENT) if kind is None else (kind,)
    query = (
        select(Report, Study)
        .join(Study, Study.id == Report.study_id)
        .where(
            Report.concordance.in_(kinds),
            Report.id.in_(newest),
            visible_to(viewer, Study.hcode),
            not_blind(viewer),
        )
    )
    if before is not None:
        query = query.where(Report.id < before)
    rows = session.execute(query.order_by(Report.id.desc()).limit(max(1, min(limit, LONGEST_PAGE))))
    return [DiscordantPair(*row) for row in rows]


def compare(
    claims: Mapping[StrokeType, Claim], findings: Sequence[Finding]
) -> tuple[Concordance, tuple[StrokeType, ...]]:
    """Whether a report and the AI say the same; only what the AI assessed is compared.

    A report that does not speak of what the AI flagged counts as a difference: it is what a second look is
    for. A type that the AI cleared and the report does not mention is none.
    """
    said = {f.stroke_type: f.decision for f in findings if f.decision is not Decision.NOT_ASSESSED}
    missed = [k for k, d in said.items() if d is Decision.CLEAR and claims.get(k) is Claim.PRESENT]
    if missed:
        return Concordance.AI_MISSED, tuple(missed)
    silent = [k for k, d in said.items() if d is Decision.FLAG and claims.get(k) in (None, Claim.ABSENT)]
    if silent:
        return Concordance.REPORT_SILENT, tuple(silent)
    open_ = [k for k in said if claims.get(k) is Claim.UNCERTAIN or said[k] is Decision.REVIEW]
    return (Concordance.UNDECIDED if open_ or not said else Concordance.CONCORDANT), ()
