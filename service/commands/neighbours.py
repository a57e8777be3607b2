"""`hub neighbour`: other Imaging Hubs, and the hospitals that live there."""

from pathlib import Path
from typing import Annotated

import typer

from service import audit, neighbours
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.referral_links import remove_neighbour

group = typer.Typer(help="Other Imaging Hubs that patients are referred to and from.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The name of the pair, the same at both hubs.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="neighbour")


@group.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="Where it answers, such as https://hub.example.go.th")],
    hospital: Annotated[list[str], typer.Option(help="Code of a hospital that lives there; repeatable.")],
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the secret of the other side; without it one is made.")
    ] = None,
) -> None:
    """List another hub; prints the secret that the other side must list this one with."""
    secret = secret_file.read_text(encoding="utf-8").strip() if secret_file else ""
    with session_scope(open_database(open_settings())) as session:
        made = neighbours.add_neighbour(session, name, url, hospital, secret=secret)
        audit.record(session, OPERATOR.username, "neighbour.add", detail={"neighbour": made.id})
        print(made.secret if not secret else f"added {name}")


@group.command("list")
def list_() -> None:
    """List the other hubs and who lives there."""
    with session_scope(open_database(open_settings()), write=False) as session:
        for each in neighbours.list_neighbours(session):
            off = "" if each.enabled else " (disabled)"
            print(f"{each.name} {each.url}{off}: {' '.join(neighbours.hospitals_at(session, each))}")


@group.command()
def enable(name: Name) -> None:
    """Talk to it again."""
    _switch(name, enabled=True)


@group.command()
def disable(name: Name) -> None:
    """Neither tell it anything nor listen to it; what is to be told waits."""
    _switch(name, enabled=False)


@group.command()
def remove(name: Name) -> None:
    """Know it no more: its hospitals work here from then on. Not while a patient is on the way."""
    with session_scope(open_database(open_settings())) as session:
        number = remove_neighbour(session, name)
        audit.record(session, OPERATOR.username, "neighbour.remove", detail={"neighbour": number})
    print(f"removed {name}")


def _switch(name: str, *, enabled: bool) -> None:
    with session_scope(open_database(open_settings())) as session:
        found = neighbours.switch_neighbour(session, name, enabled=enabled)
        audit.record(session, OPERATOR.username, "neighbour.change", detail={"neighbour": found.id})
    print(f"{'enabled' if enabled else 'disabled'} {name}")
