"""A radiologist's words on a study: review it, take that back, sign it, add the final report."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from labeling.report_text import Claim
from model.stroke import StrokeType
from service.api.access import IdentityReader, Look, Reviewer, Work, note_read
from service.api.problems import responses
from service.api.schemas import UID_EXAMPLE
from service.reports import LONGEST_TEXT, Concordance, Report, ReportSource, add_report, reports_of
from service.reviews import Review, review_finding, withdraw_review
from service.sight import find_own_study, find_study
from service.signatures import sign_review
from service.verdicts import Disagreement, Hindrance, Place, Side, Verdict

router = APIRouter(
    prefix="/api/v1/studies", tags=["reviews"], responses=responses(401, 403, 404, 409, 422, 503)
)

Uid = Annotated[str, Path(max_length=64, examples=[UID_EXAMPLE], description="Study Instance UID")]


class PlaceIn(BaseModel):
    """Where one stroke type is seen; slice 0 is the most inferior."""

    model_config = ConfigDict(extra="forbid")

    stroke_type: StrokeType
    side: Side | None = None
    first_slice: int | None = None
    last_slice: int | None = None


class ReviewIn(BaseModel):
    """A radiologist's word on a result."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "verdict": "correct",
                    "present": ["sah"],
                    "places": [{"stroke_type": "sah", "side": "left", "first_slice": 9, "last_slice": 12}],
                    "comment": "Sylvian fissure",
                }
            ]
        },
    )

    verdict: Verdict
    present: list[StrokeType] = Field(default=[], max_length=len(StrokeType))
    places: list[PlaceIn] = Field(default=[], max_length=40)
    hindrance: Hindrance | None = Field(default=None, description="why the images cannot be judged")
    comment: str = Field(default="", max_length=2000)


class ReviewOut(BaseModel):
    """A review as it was recorded."""

    reviewer: str
    verdict: Verdict
    present: list[StrokeType]
    places: list[PlaceIn]
    hindrance: Hindrance | None
    disagreement: Disagreement | None
    """In what it differs from the AI."""
    comment: str
    revision: int
    at: datetime


class SignatureOut(BaseModel):
    """A signature: the result is final."""

    signer: str
    revision: int
    at: datetime


class ReportIn(BaseModel):
    """A final report."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)
    source: ReportSource = ReportSource.SENT


class ReportOut(BaseModel):
    """A final report, what was read in it, and whether the AI says the same."""

    text: str
    source: ReportSource
    author: str
    claims: dict[StrokeType, Claim]
    concordance: Concordance
    differs_in: list[StrokeType]
    revision: int
    at: datetime


@router.post("/{uid}/review", status_code=201)
def add_review(uid: Uid, body: ReviewIn, viewer: Reviewer, session: Work) -> ReviewOut:
    """Agree with the current result, correct it by naming what is there, or say why nobody can judge it."""
    study = find_own_study(session, uid, viewer)
    review = review_finding(
        session,
        study,
        viewer,
        body.verdict,
        present=body.present,
        places=[Place(**each.model_dump()) for each in body.places],
        hindrance=body.hindrance,
        comment=body.comment,
    )
    return review_out(review)


@router.post("/{uid}/review/withdraw", status_code=201)
def undo_review(uid: Uid, viewer: Reviewer, session: Work) -> ReviewOut:
    """Take back your own review of the last minute."""
    return review_out(withdraw_review(session, find_own_study(session, uid, viewer), viewer))


@router.post("/{uid}/sign", status_code=201)
def add_signature(uid: Uid, viewer: Reviewer, session: Work) -> SignatureOut:
    """Sign the review that stands, which makes the result final."""
    signature = sign_review(session, find_own_study(session, uid, viewer), viewer)
    return SignatureOut(signer=signature.signer, revision=signature.revision, at=signature.at)


@router.post("/{uid}/report", status_code=201)
def send_report(uid: Uid, body: ReportIn, viewer: Reviewer, session: Work) -> ReportOut:
    """Add the final report; it is compared with the AI's answer."""
    study = find_own_study(session, uid, viewer)
    return _report_out(add_report(session, study, viewer, body.text, source=body.source))


@router.get("/{uid}/reports")
def list_reports(uid: Uid, request: Request, viewer: IdentityReader, session: Look) -> Sequence[ReportOut]:
    """Every version of the final report, newest first."""
    study = find_study(session, uid, viewer)
    answer = [_report_out(each) for each in reports_of(session, study)]
    note_read(request, session, viewer, "report.read", study_id=study.id)
    return answer


def review_out(review: Review) -> ReviewOut:
    """A review as the API tells it."""
    return ReviewOut(
        reviewer=review.reviewer,
        verdict=review.verdict,
        present=[StrokeType(each) for each in review.present],
        places=[PlaceIn(**each) for each in review.places],
        hindrance=review.hindrance,
        disagreement=review.disagreement,
        comment=review.comment,
        revision=review.revision,
        at=review.at,
    )


def _report_out(report: Report) -> ReportOut:
    return ReportOut(
        text=report.text,
        source=report.source,
        author=report.author,
        claims={StrokeType(kind): Claim(claim) for kind, claim in report.claims.items()},
        concordance=report.concordance,
        differs_in=[StrokeType(each) for each in report.differs_in],
        revision=report.revision,
        at=report.at,
    )
