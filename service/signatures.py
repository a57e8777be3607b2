"""Signing a review: the result is preliminary until a radiologist signs, and final from then on."""

from enum import StrEnum

from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.errors import NotReady
from service.findings import Analysis
from service.reviews import Review, Signature, current_analysis, note_review, standing_review
from service.studies import Study


class ReportStatus(StrEnum):
    """How far the result has come, in FHIR's words for a DiagnosticReport."""

    PRELIMINARY = "preliminary"
    FINAL = "final"


def sign_review(session: Session, study: Study, viewer: Viewer) -> Signature:
    """Put a signature under the standing review; signing again changes nothing.

    A later review needs a signature of its own, and until then the result is preliminary again.

    Raises:
        NotReady: nobody has reviewed the current result.
    """
    review = standing_review(session, current_analysis(session, study))
    if review is None:
        raise NotReady("nobody has reviewed this result; review it before signing")
    if known := signature_of(session, review):
        return known
    signature = Signature(
        review_id=review.id, study_id=study.id, revision=study.revision, signer=viewer.username
    )
    session.add(signature)
    note_review(session, viewer, "study.signed", review)
    return signature


def signature_of(session: Session, review: Review) -> Signature | None:
    """The signature under a review, if it was signed."""
    return session.get(Signature, review.id)


def report_status(session: Session, analysis: Analysis) -> ReportStatus:
    """Final once the standing review is signed."""
    review = standing_review(session, analysis)
    signed = review is not None and signature_of(session, review) is not None
    return ReportStatus.FINAL if signed else ReportStatus.PRELIMINARY
