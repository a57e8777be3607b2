"""ShadowPrediction: what a model in shadow said of a study beside the live one; nobody is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import Decision, Prediction, StrokeType
from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now, words
from service.findings import Analysis, Finding
from service.models import Model
from service.studies import Study

LONGEST_ERROR = 2000
LONGEST_PAGE = 200


class ShadowPrediction(Base):
    """One study read by one model in shadow."""

    __tablename__ = "shadow_predictions"
    __table_args__ = (
        UniqueConstraint("analysis_id", "model_id"),
        Index("ix_shadow_predictions_model_id", "model_id", "differs", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"))
    """The live model's reading of the same files."""
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    hcode: Mapped[str | None] = mapped_column(String(5))
    decision: Mapped[Decision | None] = mapped_column(words(Decision))
    """None where it could not read the study."""
    live_decision: Mapped[Decision] = mapped_column(words(Decision))
    differs: Mapped[bool]
    score: Mapped[float | None] = mapped_column(Float(53))
    """Of any haemorrhage; None where it does not assess that."""
    live_score: Mapped[float | None] = mapped_column(Float(53))
    scores: Mapped[list[Any]]
    """{stroke_type, probability, decision} of what it assesses."""
    error: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Pair:
    """How often the live model and the shadow decided so."""

    live: Decision
    shadow: Decision | None
    studies: int


def record_shadow(
    session: Session,
    analysis: Analysis,
    study: Study,
    model: Model,
    prediction: Prediction | None,
    error: str = "",
) -> None:
    """Write down what a shadow said of a study, or why it could not read it; again changes nothing."""
    known = select(ShadowPrediction.id).where(
        ShadowPrediction.analysis_id == analysis.id, ShadowPrediction.model_id == model.id
    )
    if session.scalar(known) is not None:
        return
    scores = prediction.scores if prediction else ()
    decision = prediction.decision if prediction else None
    session.add(
        ShadowPrediction(
            analysis_id=analysis.id,
            model_id=model.id,
            study_id=study.id,
            hcode=study.hcode,
            decision=decision,
            live_decision=analysis.decision,
            differs=decision is not analysis.decision,
            score=next((s.probability for s in scores if s.stroke_type is StrokeType.ANY_ICH), None),
            live_score=_live_score(session, analysis),
            scores=[
                {
                    "stroke_type": s.stroke_type.value,
                    "probability": s.probability,
                    "decision": s.decision.value,
                }
                for s in scores
                if s.probability is not None
            ],
            error=clean(error)[:LONGEST_ERROR],
        )
    )
    session.flush()


def pairs_of(session: Session, viewer: Viewer, model: Model) -> list[Pair]:
    """How often live model and shadow decided how, the most frequent first."""
    row, number = ShadowPrediction, func.count()
    query = select(row.live_decision, row.decision, number).group_by(row.live_decision, row.decision)
    query = query.where(row.model_id == model.id, visible_to(viewer, row.hcode))
    return [Pair(*each) for each in session.execute(query.order_by(number.desc()))]


def count_shadowed(session: Session, model: Model, hcode: str = "") -> tuple[int, int]:
    """How many studies a model read in shadow, of one hospital or all; of how many it decided otherwise."""
    row = ShadowPrediction
    query = select(row.differs, func.count()).group_by(row.differs)
    query = query.where(row.model_id == model.id, row.decision.is_not(None))
    found = session.execute(query.where(row.hcode == hcode) if hcode else query)
    counts = {differs: number for differs, number in found}
    return sum(counts.values()), counts.get(True, 0)


def differing(
    session: Session, viewer: Viewer, model: Model, *, before: int | None = None, limit: int = 50
) -> Sequence[tuple[ShadowPrediction, Study]]:
    """The studies of which they decided differently, newest first; `before` is the last number shown."""
    row = ShadowPrediction
    query = select(row, Study).join(Study, Study.id == row.study_id)
    query = query.where(row.model_id == model.id, row.differs, visible_to(viewer, Study.hcode))
    if before is not None:
        query = query.where(row.id < before)
    found = session.execute(query.order_by(row.id.desc()).limit(max(1, min(limit, LONGEST_PAGE))))
    return [(shadow, study) for shadow, study in found]


def points_of(
    session: Session, viewer: Viewer, model: Model, *, limit: int
) -> list[tuple[float, float, bool]]:
    """Of the newest studies the live model's score, the shadow's, and whether they decided differently."""
    row = ShadowPrediction
    query = select(row.live_score, row.score, row.differs)
    query = query.where(
        row.model_id == model.id,
        row.live_score.is_not(None),
        row.score.is_not(None),
        visible_to(viewer, row.hcode),
    )
    found = session.execute(query.order_by(row.id.desc()).limit(limit))
    return [(live, own, differs) for live, own, differs in found if live is not None and own is not None]


def _live_score(session: Session, analysis: Analysis) -> float | None:
    query = select(Finding.probability).where(Finding.analysis_id == analysis.id)
    return session.scalar(query.where(Finding.stroke_type == StrokeType.ANY_ICH))
