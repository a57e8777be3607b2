"""The ML team's models: which reads where, what each said in shadow, what the gates say, and the verbs."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Path, Query, Request, Response, UploadFile

from model.stroke import Decision
from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.errors import BadRequest, GatesRefuse
from service.hospital_thresholds import hospitals_with_thresholds
from service.hospitals import hospital_names, list_hospitals
from service.model_arrivals import Packed, copy_all, landing, register_zip
from service.model_states import ModelState
from service.models import REGION, Model, find_model, list_models, steps_of
from service.placements import Placement, live_in, placements, retire_model, roll_back, shadow_model, state_in
from service.promotions import gates_of, promote
from service.settings import Settings
from service.shadows import differing, pairs_of, points_of
from service.shipped import Standard, shipped
from service.threshold_standings import hospital_standings
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

HISTORY = 40
POINTS = 400
"""Of the scatter; each is some 60 bytes of the page."""
DIFFERING = 50

HospitalField = Annotated[str, Form(pattern=r"^(\d{5})?$")]
ReasonField = Annotated[str, Form(max_length=2000)]
Name = Annotated[str, Path(max_length=200)]


@router.get("/console/models")
def show_models(entry: Browser, request: Request, session: Look) -> Response:
    """Every model, where each reads, and what was done."""
    viewer = entry.chosen().must(Permission.MODELS)
    places = placements(session)
    live = [each for each in places if each.state is ModelState.LIVE]
    rows = list_models(session)
    return render(
        request,
        "models.html",
        viewer,
        models=[(row, _standing(row, places)) for row in rows],
        names={row.id: row.name for row in rows},
        live=live,
        region=live_in(session, REGION),
        shipped=_standard(request).name,
        steps=steps_of(session, limit=HISTORY),
        thresholds=hospital_standings(session, viewer, request.app.state.settings),
        hospitals=hospital_names(session, thai=words_of(request).language is Language.TH),
    )


@router.post("/console/models/rollback")
def take_back(
    entry: Browser,
    request: Request,
    session: Work,
    live: Annotated[str, Form(max_length=200)],
    hospital: HospitalField = "",
    reason: ReasonField = "",
) -> Response:
    """Take a live model off."""
    viewer = entry.chosen().must(Permission.MODELS)
    roll_back(session, viewer, [hospital] if hospital else [], reason=reason, seen=live)
    return see_other(request, "/console/models", flash="model_moved")


@router.post("/console/models/register")
def take_package(
    entry: Browser, request: Request, package: Annotated[UploadFile | None, File()] = None
) -> Response:
    """Take a package in; it takes some ten seconds, as it is proven at once."""
    viewer = entry.chosen().must(Permission.MODELS)
    settings: Settings = request.app.state.settings
    if package is None or not package.filename:
        raise BadRequest("no file was chosen; a package is a zip of its folder")
    with landing(settings.data) as place:
        with Packed(place / "package.zip", settings.data, settings.disk_reserve_bytes) as packed:
            copy_all(package.file, packed)
        digest = register_zip(request.app.state.engine, viewer, packed.path, settings.data)
    return see_other(request, f"/console/models/{digest[:12]}", flash="model_registered")


@router.get("/console/models/{name}")
def show_model(
    name: Name,
    entry: Browser,
    request: Request,
    session: Look,
    hospital: Annotated[str, Query(pattern=r"^(\d{5})?$")] = "",
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    refused: bool = False,
) -> Response:
    """One model in one place: its gates, and how it differs from the live one."""
    viewer = entry.chosen().must(Permission.MODELS)
    model = find_model(session, name)
    if not viewer.sees_region:
        hospital = viewer.hcode or ""
    at = [hospital] if hospital else []
    standard = _standard(request)
    own = live_in(session, hospital)
    gates = [gate for _, gate in gates_of(session, viewer, model.name, at, standard=standard)]
    found = differing(session, viewer, model, before=before, limit=DIFFERING + 1)
    shown = found[:DIFFERING]
    values: dict[str, Any] = {
        "model": model,
        "hospital": hospital,
        "state": state_in(session, model, hospital),
        "seen": own.name if own else "",
        "gates": gates,
        "refused": refused,
        "may_override": viewer.may(Permission.ADMINISTER) and not all(gate.holds for gate in gates),
        "pairs": pairs_of(session, viewer, model),
        "points": points_of(session, viewer, model, limit=POINTS),
        "rows": shown,
        "before": shown[-1][0].id if len(found) > DIFFERING else None,
        "decisions": list(Decision),
        "hospitals": list_hospitals(session) if viewer.sees_region else [],
        "steps": steps_of(session, model, limit=HISTORY),
        "thresholds": [
            each for each in hospitals_with_thresholds(session, viewer) if each.digest == model.digest
        ],
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "shipped": standard.name,
    }
    note_read(request, session, viewer, "model.read", detail={"studies": [study.id for _, study in shown]})
    return render(request, "model.html", viewer, **values)


@router.post("/console/models/{name}/{verb}")
def move(
    name: Name,
    verb: Literal["shadow", "promote", "retire"],
    entry: Browser,
    request: Request,
    session: Work,
    hospital: HospitalField = "",
    live: Annotated[str, Form(max_length=200)] = "",
    reason: ReasonField = "",
    override: Annotated[bool, Form()] = False,
) -> Response:
    """Let a model read in shadow, let it read, or let it read no more."""
    viewer = entry.chosen().must(Permission.MODELS)
    at = [hospital] if hospital else []
    if verb == "shadow":
        shadow_model(session, viewer, name, at, reason=reason)
    elif verb == "retire":
        retire_model(session, viewer, name, at, reason=reason)
    else:
        try:
            promote(
                session,
                viewer,
                name,
                at,
                standard=_standard(request),
                reason=reason,
                seen=live,
                override=override,
            )
        except GatesRefuse:
            return see_other(request, f"/console/models/{name}?hospital={hospital}&refused=true")
    return see_other(request, f"/console/models/{name}?hospital={hospital}", flash="model_moved")


def _standard(request: Request) -> Standard:
    settings: Settings = request.app.state.settings
    return shipped(settings.model)


def _standing(model: Model, places: Sequence[Placement]) -> list[Placement]:
    return [each for each in places if each.model_id == model.id]
