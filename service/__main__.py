"""`hub`: every command of the imaging hub."""

import sys
from importlib import import_module

import typer

from pacs_gateway.pseudonyms import BadKey
from service.errors import HubError
from service.settings import BadSetting

COMMANDS = {
    "serve": "service.commands.serve",
    "listen": "service.commands.listen",
    "work": "service.commands.work",
    "api": "service.commands.api",
    "send": "service.commands.studies",
    "import": "service.commands.studies",
    "wait": "service.commands.studies",
    "result": "service.commands.studies",
    "account": "service.commands.accounts",
    "caller": "service.commands.callers",
    "peer": "service.commands.peers",
    "tls": "service.commands.tls",
    "deliver": "service.commands.deliver",
    "neighbour": "service.commands.neighbours",
    "roster": "service.commands.rosters",
    "moph": "service.commands.moph",
    "cases": "service.commands.cases",
    "models": "service.commands.models",
    "audit": "service.commands.audit",
    "selftest": "service.commands.selftests",
    "deidentify": "service.commands.deidentify",
    "relay": "service.commands.relay",
    "viewer": "service.commands.viewer",
    "conformance": "service.commands.conformance",
    "backup": "service.commands.backups",
    "restore": "service.commands.backups",
    "doctor": "service.commands.doctor",
}
"""Each command and the module that adds it. Only the module of the command that was asked for is imported:
the listener needs no database, no job engine and no web server, and without them it is half as large."""


def build_app(*names: str) -> typer.Typer:
    """The command line with these commands; with all when none is named."""
    app = typer.Typer(
        name="hub",
        help="Receives CT brain studies from hospital PACS, flags stroke, and carries the patient on.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)  # one command alone is still called by its name
    for module in dict.fromkeys(COMMANDS[name] for name in names or COMMANDS):
        import_module(module).add_to(app)
    return app


def main() -> None:
    """Run a command; a refusal is one line on standard error and exit status 1."""
    try:
        build_app(*(word for word in sys.argv[1:2] if word in COMMANDS))()
    except (HubError, BadSetting, BadKey) as refusal:
        print(f"hub: {refusal}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
