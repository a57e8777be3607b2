"""`hub relay`: the same package at a hospital with a weak link."""

import signal
import threading
from typing import Annotated

import typer

from pacs_gateway.callers import Callers
from pacs_gateway.compress import Compression, can_write
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.pace import Pace
from pacs_gateway.peers import Peer
from pacs_gateway.relay import Relay
from pacs_gateway.relay_ways import DicomWay, Way, WebWay
from pacs_gateway.tls import TlsFiles
from pacs_gateway.upload import WebServer
from service.commands.opening import open_settings
from service.errors import BadRequest
from service.settings import Settings

BYTES_OF_A_KILOBIT = 125


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(relay)


def relay(
    learn: Annotated[
        bool, typer.Option("--learn", help="Take unlisted machines too, and list them.")
    ] = False,
    compression: Annotated[
        Compression, typer.Option(help="Lossless; htj2k takes a sixth of the time and is 8 % larger.")
    ] = Compression.J2K,
) -> None:
    """Receive on the LAN and bring it to the hub: compressed without loss, stroke first, nothing lost."""
    settings = open_settings()
    if not settings.relay_to:
        raise BadRequest("set HUB_RELAY_TO to AET@HOST:PORT or https://.../dicomweb of the hub")
    if not can_write(compression):
        raise BadRequest("--compression htj2k needs an encoder: pip install imagecodecs")
    tls = TlsFiles(settings.tls)
    way = _way(settings, tls)
    inbox = Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes)
    listener = Listener(
        inbox,
        Callers(settings.callers, learn=learn or settings.learn_callers),
        ae_title=settings.ae_title,
        host=settings.dicom_host,
        port=settings.dicom_port,
        tls=tls,
        tls_port=settings.dicom_tls_port,
        learn=learn or settings.learn_callers,
    )
    carrier = Relay(inbox, settings.data / "relay", way, compression=compression)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    listener.start()
    try:
        carrier.run(stop)
    finally:
        listener.stop()
        carrier.ledger.close()
        inbox.close()


def _way(settings: Settings, tls: TlsFiles) -> Way:
    from service.commands.peers import read_address

    pace = Pace(settings.relay_kbit * BYTES_OF_A_KILOBIT)
    if settings.relay_to.startswith(("https://", "http://")):
        authority = settings.tls / "ca.pem"
        return WebWay(WebServer(settings.relay_to, settings.relay_token, authority), pace=pace)
    hub = Peer(**read_address(settings.relay_to), tls=tls if settings.relay_tls else None)
    return DicomWay(hub, pace=pace, calling_ae=settings.ae_title)
