"""`hub selftest`: what pushes to the test lane showed."""

import json
from typing import Annotated

import typer

from pacs_gateway.trials import TrialInbox
from service.accounts import OPERATOR
from service.commands.opening import open_settings
from service.selftests import find_self_test, self_test_columns, self_tests

group = typer.Typer(
    help="Trials of the link: whoever sends to the AE title IMAGINGHUBTEST; kept for a day.",
    no_args_is_help=True,
)

Language = Annotated[str, typer.Option(help="th or en.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="selftest")


def _open() -> TrialInbox:
    settings = open_settings(log_level="ERROR")
    return TrialInbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes)


@group.command("list")
def list_() -> None:
    """List the trials of the last day, newest first."""
    for found in self_tests(_open(), OPERATOR):
        trial = found.trial
        bad = [check.name for check in found.checks if check.status in ("fail", "warn")]
        when = trial.opened_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        print(
            f"{trial.number:>6}  {when}  {trial.sender.calling_ae:<16} {trial.sender.hcode or '-':<9} "
            f"{found.outcome.value:<5} {trial.offered:>5} images  {' '.join(bad)}"
        )


@group.command()
def show(
    number: Annotated[int, typer.Argument(help="Number from the list.")],
    language: Language = "en",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, in both languages.")] = False,
) -> None:
    """Show every check of one trial; exit status 1 when any failed."""
    found = find_self_test(_open(), OPERATOR, number)
    if as_json:
        print(json.dumps(self_test_columns(found), ensure_ascii=False, indent=2))
    else:
        for check in found.checks:
            print(f"{check.status.value:<11} {check.title(language)}: {check.said(language)}")
    raise typer.Exit(1 if found.outcome == "fail" else 0)
