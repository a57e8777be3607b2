"""`hub caller`: which DICOM machines may send, and for which hospital."""

from typing import Annotated

import typer

from service import hospitals
from service.commands.opening import open_database, open_settings
from service.db import session_scope

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
    address: Annotated[list[str], typer.Option(help="Address or network it calls from; may be repeated.")],
) -> None:
    """Let a machine send studies."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        hospitals.add_caller(session, ae_title, hospital, address)
        hospitals.write_callers(session, settings.callers)
    print(f"added {ae_title} for {hospital}")


@group.command()
def remove(ae_title: AETitle, hospital: Hospital) -> None:
    """Stop a machine from sending."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        hospitals.remove_caller(session, ae_title, hospital)
        hospitals.write_callers(session, settings.callers)
    print(f"removed {ae_title} for {hospital}")


@group.command("list")
def list_() -> None:
    """List every caller: AE title, hospital, networks."""
    with session_scope(open_database(open_settings()), write=False) as session:
        for caller in hospitals.list_callers(session):
            print(f"{caller.ae_title:<16} {caller.hcode}  {', '.join(caller.addresses)}")
