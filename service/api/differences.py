"""Where people and the AI differ: the ML team's queue of reviews, and reports that say something else."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from model.stroke import StrokeType
from service.api.access import Look, Reviewer, Settler, Work, note_read
from service.api.problems import responses
from service.api.reviews import ReviewOut, review_out
from service.disagreements import LONGEST_PAGE, Conclusion, Settlement, disagreements, settle
from service.reports import Concordance, discordant
from service.verdicts import Disagreement

router = APIRouter(prefix="/api/v1", tags=["differences"], responses=responses(401, 403, 404, 422, 503))

Before = Annotated[int | None, Query(ge=1, description="the number of the last row of the page before")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE)]


class SettlementIn(BaseModel):
    """What the ML team makes of a disagreement."""

    model_config = ConfigDict(extra="forbid")

    conclusion: Conclusion
    comment: str = Field(default="", max_length=2000)


class SettlementOut(BaseModel):
    """How a disagreement was settled."""

    conclusion: Conclusion
    comment: str
    settled_by: str
    at: datetime


class DisagreementOut(BaseModel):
    """One review that differs from the AI."""

    number: int
    study_instance_uid: str
    hospital: str | None
    review: ReviewOut
    settlement: SettlementOut | None


class DiscordantOut(BaseModel):
    """One study whose newest report differs from the AI; without the report's text."""

    number: int
    study_instance_uid: str
    hospital: str | None
    concordance: Concordance
    differs_in: list[StrokeType]
    at: datetime


@router.get("/disagreements")
def list_disagreements(
    request: Request,
    viewer: Settler,
    session: Look,
    kind: Disagreement | None = None,
    hospital: Annotated[str | None, Query(pattern=r"^\d{5}$")] = None,
    settled: bool | None = False,
    before: Before = None,
    limit: Limit = 50,
) -> Sequence[DisagreementOut]:
    """Reviews that stand and differ from the AI, newest first; the unsettled unless asked otherwise."""
    found = disagreements(
        session, viewer, kind=kind, hcode=hospital, settled=settled, before=before, limit=limit
    )
    answer = [
        DisagreementOut(
            number=each.review.id,
            study_instance_uid=each.study.study_instance_uid,
            hospital=each.study.hcode,
            review=review_out(each.review),
            settlement=_settlement_out(each.settlement) if each.settlement else None,
        )
        for each in found
    ]
    ids = [each.study.id for each in found]
    note_read(request, session, viewer, "disagreement.list", detail={"studies": ids})
    return answer


@router.post("/disagreements/{number}/settlement", status_code=201, responses=responses(409))
def add_settlement(number: int, body: SettlementIn, viewer: Settler, session: Work) -> SettlementOut:
    """Say what became of a disagreement."""
    return _settlement_out(settle(session, viewer, number, body.conclusion, comment=body.comment))


@router.get("/discordant-reports")
def list_discordant(
    request: Request,
    viewer: Reviewer,
    session: Look,
    kind: Concordance | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> Sequence[DiscordantOut]:
    """Studies whose newest report says something else than the AI, newest first."""
    found = discordant(session, viewer, kind=kind, before=before, limit=limit)
    answer = [
        DiscordantOut(
            number=each.report.id,
            study_instance_uid=each.study.study_instance_uid,
            hospital=each.study.hcode,
            concordance=each.report.concordance,
            differs_in=[StrokeType(kind) for kind in each.report.differs_in],
            at=each.report.at,
        )
        for each in found
    ]
    ids = [each.study.id for each in found]
    note_read(request, session, viewer, "discordant.list", detail={"studies": ids})
    return answer


def _settlement_out(settlement: Settlement) -> SettlementOut:
    return SettlementOut(
        conclusion=settlement.conclusion,
        comment=settlement.comment,
        settled_by=settlement.settled_by,
        at=settlement.at,
    )
