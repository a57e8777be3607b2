"""`hub account`: who may enter."""

from typing import Annotated

import typer

from service import accounts, identities
from service.accounts import Role
from service.commands.opening import open_database, open_settings
from service.db import session_scope

group = typer.Typer(help="People and machines that may sign in.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="Name of the account.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="account")


@group.command()
def add(
    username: Username,
    role: Annotated[Role, typer.Option(help="What the account is for.")],
    hospital: Annotated[str | None, typer.Option(help="Hospital code; without it the whole region.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a password.")] = False,
) -> None:
    """Add an account; without --password only its tokens open the door."""
    secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    with session_scope(open_database(open_settings())) as session:
        accounts.add_account(session, username, role, hcode=hospital, password=secret)
    print(f"added {username} as {role.value}")


@group.command("list")
def list_() -> None:
    """List every account: name, role, hospital."""
    with session_scope(open_database(open_settings()), write=False) as session:
        for account in accounts.list_accounts(session):
            state = "" if account.active else "  closed"
            print(f"{account.username:<30} {account.role.value:<12} {account.hcode or 'region'}{state}")


@group.command()
def token(
    username: Username,
    label: Annotated[str, typer.Option(help="What it is for, such as the machine's name.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it opens the door.")] = 365,
) -> None:
    """Make a bearer token; it is printed once and cannot be shown again."""
    with session_scope(open_database(open_settings())) as session:
        account = accounts.find_account(session, username)
        key = accounts.issue_token(session, account, label=label, days=days)
    print(key)


@group.command()
def link(
    username: Username, code: Annotated[str, typer.Argument(help="What the sign-in page told the person.")]
) -> None:
    """Let a person who signed in at an identity provider use an account from now on."""
    with session_scope(open_database(open_settings())) as session:
        account = accounts.find_account(session, username)
        issuer = identities.link_identity(session, account, code, accounts.OPERATOR.username).issuer
    print(f"{username} may sign in at {issuer}")


@group.command()
def unlink(username: Username) -> None:
    """Take every identity provider's door to an account away."""
    with session_scope(open_database(open_settings())) as session:
        account = accounts.find_account(session, username)
        number = identities.unlink_identities(session, account, accounts.OPERATOR.username)
    print(f"{number} taken away from {username}")
