"""Told: the rows behind what is said of a study, read once for all of its resources."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.fhir.elements import Resource, reference
from service.fhir.patient import patient_number
from service.findings import Analysis, Finding, analysis_of, findings_of
from service.reports import Report, reports_of
from service.reviews import Review, standing_review
from service.signatures import signature_of
from service.studies import Study


@dataclass(frozen=True, slots=True)
class Told:
    """A study's current revision with what the model and the radiologist say of it."""

    study: Study
    subject: Resource
    """A reference to its patient."""
    analysis: Analysis | None
    findings: Sequence[Finding]
    review: Review | None
    """The one that stands."""
    signed: bool
    report: Report | None
    """The newest final report."""


def read_told(session: Session, study: Study) -> Told:
    """Read the rows."""
    analysis = analysis_of(session, study)
    review = standing_review(session, analysis) if analysis else None
    return Told(
        study=study,
        subject=reference("Patient", f"p{patient_number(session, study)}"),
        analysis=analysis,
        findings=findings_of(session, analysis) if analysis else [],
        review=review,
        signed=review is not None and signature_of(session, review) is not None,
        report=next(iter(reports_of(session, study)), None),
    )
