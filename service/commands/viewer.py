"""`hub viewer`: fetch the viewer that the API serves at /viewer."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.opening import open_settings
from service.viewer import PACKAGE, PREFIX, VERSION, install_viewer

group = typer.Typer(help=f"OHIF, served at {PREFIX} to people who are signed in.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="viewer")


@group.callback()
def viewer() -> None:
    """OHIF, served at /viewer to people who are signed in."""


@group.command()
def install(
    package: Annotated[
        Path | None, typer.Option(help=f"The npm package {PACKAGE}@{VERSION} as a file; else npm fetches it.")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Folder; else `viewer` in HUB_DATA.")] = None,
) -> None:
    """Fetch the viewer and fit it to this hub; one that is there is replaced."""
    folder = into or open_settings().viewer
    count = install_viewer(folder, package=package)
    typer.echo(f"{PACKAGE} {VERSION}: {count} files in {folder}, served at {PREFIX}/")
