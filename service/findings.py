"""Analysis and Finding: what the network said of a study.

Nothing here is ever changed. An analysis belongs to one revision of its study; it is superseded as soon as
the study has a later revision, which is read from the two numbers, so that the mark cannot be forgotten.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import Decision, Prediction, SliceScore, StrokeType
from service.arrivals import clean
from service.db import Base, Id, Json, UtcDateTime, now, words
from service.states import StudyState
from service.studies import Study, set_outcome

KeySlice = tuple[int, str]
"""The index of a slice (0 is the most inferior) and the storage key of its picture."""

_OUTCOME = {
    Decision.FLAG: StudyState.FLAGGED,
    Decision.CLEAR: StudyState.CLEAR,
    Decision.REVIEW: StudyState.REVIEW,
    Decision.NOT_ASSESSED: StudyState.REVIEW,
}


class Analysis(Base):
    """One run of the network over one revision of a study."""

    __tablename__ = "analyses"
    __table_args__ = (UniqueConstraint("study_id", "revision"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    revision: Mapped[int]
    model_name: Mapped[str] = mapped_column(String(200))
    model_digest: Mapped[str] = mapped_column(String(64))
    engine: Mapped[str] = mapped_column(String(60))
    decision: Mapped[Decision] = mapped_column(words(Decision))
    series_instance_uid: Mapped[str] = mapped_column(Text)
    runner_up: Mapped[str | None] = mapped_column(Text)
    """The series that would have been taken next."""
    notes: Mapped[list[Any]] = mapped_column(Json)
    slices: Mapped[list[Any]] = mapped_column(Json)
    """Inferior to superior: {sop_instance_uid, z_mm, probabilities, box}."""
    seconds: Mapped[dict[str, Any]] = mapped_column(Json)
    key_slices: Mapped[list[Any]] = mapped_column(Json)
    """Lists of [index, storage key]."""
    distance: Mapped[float | None] = mapped_column(Float(53))
    """Of the study's embedding from those that the package knows; see `model.weights.Usual`."""
    usual_distance: Mapped[float | None] = mapped_column(Float(53))
    """The package's limit of what is usual."""
    reading: Mapped[str | None] = mapped_column(String(64))
    """Storage key of what was read and where blood is suspected; see `model.reading`."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Finding(Base):
    """What is said of one stroke type in one revision of a study."""

    __tablename__ = "findings"
    __table_args__ = (UniqueConstraint("study_id", "revision", "stroke_type"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    revision: Mapped[int]
    stroke_type: Mapped[StrokeType] = mapped_column(words(StrokeType))
    probability: Mapped[float | None]
    threshold: Mapped[float | None]
    threshold_id: Mapped[int | None] = mapped_column(Id)
    """The row of `hospital_thresholds` that set it; None for the package's own."""
    decision: Mapped[Decision] = mapped_column(words(Decision))
    reason: Mapped[str] = mapped_column(Text)


def record_prediction(
    session: Session,
    study: Study,
    prediction: Prediction,
    key_slices: Sequence[KeySlice] = (),
    *,
    revision: int | None = None,
    runner_up: str | None = None,
    reading: str | None = None,
    thresholds: Mapping[StrokeType, int] | None = None,
) -> list[Finding]:
    """Write down what the network said, and end the analysis: flagged, clear or review.

    Recording a revision again changes nothing. A prediction for a revision that late slices have overtaken
    is kept as history and leaves the study as it is.

    Args:
        session: A writing session.
        study: The study, analysing.
        prediction: What the network said.
        key_slices: The pictures of the most telling slices, best first.
        revision: The revision that was analysed; None for the current one.
        runner_up: The series that would have been taken next.
        reading: Storage key of the packed reading.
        thresholds: The rows that set a hospital's own thresholds, by finding.
    """
    revision = study.revision if revision is None else revision
    if (known := analysis_of(session, study, revision)) is not None:
        return findings_of(session, known)
    analysis = _new_analysis(study, revision, prediction)
    analysis.key_slices = [list(each) for each in key_slices]
    analysis.reading = reading
    analysis.runner_up = None if runner_up is None else clean(runner_up)
    session.add(analysis)
    session.flush()
    findings = _add_findings(session, analysis, prediction, thresholds or {})
    if revision == study.revision:
        flagged = [each.stroke_type for each in findings if each.decision is Decision.FLAG]
        set_outcome(session, study, _OUTCOME[prediction.decision], flagged)
    return findings


def newest_analysis(session: Session) -> Analysis | None:
    """What was analysed last, of any study; tells which model is at work."""
    return session.scalars(select(Analysis).order_by(Analysis.id.desc()).limit(1)).first()


def analysis_of(session: Session, study: Study, revision: int | None = None) -> Analysis | None:
    """The analysis of a revision (of the current one when None), if it is there."""
    wanted = study.revision if revision is None else revision
    return session.scalar(select(Analysis).where(Analysis.study_id == study.id, Analysis.revision == wanted))


def analyses_of(session: Session, study: Study) -> Sequence[Analysis]:
    """Every analysis of the study, newest revision first."""
    return session.scalars(
        select(Analysis).where(Analysis.study_id == study.id).order_by(Analysis.revision.desc())
    ).all()


def findings_of(session: Session, analysis: Analysis) -> list[Finding]:
    """What an analysis says, in the order of the network's outputs."""
    return list(
        session.scalars(select(Finding).where(Finding.analysis_id == analysis.id).order_by(Finding.id))
    )


def _new_analysis(study: Study, revision: int, prediction: Prediction) -> Analysis:
    return Analysis(
        study_id=study.id,
        revision=revision,
        model_name=prediction.model_name,
        model_digest=prediction.model_digest,
        engine=prediction.engine,
        decision=prediction.decision,
        series_instance_uid=clean(prediction.series_instance_uid),
        notes=[{"code": note.code, "text": note.text} for note in prediction.notes],
        slices=[_slice_columns(each) for each in prediction.slices],
        seconds=dict(prediction.seconds),
        distance=prediction.distance,
        usual_distance=prediction.usual_distance,
    )


def _add_findings(
    session: Session, analysis: Analysis, prediction: Prediction, thresholds: Mapping[StrokeType, int]
) -> list[Finding]:
    findings = [
        Finding(
            analysis_id=analysis.id,
            study_id=analysis.study_id,
            revision=analysis.revision,
            stroke_type=score.stroke_type,
            probability=score.probability,
            threshold=score.threshold,
            threshold_id=thresholds.get(score.stroke_type) if score.threshold is not None else None,
            decision=score.decision,
            reason=score.reason,
        )
        for score in prediction.scores
    ]
    session.add_all(findings)
    session.flush()
    return findings


def _slice_columns(score: SliceScore) -> dict[str, Any]:
    return {
        "sop_instance_uid": score.sop_instance_uid,
        "z_mm": score.z_mm,
        "probabilities": {kind.value: value for kind, value in score.probabilities.items()},
        "box": None if score.box is None else list(score.box),
    }
