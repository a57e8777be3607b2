"""`hub serve`, `listen`, `work` and `api`: the processes of a hub."""

import logging
import os
import sys
import threading
from typing import Annotated

import typer
import uvicorn

from service.commands.opening import open_database, open_settings
from service.db import make_engine
from service.orders import ANALYSE, Orders
from service.processes import PARENT_VARIABLE, Command, Supervisor, die_with_parent
from service.settings import Settings
from service.storage import open_storage

log = logging.getLogger(__name__)

Learn = Annotated[
    bool, typer.Option("--learn", help="Also take studies from machines that are not listed, and list them.")
]
Slot = Annotated[str, typer.Option(help="Name of the worker slot; the same after a restart.")]


def serve(learn: Learn = False) -> None:
    """Run everything on this machine: listener, workers and API, each restarted when it dies."""
    settings = open_settings()
    open_database(settings, learn=learn or settings.learn_callers).dispose()
    hub = [sys.executable, "-m", "service"]
    commands = [Command("listener", [*hub, "listen", *(["--learn"] if learn else [])])]
    commands += [
        Command(f"worker-{number}", [*hub, "work", "--slot", f"worker-{number}"])
        for number in range(1, settings.workers + 1)
    ]
    commands.append(Command("api", [*hub, "api"]))
    Supervisor(commands, state_file=settings.data / "processes.json").run()


def listen(learn: Learn = False) -> None:
    """Receive studies: the DICOM listener alone."""
    from pacs_gateway.listener import listen as listen_until_told

    settings = _settings_of_child()
    listen_until_told(
        settings.inbox,
        settings.callers,
        ae_title=settings.ae_title,
        host=settings.dicom_host,
        port=settings.dicom_port,
        learn=learn or settings.learn_callers,
        processes=settings.listener_processes,
        reserve_bytes=settings.disk_reserve_bytes,
    )


def work(slot: Slot = "worker-1") -> None:
    """Admit complete studies and look for stroke in them."""
    from model.detect import Detector
    from model.weights import BadArtefact
    from pacs_gateway.inbox import Inbox
    from service.intake import Intake
    from service.pathway import Pathway
    from service.workers import Worker

    settings = _settings_of_child()
    engine = make_engine(settings.database)
    storage = open_storage(settings.storage, settings.storage_folder)
    try:
        detector = Detector(settings.model, threads=_threads(settings))
    except BadArtefact as refusal:
        log.critical("the model package is refused", extra={"why": str(refusal)})
        raise typer.Exit(1) from None
    pathway = Pathway(engine, storage, detector)
    worker = Worker(settings.jobs_database, slot=slot)
    worker.register(ANALYSE, pathway.steps(), on_failure=pathway.give_up)
    worker.launch()

    stop = threading.Event()
    orders = Orders(engine, settings.jobs_database)
    inbox = Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes)
    intake = Intake(engine, storage, inbox, orders, settings.data / "intake.lock")
    thread = threading.Thread(target=intake.run, args=(stop,), name="intake", daemon=True)
    thread.start()
    try:
        worker.run()
    finally:
        stop.set()
        thread.join(timeout=5)


def api() -> None:
    """Answer over HTTP: the API alone."""
    from service.app import create_app

    settings = _settings_of_child()
    engine = make_engine(settings.database)
    orders = Orders(engine, settings.jobs_database)
    app = create_app(
        settings,
        engine=engine,
        enqueue=orders.analyse,
        queue_depth=orders.waiting,
        worker_seen=orders.last_heard,
    )
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )


def _settings_of_child() -> Settings:
    """Settings for one process; under `hub serve` the parent has opened the database already."""
    die_with_parent()
    settings = open_settings()
    if PARENT_VARIABLE not in os.environ:
        open_database(settings, learn=settings.learn_callers).dispose()
    return settings


def _threads(settings: Settings) -> int:
    """Processor cores for each worker's inference; the listener and the API need little."""
    return max(1, (os.cpu_count() or 1) // max(settings.workers, 1))
