"""`hub serve`: everything on this machine."""

import sys
from typing import Annotated

import typer

from service.commands.opening import open_database, open_settings
from service.processes import Command, Supervisor


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    learn: Annotated[
        bool, typer.Option("--learn", help="Take unlisted machines too, and list them.")
    ] = False,
) -> None:
    """Run everything on this machine: listener, workers and API, each restarted when it dies."""
    settings = open_settings()
    open_database(settings, learn=learn).dispose()
    hub = [sys.executable, "-m", "service"]
    commands = [Command("listener", [*hub, "listen", *(["--learn"] if learn else [])])]
    commands += [
        Command(f"worker-{number}", [*hub, "work", "--slot", f"worker-{number}"])
        for number in range(1, settings.workers + 1)
    ]
    commands.append(Command("api", [*hub, "api"]))
    Supervisor(commands, state_file=settings.processes_file).run()
