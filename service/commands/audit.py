"""`hub audit`: who saw and changed what, and whether the record is whole."""

from typing import Annotated

import typer

from service import audit
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.sight import find_study

group = typer.Typer(help="Who saw and changed what.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="audit")


@group.command()
def verify() -> None:
    """Check that no entry was changed, inserted or removed; exit status 1 when one was."""
    with session_scope(open_database(open_settings(log_level="ERROR")), write=False) as session:
        state = audit.verify_chain(session)
    print(f"{state.entries} entries, head {state.head}")
    if state.broken_at is not None:
        print(f"broken at entry {state.broken_at}")
        raise typer.Exit(1)


@group.command()
def study(uid: Annotated[str, typer.Argument(help="Study Instance UID.")]) -> None:
    """List who saw and changed one study, oldest first."""
    with session_scope(open_database(open_settings(log_level="ERROR"))) as session:
        found = find_study(session, uid, OPERATOR)
        for entry in audit.entries_of(session, found.id):
            print(f"{entry.id:>8}  {entry.at:%Y-%m-%d %H:%M:%S}Z  {entry.actor:<30} {entry.action}")
        audit.record(session, OPERATOR.username, "audit.read", study_id=found.id)
