"""A model package over HTTP: a zip, taken as it comes, and refused unless it proves itself."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from service.accounts import Viewer
from service.api.access import ModelKeeper
from service.api.models import ModelOut, model_out
from service.api.problems import responses
from service.db import session_scope
from service.errors import UnsupportedMedia
from service.model_arrivals import Packed, landing, register_zip
from service.models import find_model
from service.settings import Settings

router = APIRouter(prefix="/api/v1/models", tags=["models"], responses=responses(401, 403, 422, 503))
ZIP = ("application/zip", "application/x-zip-compressed", "application/octet-stream")
BODY = {"requestBody": {"required": True, "content": {ZIP[0]: {}}}}


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


def _register(request: Request, viewer: Viewer, packed: Packed) -> ModelOut:
    settings: Settings = request.app.state.settings
    digest = register_zip(request.app.state.engine, viewer, packed.path, settings.data)
    with session_scope(request.app.state.engine, write=False) as session:
        return model_out(session, find_model(session, digest))
