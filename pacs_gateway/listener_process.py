"""One spawned process of a listener that has several; the kernel deals connections out among them."""

import multiprocessing
import signal
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pacs_gateway.association import Policy
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.partners import Partners
from pacs_gateway.reporter import Reporter
from pacs_gateway.server import Door, Server, TlsPort, bind
from pacs_gateway.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Options:
    """What a process of the listener must know; sent to it as it starts."""

    inbox_root: Path
    reserve_bytes: int
    blanks: int
    callers_path: Path
    learn: bool
    host: str
    port: int
    policy: Policy
    max_associations: int
    tls_folder: Path | None
    tls_port: int
    partners_path: Path


def hush_pydicom() -> None:
    """Let pydicom warn of no value: each text is remembered for ever, and may be a patient's name."""
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")


def serve(options: Options, parent: Connection, grace_seconds: float) -> None:
    """What a spawned process does, until its parent lets go of the pipe or it is told to end."""
    hush_pydicom()
    wake_reader, wake_writer = multiprocessing.Pipe(duplex=False)
    signal.signal(signal.SIGTERM, lambda *_: wake_writer.send(None))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent decides
    inbox = Inbox(options.inbox_root, reserve_bytes=options.reserve_bytes, blanks=options.blanks)
    callers = Callers(options.callers_path, learn=options.learn)
    tls = None if options.tls_folder is None else TlsFiles(options.tls_folder)
    doors, later = [Door(bind(options.host, options.port, shared=True))], None
    if tls is not None:
        later = TlsPort(options.host, options.tls_port, tls, shared=True)
        if later.files.ready:
            doors, later = [*doors, later.open()], None
    server = Server(
        doors, inbox, callers, options.policy, max_associations=options.max_associations, later=later
    )
    server.start()
    reporters = [Reporter(each, Partners(options.partners_path, tls)) for each in (inbox, server.trials)]
    for reporter in reporters:
        reporter.start()
    parent.send("listening")
    wait([parent, wake_reader])
    server.stop(grace_seconds=grace_seconds)
    for reporter in reporters:
        reporter.stop()
    server.trials.close()
    inbox.close()
