"""Thresholds of hospitals over HTTP: what is in force and why, what reviews propose, and the verbs."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from model.stroke import StrokeType
from service.api.access import Look, ModelKeeper, Work
from service.api.models import LONGEST_REASON, Hospital
from service.api.problems import responses
from service.hospital_thresholds import HospitalThreshold, apply_threshold, threshold_rows, undo_threshold
from service.hospitals import find_hospital
from service.own_thresholds import own_of
from service.threshold_standings import standings_at

router = APIRouter(prefix="/api/v1/models", tags=["models"], responses=responses(401, 403, 404, 422, 503))


class ThresholdOut(BaseModel):
    """One change of a threshold."""

    number: int
    model: str
    digest: str
    hospital: str
    finding: StrokeType
    flag: float | None
    """None: the package's own again."""
    before: float
    package_flag: float
    positive: int
    negative: int
    sensitivity_before: float | None
    sensitivity: float | None
    overridden: bool
    reason: str
    by: str
    at: datetime

    @classmethod
    def of(cls, row: HospitalThreshold) -> Self:
        """A row as JSON."""
        return cls(
            number=row.id,
            model=row.model_name,
            digest=row.digest,
            hospital=row.hcode,
            finding=row.stroke_type,
            flag=row.flag,
            before=row.before,
            package_flag=row.package_flag,
            positive=row.positive,
            negative=row.negative,
            sensitivity_before=row.sensitivity_before,
            sensitivity=row.sensitivity,
            overridden=row.overridden,
            reason=row.reason,
            by=row.by,
            at=row.at,
        )


class ProposalOut(BaseModel):
    """What the reviews of one hospital propose."""

    positive: int
    negative: int
    flag: float | None
    """None: too few reviews."""
    low: float | None
    high: float | None


class StandingOut(BaseModel):
    """One finding at one hospital."""

    finding: StrokeType
    flag: float
    """In force."""
    clear: float
    package_flag: float
    set_by: ThresholdOut | None
    """None: the package's own is in force."""
    proposal: ProposalOut


class ThresholdsOut(BaseModel):
    """A package's thresholds: at one hospital, and what was done to them, newest first."""

    model: str
    digest: str
    standing: list[StandingOut]
    """Empty where no hospital is asked for."""
    history: list[ThresholdOut]


class BackIn(BaseModel):
    """Which threshold goes back to the package's own, and why."""

    hospital: Hospital
    finding: StrokeType = StrokeType.ANY_ICH
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)
    seen: float | None = Field(default=None, ge=0, le=1)
    """The threshold in force as the caller saw it; another answers 409."""


class ChangeIn(BackIn):
    """A threshold, and why."""

    flag: float | None = Field(default=None, ge=0, le=1)
    """None takes what the reviews propose."""
    override: bool = False
    """Let sensitivity on the reviewed studies fall under the floor; an administrator's."""


@router.get("/{name}/thresholds")
def read_thresholds(
    request: Request,
    name: str,
    viewer: ModelKeeper,
    session: Look,
    hospital: Annotated[Hospital | None, Query()] = None,
) -> ThresholdsOut:
    """What is in force at a hospital, who set it and why, and what its reviews propose."""
    own = own_of(session, request.app.state.settings, name)
    standing = []
    if hospital is not None:
        find_hospital(session, hospital)
        standing = standings_at(session, viewer, own, hospital)
    rows = threshold_rows(session, viewer, digest=own.digest, hcode=hospital)
    return ThresholdsOut(
        model=own.name,
        digest=own.digest,
        standing=[
            StandingOut(
                finding=each.kind,
                flag=each.flag,
                clear=each.clear,
                package_flag=each.package_flag,
                set_by=ThresholdOut.of(each.row) if each.row else None,
                proposal=ProposalOut.model_validate(each.proposal, from_attributes=True),
            )
            for each in standing
        ],
        history=[ThresholdOut.of(row) for row in rows],
    )


@router.post("/{name}/thresholds", status_code=201, responses=responses(409))
def change(request: Request, name: str, body: ChangeIn, viewer: ModelKeeper, session: Work) -> ThresholdOut:
    """Set a hospital's own threshold, from the next study on."""
    made = apply_threshold(
        session,
        viewer,
        own_of(session, request.app.state.settings, name),
        body.hospital,
        body.finding,
        flag=body.flag,
        reason=body.reason,
        seen=body.seen,
        override=body.override,
    )
    return ThresholdOut.of(made)


@router.post("/{name}/thresholds/undo", status_code=201, responses=responses(409))
def go_back(request: Request, name: str, body: BackIn, viewer: ModelKeeper, session: Work) -> ThresholdOut:
    """Go back to the package's own threshold, from the next study on."""
    own = own_of(session, request.app.state.settings, name)
    made = undo_threshold(
        session, viewer, own, body.hospital, body.finding, reason=body.reason, seen=body.seen
    )
    return ThresholdOut.of(made)
