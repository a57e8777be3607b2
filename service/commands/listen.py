"""`hub listen`: the DICOM listener alone."""

from typing import Annotated

import typer

from pacs_gateway.listener import listen as listen_until_told
from service.commands.opening import open_process


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(listen)


def listen(
    learn: Annotated[
        bool, typer.Option("--learn", help="Take unlisted machines too, and list them.")
    ] = False,
) -> None:
    """Receive studies: the DICOM listener alone."""
    settings = open_process(learn=learn)
    listen_until_told(
        settings.inbox,
        settings.callers,
        ae_title=settings.ae_title,
        host=settings.dicom_host,
        port=settings.dicom_port,
        tls_folder=settings.tls,
        tls_port=settings.dicom_tls_port,
        learn=learn or settings.learn_callers,
        processes=settings.listener_processes,
        reserve_bytes=settings.disk_reserve_bytes,
        blanks=settings.blank_files,
    )
