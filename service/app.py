"""Build the FastAPI app: the routes, the errors, and what the routes need from the rest of the hub."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import Engine

from pacs_gateway.inbox import Inbox
from pacs_gateway.trials import TrialInbox
from service.api import (
    accounts,
    adjudications,
    alerts,
    audit,
    callers,
    capabilities,
    case_batches,
    cases,
    certificates,
    clock,
    consults,
    contacts,
    datasets,
    deliveries,
    destinations,
    differences,
    drawings,
    events,
    fhir,
    fhir_subscriptions,
    fhir_writing,
    forms,
    health,
    hospitals,
    labels,
    letters,
    loop,
    models,
    moph,
    neighbour_door,
    neighbours,
    pages,
    peers,
    priors,
    problems,
    qido,
    reading,
    receipts,
    referrals,
    reviews,
    rosters,
    selftests,
    share_links,
    stow,
    studies,
    subscriptions,
    thresholds,
    uploads,
    viewer,
    wado,
)
from service.api import (
    jobs as failed_jobs,
)
from service.api.access import Enqueue
from service.api.caution import CautiousHeaders
from service.db import make_engine
from service.event_feed import EventFeed
from service.failed_work import FailedJobs
from service.read_log import ReadLog
from service.results import INTENDED_USE
from service.settings import Settings
from service.sign_in_doors import read_doors
from service.storage import open_storage
from service.web import (
    account,
    agreement,
    alert_link,
    alike,
    answers,
    assets,
    case_progress,
    console,
    data_sets,
    doors,
    entrance,
    error,
    offer,
    on_call,
    preferences,
    readers,
    refer,
    reply,
    selftest,
    share,
    study,
    views,
    worklist,
)
from service.web import accounts as accounts_page
from service.web import audit as audit_page
from service.web import cases as cases_page
from service.web import clock as clock_page
from service.web import consults as consults_page
from service.web import differences as differences_page
from service.web import forms as forms_page
from service.web import label as label_page
from service.web import loop as loop_page
from service.web import models as models_page
from service.web import moph as moph_page
from service.web import neighbours as neighbours_page
from service.web import priors as priors_page
from service.web import receipts as receipts_page
from service.web import referrals as referrals_page
from service.web import subscriptions as subscriptions_page
from service.web import thresholds as thresholds_page
from service.web import upload as upload_page

VERSION = "0.1.0"

PARTS = (
    studies,
    qido,
    wado,
    drawings,
    stow,
    uploads,
    capabilities,
    viewer,
    fhir,
    fhir_writing,
    fhir_subscriptions,
    priors,
    reviews,
    referrals,
    letters,
    forms,
    moph,
    share_links,
    neighbours,
    neighbour_door,
    destinations,
    differences,
    case_batches,
    cases,
    labels,
    adjudications,
    reading,
    datasets,
    models,
    thresholds,
    loop,
    clock,
    events,
    hospitals,
    alerts,
    rosters,
    contacts,
    consults,
    receipts,
    selftests,
    audit,
    deliveries,
    subscriptions,
    failed_jobs,
    accounts,
    callers,
    certificates,
    peers,
    health,
    pages,
    assets,
    preferences,
    entrance,
    doors,
    account,
    worklist,
    views,
    study,
    priors_page,
    refer,
    share,
    reply,
    referrals_page,
    accounts_page,
    clock_page,
    differences_page,
    models_page,
    thresholds_page,
    loop_page,
    label_page,
    cases_page,
    case_progress,
    alike,
    agreement,
    readers,
    data_sets,
    consults_page,
    on_call,
    alert_link,
    receipts_page,
    upload_page,
    answers,
    offer,
    selftest,
    forms_page,
    audit_page,
    neighbours_page,
    subscriptions_page,
    moph_page,
    console,
)
"""The modules whose routes the app has."""


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    enqueue: Enqueue | None = None,
    queue_depth: Callable[[], Mapping[str, int]] | None = None,
    worker_seen: Callable[[], datetime | None] | None = None,
    jobs: FailedJobs | None = None,
) -> FastAPI:
    """The API as an ASGI app; the database must have been upgraded before it serves.

    Args:
        settings: The hub's settings.
        engine: The database where the caller has already opened it.
        enqueue: Puts (study number, revision) on the queue; without it `reprocess` answers 503.
        queue_depth: Waiting jobs by queue, for /metrics.
        worker_seen: When any worker last gave a sign of life, for /readyz.
        jobs: Knows the jobs that failed; without it none are shown.
    """
    app = FastAPI(
        title="Imaging Hub", version=VERSION, description=INTENDED_USE, docs_url=None, redoc_url=None
    )
    app.state.settings = settings
    app.state.engine = engine or make_engine(settings.database)
    app.state.reads = ReadLog(app.state.engine)
    app.state.storage = open_storage(settings.storage, settings.storage_folder)
    app.state.inbox = cache(lambda: Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes))
    app.state.trials = cache(lambda: TrialInbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes))
    app.state.enqueue = enqueue
    app.state.queue_depth = queue_depth
    app.state.worker_seen = worker_seen
    app.state.jobs = jobs
    app.state.counts = (float("-inf"), {})
    app.state.drift = (float("-inf"), {})
    app.state.events = EventFeed(app.state.engine)
    app.state.doors = read_doors(Path(settings.providers) if settings.providers else None)
    app.state.streams = Counter[str]()
    problems.add_handlers(app, error.show)
    app.add_middleware(CautiousHeaders)
    for part in PARTS:
        # as they are: the app gives them no prefix and no dependency; include_router would build 350 routes
        # anew, half a second of every app's first request
        app.router.routes.extend(part.router.routes)
    return app
