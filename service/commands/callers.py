"""`hub caller`: which DICOM machines may send, and for which hospital."""

from typing import Annotated

import typer

from service import callers
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.errors import BadRequest

group = typer.Typer(help="DICOM machines that may send. A change takes effect at once.", no_args_is_help=True)

AETitle = Annotated[str, typer.Argument(help="Calling AE title, 1 to 16 characters.")]
Hospital = Annotated[str, typer.Option(help="Hospital code it speaks for.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="caller")


@group.command()
def add(
    ae_title: AETitle,
    hospital: Hospital,
    address: Annotated[
        list[str] | None, typer.Option(help="Address or network it calls from; may be repeated.")
    ] = None,
    certificate: Annotated[
        list[str] | None, typer.Option(help="Fingerprint it may show over TLS; may be repeated.")
    ] = None,
) -> None:
    """Let a machine send studies; give an address, a certificate or both."""
    if not address and not certificate:
        raise BadRequest(f"caller {ae_title!r} needs an --address, a --certificate or both")
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        callers.add_caller(session, ae_title, hospital, address or [], certificates=certificate or [])
        callers.publish_callers(session, settings)
    print(f"added {ae_title} for {hospital}")


@group.command()
def remove(ae_title: AETitle, hospital: Hospital) -> None:
    """Stop a machine from sending."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        callers.remove_caller(session, ae_title, hospital)
        callers.publish_callers(session, settings)
    print(f"removed {ae_title} for {hospital}")


@group.command("list")
def list_() -> None:
    """List every caller: AE title, hospital, networks and certificates."""
    with session_scope(open_database(open_settings()), write=False) as session:
        for caller in callers.list_callers(session):
            known = [*caller.addresses, *(f"certificate {each[:16]}..." for each in caller.certificates)]
            print(f"{caller.ae_title:<16} {caller.hcode}  {', '.join(known)}")
