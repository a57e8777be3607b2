"""`hub conformance`: the DICOM conformance statement."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(conformance)


def conformance() -> None:
    """Print the DICOM conformance statement (PS3.2) as Markdown."""
    from service.conformance import conformance_statement

    typer.echo(conformance_statement(), nl=False)
