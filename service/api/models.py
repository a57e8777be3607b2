"""Models over HTTP: which there are, where each reads, and the verbs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from service.accounts import Viewer
from service.api.access import Look, ModelKeeper, Work
from service.api.problems import responses
from service.db import session_scope
from service.errors import UnsupportedMedia
from service.evaluations import Report, add_evaluation
from service.model_arrivals import Packed, landing, register_zip
from service.model_gates import GateName
from service.model_states import ModelState, ModelVerb
from service.models import REGION, Model, ModelStep, find_model, list_models, steps_of
from service.placements import (
    Placement,
    placements,
    retire_model,
    roll_back,
    shadow_model,
)
from service.promotions import gates_of, plain, promote
from service.settings import Settings
from service.shipped import shipped

router = APIRouter(prefix="/api/v1/models", tags=["models"], responses=responses(401, 403, 404, 422, 503))

Hospital = Annotated[str, Field(pattern=r"^\d{5}$")]
LONGEST_REASON = 2000
HISTORY = 200
ZIP = ("application/zip", "application/x-zip-compressed", "application/octet-stream")
BODY = {"requestBody": {"required": True, "content": {ZIP[0]: {}}}}


class MoveIn(BaseModel):
    """Where a verb counts, and why."""

    hospitals: list[Hospital] = Field(default=[], max_length=200)
    """Empty for the whole region."""
    reason: str = Field(default="", max_length=LONGEST_REASON)


class PromotionIn(MoveIn):
    """A promotion."""

    live: str | None = Field(default=None, max_length=200)
    """The live model's name (or digest) as the caller saw it, empty for HUB_MODEL's; another answers 409."""
    override: bool = False
    """In spite of the gates; an administrator's, with a reason."""


class RollbackIn(MoveIn):
    """A roll-back."""

    live: str = Field(max_length=200)
    """The model to be taken off; another that is live answers 409."""


class PlaceOut(BaseModel):
    """Where a model stands in one place."""

    hospital: str | None
    """None for the region."""
    state: ModelState
    since: datetime


class ModelOut(BaseModel):
    """One model."""

    name: str
    digest: str
    state: ModelState
    """In the region."""
    places: list[PlaceOut]
    assessed: list[str]
    engine: str
    golden_off_by: float
    registered_by: str
    registered_at: datetime


class StepOut(BaseModel):
    """One thing done to a model."""

    number: int
    hospital: str | None
    verb: ModelVerb
    before: ModelState
    after: ModelState
    reason: str
    overridden: list[str]
    by: str
    at: datetime


class ModelHistoryOut(ModelOut):
    """One model and what was done to it, newest first."""

    history: list[StepOut]


class BackOut(BaseModel):
    """What a roll-back did in one place."""

    hospital: str | None
    retired: str
    live: str | None
    """None: the region's model for a hospital, HUB_MODEL's for the region."""


class EvaluationOut(BaseModel):
    """An evaluation that was kept."""

    model: str
    digest: str
    studies: int
    truth: str
    """Equal where two packages answered the same studies."""


class GateOut(BaseModel):
    """One gate."""

    hospital: str | None
    gate: GateName
    holds: bool
    th: str
    en: str


@router.get("")
def list_registered(viewer: ModelKeeper, session: Look) -> Sequence[ModelOut]:
    """Every model, the newest first."""
    places = placements(session)
    return [ModelOut(**_columns(each, places)) for each in list_models(session)]


