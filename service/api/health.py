"""Is it alive, is it ready, and the figures that Prometheus reads; open to anyone, so without any details."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service import metrics
from service.db import at_head, now, session_scope
from service.drift import count_alarms
from service.settings import Settings
from service.worklist import count_by_state

log = logging.getLogger(__name__)

router = APIRouter(tags=["health"])

HEARTBEAT_LIMIT = timedelta(seconds=60)
COUNTS_KEPT_SECONDS = 10.0
"""Counting a million studies takes a tenth of a second; scrapers share one count for this long."""
DRIFT_KEPT_SECONDS = 3600.0
"""Twelve weeks of results are read for it, and it changes with the days."""


@router.get("/healthz")
def alive() -> dict[str, str]:
    """Whether the process answers at all."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "A part is not ready"}})
def ready(request: Request) -> JSONResponse:
    """Whether each part that a study needs is there."""
    parts = parts_ready(request.app)
    whole = all(parts.values())
    return JSONResponse(
        {
            "status": "ready" if whole else "not ready",
            "parts": {name: "ok" if holds else "failing" for name, holds in parts.items()},
        },
        status_code=200 if whole else 503,
    )


def parts_ready(app: FastAPI) -> dict[str, bool]:
    """Each part that a study needs, and whether it is there."""
    return {name: _holds(name, check, app) for name, check in CHECKS.items()}


@router.get("/metrics", response_class=Response)
def figures(request: Request) -> Response:
    """Counts and durations in Prometheus's text format."""
    state = request.app.state
    with session_scope(state.engine, write=False) as session:
        kept_at, counts = state.counts
        if time.monotonic() - kept_at > COUNTS_KEPT_SECONDS:
            counts = count_by_state(session)
            state.counts = (time.monotonic(), counts)
        alarms = drift_alarms(request.app, session)
        queue_depth = None if state.queue_depth is None else state.queue_depth()
        text = metrics.exposition(session, studies=counts, queue_depth=queue_depth, drift=alarms)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def drift_alarms(app: FastAPI, session: Session) -> dict[str, int]:
    """How many hospitals have each alarm of drift; counted once an hour, as it reads three months of rows."""
    at, alarms = app.state.drift
    if time.monotonic() - at > DRIFT_KEPT_SECONDS:
        alarms = count_alarms(session, now())
        app.state.drift = (time.monotonic(), alarms)
    kept: dict[str, int] = alarms
    return kept


def _database(app: FastAPI) -> bool:
    return at_head(app.state.engine)


def _inbox(app: FastAPI) -> bool:
    folder = _settings(app).inbox
    return folder.is_dir() and os.access(folder, os.W_OK)


def _model(app: FastAPI) -> bool:
    return any(_settings(app).model.glob("MANIFEST*"))


def _worker(app: FastAPI) -> bool:
    seen = None if app.state.worker_seen is None else app.state.worker_seen()
    return seen is not None and now() - seen <= HEARTBEAT_LIMIT


def _disk(app: FastAPI) -> bool:
    return shutil.disk_usage(_settings(app).data).free >= _settings(app).disk_reserve_bytes


def _settings(app: FastAPI) -> Settings:
    settings: Settings = app.state.settings
    return settings


CHECKS: dict[str, Callable[[FastAPI], bool]] = {
    "database": _database,
    "inbox": _inbox,
    "model": _model,
    "worker": _worker,
    "disk": _disk,
}


def _holds(name: str, check: Callable[[FastAPI], bool], app: FastAPI) -> bool:
    try:
        return check(app)
    except (OSError, SQLAlchemyError) as error:
        log.error("a part is not ready", exc_info=error, extra={"part": name})
        return False
