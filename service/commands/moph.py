"""`hub moph`: a hospital's referrals for the ministry, by MOPH Refer's interface or as 43 files."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from service import audit
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.db import now, session_scope
from service.hospitals import find_hospital
from service.moph.days import days_in_thailand
from service.moph.files import write_files
from service.moph.keys import drop_keys, list_keys, set_keys
from service.moph.reading import refers_of

group = typer.Typer(help="Referrals for the Ministry of Public Health.", no_args_is_help=True)

Hospital = Annotated[str, typer.Argument(help="Hospital code.")]
Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="2026-11-28, in Thailand.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="moph")


@group.command()
def key(hospital: Hospital) -> None:
    """Ask for the keys that the ministry gave a hospital; its referrals are sent from now on."""
    api_key = typer.prompt("API key", hide_input=True)
    secret_key = typer.prompt("Secret key", hide_input=True)
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        set_keys(session, OPERATOR, hospital, api_key=api_key, secret_key=secret_key)
    where = settings.nrefer_url or "nowhere yet: set HUB_NREFER_URL"
    print(f"referrals of {hospital} are sent to {where}")


@group.command("list")
def list_() -> None:
    """List the hospitals that have keys."""
    with session_scope(open_database(open_settings()), write=False) as session:
        for each in list_keys(session):
            print(f"{each.hcode} since {each.since:%Y-%m-%d %H:%M} UTC, by {each.set_by}")


@group.command()
def forget(hospital: Hospital) -> None:
    """Take a hospital's keys away; what waits is not sent."""
    with session_scope(open_database(open_settings())) as session:
        drop_keys(session, OPERATOR, hospital)
    print(f"referrals of {hospital} are not sent any more")


@group.command()
def export(
    hospital: Hospital,
    out: Annotated[Path, typer.Argument(help="The zip to write.", dir_okay=False)],
    since: Day,
    until: Day,
) -> None:
    """Write the 43 files of the referrals that changed on these days, to be uploaded by hand."""
    start, end = days_in_thailand(since.date(), until.date())
    with session_scope(open_database(open_settings())) as session:
        find_hospital(session, hospital)
        sent, received = refers_of(session, OPERATOR, hospital, since=start, until=end)
        detail: audit.Detail = {"hospital": hospital, "sent": len(sent), "received": len(received)}
        audit.record(session, OPERATOR.username, "moph.export", detail=detail)
    out.write_bytes(write_files(sent, received, now()))
    print(f"{out}: {len(sent)} sent, {len(received)} received")