@router.post("", status_code=201, responses=responses(409, 413, 415), openapi_extra=BODY)
async def take_package(request: Request, viewer: ModelKeeper) -> ModelOut:
    """Take a package in: a zip of its folder. Refused, with the reason, unless its golden studies reproduce.

    It takes some ten seconds after the last byte, as the package is proven before it is answered for.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ZIP:
        raise UnsupportedMedia(f"the body is {kind or 'of no type'}; send a package as {ZIP[0]}")
    settings: Settings = request.app.state.settings
    with landing(settings.data) as place:
        with Packed(place / "package.zip", settings.data, settings.disk_reserve_bytes) as packed:
            async for chunk in request.stream():
                await run_in_threadpool(packed.write, chunk)
        return await run_in_threadpool(_register, request, viewer, packed)


@router.post("/rollback", responses=responses(409))
def take_back(body: RollbackIn, viewer: ModelKeeper, session: Work) -> Sequence[BackOut]:
    """Take the live model off; the one before it reads again, from the next study on."""
    done = roll_back(session, viewer, body.hospitals, reason=body.reason, seen=body.live)
    return [
        BackOut(hospital=place or None, retired=model.name, live=before.name if before else None)
        for place, model, before in done
    ]


@router.post("/evaluations", status_code=201)
def keep_evaluation(body: Report, viewer: ModelKeeper, session: Work) -> EvaluationOut:
    """Keep the report.json of `training.evaluate` for the gates; it names its package by the digest."""
    made = add_evaluation(session, viewer, body)
    return EvaluationOut(model=made.model_name, digest=made.digest, studies=made.studies, truth=made.truth)


@router.get("/{name}")
def read_model(name: str, viewer: ModelKeeper, session: Look) -> ModelHistoryOut:
    """One model with its history."""
    model = find_model(session, name)
    steps = steps_of(session, model, limit=HISTORY)
    return ModelHistoryOut(
        **_columns(model, placements(session)), history=[_step_out(each) for each in steps]
    )


@router.get("/{name}/gates")
def read_gates(
    request: Request,
    name: str,
    viewer: ModelKeeper,
    session: Look,
    hospital: Annotated[list[Hospital], Query()] = [],  # noqa: B006
) -> Sequence[GateOut]:
    """What the gates say of a model, by place, in Thai and English."""
    standard = shipped(request.app.state.settings.model)
    found = gates_of(session, viewer, name, hospital, standard=standard)
    return [GateOut.model_validate(plain(place, gate)) for place, gate in found]


@router.post("/{name}/shadow", responses=responses(409))
def let_shadow(name: str, body: MoveIn, viewer: ModelKeeper, session: Work) -> ModelOut:
    """Let a model read beside the live one."""
    return model_out(session, shadow_model(session, viewer, name, body.hospitals, reason=body.reason))


@router.post("/{name}/promote", responses=responses(409))
def put_live(request: Request, name: str, body: PromotionIn, viewer: ModelKeeper, session: Work) -> ModelOut:
    """Let a model read the studies, from the next one on."""
    made = promote(
        session,
        viewer,
        name,
        body.hospitals,
        standard=shipped(request.app.state.settings.model),
        reason=body.reason,
        seen=body.live,
        override=body.override,
    )
    return model_out(session, made)


@router.post("/{name}/retire", responses=responses(409))
def retire(name: str, body: MoveIn, viewer: ModelKeeper, session: Work) -> ModelOut:
    """Have a candidate or a shadow read no more."""
    return model_out(session, retire_model(session, viewer, name, body.hospitals, reason=body.reason))


def model_out(session: Session, model: Model) -> ModelOut:
    """A model as JSON."""
    return ModelOut(**_columns(model, placements(session)))


def _columns(model: Model, places: Sequence[Placement]) -> dict[str, Any]:
    own = [each for each in places if each.model_id == model.id]
    return {
        "name": model.name,
        "digest": model.digest,
        "state": next((each.state for each in own if each.place == REGION), ModelState.CANDIDATE),
        "places": [PlaceOut(hospital=e.place or None, state=e.state, since=e.since) for e in own],
        "assessed": model.assessed,
        "engine": model.engine,
        "golden_off_by": model.golden_off_by,
        "registered_by": model.registered_by,
        "registered_at": model.registered_at,
    }


def _step_out(step: ModelStep) -> StepOut:
    return StepOut(
        number=step.id,
        hospital=step.place or None,
        verb=step.verb,
        before=step.before,
        after=step.after,
        reason=step.reason,
        overridden=step.gates,
        by=step.by,
        at=step.at,
    )


def _register(request: Request, viewer: Viewer, packed: Packed) -> ModelOut:
    settings: Settings = request.app.state.settings
    digest = register_zip(request.app.state.engine, viewer, packed.path, settings.data)
    with session_scope(request.app.state.engine, write=False) as session:
        return model_out(session, find_model(session, digest))
