"""`hub work`: a worker."""

import logging
import os
import threading
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from model.detect import Detector
from model.weights import BadArtefact
from pacs_gateway.inbox import Inbox
from service.alerts import AlertKind, Withdrawal
from service.case_keys import open_research_key
from service.channels.fence import read_fence
from service.channels.opening import open_channels
from service.commands.opening import open_process
from service.consult_clock import consult_clock
from service.counts import Counts
from service.couriers import Courier
from service.data_sets import place_of
from service.db import make_engine
from service.detectors import Detectors, Packages
from service.dispatch import Dispatch
from service.freezing import Freezing
from service.handovers import Handover
from service.intake import Intake
from service.ladders import Ladder
from service.messengers import Messenger, Titles
from service.moph.client import NRefer
from service.moph.outbox import Outbox
from service.moph.reporter import Reporter
from service.neighbour_couriers import NeighbourCourier
from service.notifiers import Notifier
from service.orders import (
    ANALYSE,
    DELIVER,
    FREEZE,
    HAND_OVER,
    NEIGHBOUR,
    NOTIFY,
    REPLY,
    REPORT,
    SIGN,
    TELL,
    UNPACK,
    Orders,
)
from service.pathway import Pathway
from service.peers import as_remote
from service.quiet import Limits
from service.replies import Replies
from service.settings import Settings
from service.shadow_reader import ShadowReader
from service.storage import open_storage
from service.unpacking import Unpacking
from service.upload_files import UploadFiles
from service.web.words import Language, Words
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
    orders = Orders(engine, settings.jobs_database)
    threads = _threads(settings)
    detectors = Detectors(
        engine, settings.data, _open_detector(settings), lambda path: Detector(path, threads=threads)
    )
    pathway = Pathway(engine, storage, detectors, wake=orders.deliver)
    courier = Courier(
        engine,
        storage,
        remote=lambda peer: as_remote(peer, settings),
        wake=orders.deliver,
        calling_ae=settings.ae_title,
    )
    messenger = Messenger(
        engine, open_channels(settings), titles=titles(), address=settings.address, wake=orders.tell
    )
    place, address = settings.data, settings.address
    handover = Handover(engine, storage, data=place, address=address, wake=orders.deliver)
    replies = Replies(engine, storage, data=place, address=address, wake=orders.deliver)
    nrefer = NRefer(settings.nrefer_url, provider=settings.nrefer_provider) if settings.nrefer_url else None
    reporter = Reporter(engine, nrefer, wake=orders.report)
    uploads = UploadFiles(settings.data, reserve_bytes=settings.disk_reserve_bytes)
    unpacking = Unpacking(
        engine,
        lambda: Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes),
        uploads,
        ae_title=settings.ae_title,
    )
    neighbours = NeighbourCourier(engine, wake=orders.tell_neighbour)
    worker = Worker(settings.jobs_database, slot=slot)
    worker.register(ANALYSE, pathway.steps(), on_failure=pathway.give_up)
    worker.register(SIGN, pathway.signing_steps(), on_failure=pathway.note_unsigned)
    worker.register(DELIVER, courier.steps(), on_failure=courier.give_up)
    worker.register(HAND_OVER, handover.steps(), on_failure=handover.give_up)
    worker.register(REPLY, replies.steps(), on_failure=replies.give_up)
    notifier = Notifier(
        engine,
        fence=read_fence(settings.subscription_networks),
        address=settings.address,
        wake=orders.notify,
    )
    worker.register(NOTIFY, notifier.steps(), on_failure=notifier.give_up)
    worker.register(UNPACK, unpacking.steps(), on_failure=unpacking.give_up)
    freezing = Freezing(engine, storage, partial(open_research_key, settings), place_of(settings.data))
    worker.register(FREEZE, freezing.steps(), on_failure=freezing.give_up)
    worker.register(NEIGHBOUR, neighbours.steps(), on_failure=neighbours.give_up)
    worker.register(TELL, messenger.steps(), on_failure=messenger.give_up)
    worker.register(REPORT, reporter.steps(), on_failure=reporter.give_up)
    worker.launch()

    stop = threading.Event()
    inbox = Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes)
    counts = Counts(engine, inbox, settings)
    intake = Intake(engine, storage, inbox, orders, settings.data / "intake.lock", count=counts.look)
    limits = Limits(settings.alert_flags_an_hour, settings.alert_precision)
    ladder = Ladder(engine, minutes=settings.ladder_minutes, limits=limits)
    consults = consult_clock(settings, engine)
    days = settings.notification_days
    dispatch = Dispatch(engine, orders, inbox, ladder=ladder, consults=consults, notification_days=days)
    shadows = ShadowReader(
        engine,
        storage,
        Packages(engine, settings.data, lambda path: Detector(path, threads=1)),
        settings.data / "shadow.lock",
    )
    loops = {"intake": intake.run, "dispatch": dispatch.run, "shadow": shadows.run}
    if nrefer is not None:
        loops["moph"] = Outbox(engine, orders.sweep_report).run
    running = [
        threading.Thread(target=loop, args=(stop,), name=name, daemon=True) for name, loop in loops.items()
    ]
    for thread in running:
        thread.start()
    try:
        worker.run()
    finally:
        stop.set()
        for thread in running:
            thread.join(timeout=5)
        counts.close()


def titles() -> Titles:
    """What each kind of alert, and its withdrawal, is called in a message, in Thai and in English."""
    named: dict[AlertKind | Withdrawal, str] = {each: f"alert.kind.{each.value}" for each in AlertKind}
    named |= {each: f"alert.withdrawn.{each.value}" for each in Withdrawal}
    speakers = [Words(language) for language in Language]
    return {each: tuple(words(name) for words in speakers) for each, name in named.items()}


def _open_detector(settings: Settings) -> Detector:
    try:
        site = Path(settings.model_site) if settings.model_site else None
        return Detector(settings.model, threads=_threads(settings), site=site)
    except BadArtefact as refusal:
        log.critical("the model package is refused", extra={"why": str(refusal)})
        raise typer.Exit(1) from None


def _threads(settings: Settings) -> int:
    """Processor cores for each worker's inference; the listener and the API need little."""
    return max(1, (os.cpu_count() or 1) // max(settings.workers, 1))
