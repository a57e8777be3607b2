"""`hub work`: a worker."""

import logging
import os
import threading
from typing import Annotated

import typer

from model.detect import Detector
from model.weights import BadArtefact
from pacs_gateway.inbox import Inbox
from service.commands.opening import open_process
from service.db import make_engine
from service.intake import Intake
from service.orders import ANALYSE, Orders
from service.pathway import Pathway
from service.settings import Settings
from service.storage import open_storage
from service.workers import Worker

log = logging.getLogger(__name__)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(work)


def work(
    slot: Annotated[str, typer.Option(help="Name of the slot; the same after a restart.")] = "worker-1",
) -> None:
    """Admit complete studies and look for stroke in them."""
    settings = open_process()
    engine = make_engine(settings.database)
    storage = open_storage(settings.storage, settings.storage_folder)
    pathway = Pathway(engine, storage, _open_detector(settings))
    worker = Worker(settings.jobs_database, slot=slot)
    worker.register(ANALYSE, pathway.steps(), on_failure=pathway.give_up)
    worker.launch()

    stop = threading.Event()
    inbox = Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes)
    orders = Orders(engine, settings.jobs_database)
    intake = Intake(engine, storage, inbox, orders, settings.data / "intake.lock")
    thread = threading.Thread(target=intake.run, args=(stop,), name="intake", daemon=True)
    thread.start()
    try:
        worker.run()
    finally:
        stop.set()
        thread.join(timeout=5)


def _open_detector(settings: Settings) -> Detector:
    try:
        return Detector(settings.model, threads=_threads(settings))
    except BadArtefact as refusal:
        log.critical("the model package is refused", extra={"why": str(refusal)})
        raise typer.Exit(1) from None


def _threads(settings: Settings) -> int:
    """Processor cores for each worker's inference; the listener and the API need little."""
    return max(1, (os.cpu_count() or 1) // max(settings.workers, 1))
