"""The result of a study as one plain value: what the API answers and the command line prints."""

from typing import Any

from sqlalchemy.orm import Session

from model.stroke import Decision
from service.findings import Analysis, Finding, analyses_of, analysis_of, findings_of
from service.hospital_thresholds import HospitalThreshold, named_thresholds
from service.reviews import Review, reviews_of
from service.signatures import ReportStatus, report_status
from service.studies import Study

INTENDED_USE = (
    "Triage and notification beside the standard of care; for research use until cleared. Not a diagnosis: "
    "a radiologist reads every study, and one that is not flagged is not thereby normal."
)


def result(session: Session, study: Study) -> dict[str, Any]:
    """Everything that is said of the study's current revision; holds no name and no HN.

    `of` lists what the answer is about: `clear` is said of these stroke types and of no other;
    `not_assessed` lists the others, of which nothing is said.
    """
    analysis = analysis_of(session, study)
    findings = findings_of(session, analysis) if analysis else []
    assessed = [each for each in findings if each.decision is not Decision.NOT_ASSESSED]
    set_by = named_thresholds(session, [each.threshold_id for each in findings])
    return {
        "study_instance_uid": study.study_instance_uid,
        "hospital": study.hcode,
        "state": study.state.value,
        "revision": study.revision,
        "status": (report_status(session, analysis) if analysis else ReportStatus.PRELIMINARY).value,
        "findings": [_finding(each) | _set_by(each, set_by) for each in findings],
        "of": [each.stroke_type.value for each in assessed],
        "not_assessed": [each.stroke_type.value for each in findings if each not in assessed],
        "reasons": study.reasons,
        "failure": {"step": study.failed_step, "error": study.error} if study.failed_step else None,
        "notes": analysis.notes if analysis else study.notes,
        **_evidence(analysis),
        "reviews": [_review(each) for each in reviews_of(session, analysis)] if analysis else [],
        "superseded": [
            _superseded(session, each)
            for each in analyses_of(session, study)
            if each.revision != study.revision
        ],
        "received_at": study.last_received_at.isoformat(),
        "result_at": study.result_at.isoformat() if study.result_at else None,
        "intended_use": INTENDED_USE,
    }


def _evidence(analysis: Analysis | None) -> dict[str, Any]:
    if analysis is None:
        return {"model": None, "series": None, "slices": [], "key_slices": [], "seconds": {}}
    return {
        "model": {
            "name": analysis.model_name,
            "digest": analysis.model_digest,
            "engine": analysis.engine,
        },
        "series": {"chosen": analysis.series_instance_uid, "runner_up": analysis.runner_up},
        "slices": analysis.slices,
        "key_slices": [{"n": n, "slice": index} for n, (index, _) in enumerate(analysis.key_slices, start=1)],
        "seconds": analysis.seconds,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "stroke_type": finding.stroke_type.value,
        "decision": finding.decision.value,
        "probability": finding.probability,
        "threshold": finding.threshold,
        "reason": finding.reason,
    }


def _set_by(finding: Finding, rows: dict[int, HospitalThreshold]) -> dict[str, Any]:
    """Who set the threshold that the finding was judged by; None for the package's own."""
    row = rows.get(finding.threshold_id or 0)
    if row is None:
        return {"threshold_set_by": None}
    return {
        "threshold_set_by": {
            "number": row.id,
            "hospital": row.hcode,
            "by": row.by,
            "at": row.at.isoformat(),
            "reason": row.reason,
            "reviews": row.positive + row.negative,
            "package_threshold": row.package_flag,
        }
    }


def _review(review: Review) -> dict[str, Any]:
    return {
        "reviewer": review.reviewer,
        "verdict": review.verdict.value,
        "present": review.present,
        "places": review.places,
        "hindrance": review.hindrance.value if review.hindrance else None,
        "disagreement": review.disagreement.value if review.disagreement else None,
        "comment": review.comment,
        "at": review.at.isoformat(),
    }


def _superseded(session: Session, analysis: Analysis) -> dict[str, Any]:
    return {
        "revision": analysis.revision,
        "superseded": True,
        "decision": analysis.decision.value,
        "model": analysis.model_name,
        "findings": [_finding(each) for each in findings_of(session, analysis)],
        "reviews": [_review(each) for each in reviews_of(session, analysis)],
        "at": analysis.created_at.isoformat(),
    }
