"""What closes the loop, over HTTP: what drifted, and which studies the readers should label next."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from service.api.access import Curator, Look, ModelKeeper, Work, note_read
from service.api.problems import responses
from service.case_keys import open_research_key
from service.case_states import CaseState
from service.db import now
from service.drift import drift
from service.drift_weeks import Alarm
from service.next_cases import MOST, Why, next_cases, take_next

router = APIRouter(prefix="/api/v1", tags=["models"], responses=responses(401, 403, 404, 422, 503))


class DriftOut(BaseModel):
    """The last weeks of one hospital."""

    hospital: str
    reference: int
    """Studies in the weeks by which these are judged."""
    alarms: list[Alarm]
    weeks: list[dict[str, Any]]


class NextCaseOut(BaseModel):
    """One study on offer."""

    study_instance_uid: str
    hospital: str | None
    why: Why
    score: float | None


class NextCasesIn(BaseModel):
    """Studies that become cases."""

    studies: list[Annotated[str, Field(max_length=64)]] = Field(min_length=1, max_length=MOST)


class TakenOut(BaseModel):
    """A case that was made."""

    number: int
    state: CaseState


@router.get("/drift")
def read_drift(
    viewer: ModelKeeper,
    session: Look,
    hospital: Annotated[str | None, Query(pattern=r"^\d{5}$")] = None,
) -> Sequence[DriftOut]:
    """What drifted in the last weeks; hospitals with alarms first."""
    return [
        DriftOut(
            hospital=each.hcode,
            reference=each.reference,
            alarms=list(each.alarms),
            weeks=[asdict(week) for week in each.weeks],
        )
        for each in drift(session, viewer, now(), hcode=hospital)
    ]


@router.get("/next-cases")
def list_next(
    request: Request,
    viewer: Curator,
    session: Look,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    why: Annotated[Why | None, Query()] = None,
) -> Sequence[NextCaseOut]:
    """The studies that the model would learn most from, the most telling first."""
    found = next_cases(session, viewer, limit=limit, why=why)
    answer = [
        NextCaseOut(
            study_instance_uid=each.study.study_instance_uid,
            hospital=each.study.hcode,
            why=each.why,
            score=each.score,
        )
        for each in found
    ]
    note_read(request, session, viewer, "case.next.list", detail={"studies": [e.study.id for e in found]})
    return answer


@router.post("/next-cases", status_code=201, responses=responses(409))
def make_cases(request: Request, body: NextCasesIn, viewer: Curator, session: Work) -> Sequence[TakenOut]:
    """Make cases of studies; a person screens each, as no hospital has answered for it."""
    key = open_research_key(request.app.state.settings)
    made = take_next(session, viewer, key, body.studies)
    return [TakenOut(number=case.id, state=case.state) for case in made]
