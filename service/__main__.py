"""`hub`: every command of the imaging hub."""

import sys

import typer

from service.commands import accounts, callers, doctor, run, studies
from service.errors import HubError
from service.settings import BadSetting

app = typer.Typer(
    name="hub",
    help="Receives CT brain studies from hospital PACS, flags stroke, and carries the patient on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run.serve)
app.command()(run.listen)
app.command()(run.work)
app.command()(run.api)
app.command()(studies.send)
app.command("import")(studies.import_)
app.command()(studies.wait)
app.command()(studies.result)
app.command()(doctor.doctor)
app.add_typer(accounts.app, name="account")
app.add_typer(callers.app, name="caller")


def main() -> None:
    """Run a command; a refusal is one line on standard error and exit status 1."""
    try:
        app()
    except (HubError, BadSetting) as refusal:
        print(f"hub: {refusal}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
