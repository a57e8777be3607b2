"""`hub roster`: who is on call at a hospital, how alerts reach them, and which hospital stands behind it."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from service import contacts, hubs, rosters
from service.accounts import OPERATOR
from service.channels.message import Destination, Later, Message, Refused, Unreachable
from service.channels.opening import open_channels
from service.commands.opening import open_database, open_settings
from service.contacts import Contact, Way
from service.db import now, session_scope
from service.errors import BadRequest, Unavailable
from service.specialties import Specialty

group = typer.Typer(help="Who is on call, and how alerts reach them.", no_args_is_help=True)

Hospital = Annotated[str, typer.Argument(help="Hospital code.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="roster")


@group.command("list")
def list_(hospital: Hospital) -> None:
    """List the shifts that are not over, who is on call now, and the ways to reach them and the hospital."""
    with session_scope(open_database(open_settings()), write=False) as session:
        moment = now()
        for each in rosters.upcoming(session, OPERATOR, hospital):
            shift = each.shift
            here = "now" if shift.starts_at <= moment else ""
            times = f"{shift.starts_at:%Y-%m-%d %H:%M} - {shift.ends_at:%m-%d %H:%M} UTC"
            print(f"{shift.id:>6} {shift.place} {each.account.username:<24} {times} {here}".rstrip())
            for contact in contacts.contacts_of_person(session, each.account.username):
                print(_line(contact))
        print(f"hospital {hospital}, behind it {hubs.hub_of(session, hospital) or 'nobody'}")
        for contact in contacts.contacts_of_hospital(session, hospital):
            print(_line(contact))


@group.command()
def add(
    hospital: Hospital,
    username: Annotated[str, typer.Argument(help="Who.")],
    start: Annotated[str, typer.Option(help="2026-11-22T16:00+07:00; now when left out.")] = "",
    hours: Annotated[int, typer.Option(help="How long.", min=1, max=744)] = 16,
    place: Annotated[int, typer.Option(help="1 is told first.", min=1, max=9)] = 1,
    specialty: Annotated[Specialty | None, typer.Option(help="Consults for it are told here first.")] = None,
) -> None:
    """Put somebody on call."""
    starts_at = _moment(start)
    with session_scope(open_database(open_settings())) as session:
        shift = rosters.add_shift(
            session,
            OPERATOR,
            hospital,
            username,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=hours),
            place=place,
            specialty=specialty,
        )
    print(f"shift {shift.id}: {username} at {hospital} until {shift.ends_at:%Y-%m-%d %H:%M} UTC")


@group.command()
def remove(hospital: Hospital, number: Annotated[int, typer.Argument(help="Number of the shift.")]) -> None:
    """Take a shift off the roster."""
    with session_scope(open_database(open_settings())) as session:
        rosters.remove_shift(session, OPERATOR, hospital, number)
    print(f"removed shift {number}")


@group.command()
def contact(
    way: Annotated[Way, typer.Argument(help="By what.")],
    address: Annotated[
        str, typer.Argument(help="E-mail address, LINE id, webhook URL, or MOPH Notify client key.")
    ],
    person: Annotated[str | None, typer.Option(help="Username; for e-mail and LINE.")] = None,
    hospital: Annotated[str | None, typer.Option(help="Hospital code.")] = None,
    quiet: Annotated[str, typer.Option(help="Thai hours in which it is not used: 22:00-06:00.")] = "",
) -> None:
    """List a way to a person or a hospital; asks for MOPH Notify's secret key, prints a webhook's once."""
    secret = typer.prompt("secret key", hide_input=True) if way is Way.MOPH_NOTIFY else ""
    with session_scope(open_database(open_settings())) as session:
        made = contacts.add_contact(
            session,
            OPERATOR,
            way,
            address,
            username=person,
            hcode=hospital,
            secret=secret,
            quiet=contacts.read_quiet(quiet),
        )
    print(f"contact {made.id}")
    if way is Way.WEBHOOK:
        print(f"secret {made.secret}")


@group.command("test")
def send_test(number: Annotated[int, typer.Argument(help="Number of the contact.")]) -> None:
    """Send a test message to a contact at once, and print what the other side said."""
    settings = open_settings()
    with session_scope(open_database(settings), write=False) as session:
        contact = contacts.find_contact(session, number, OPERATOR)
    channel = open_channels(settings).get(contact.way)
    if channel is None:
        raise Unavailable(f"this hub has no {contact.way.value}: see HUB_SMTP_SERVER and HUB_LINE_TOKEN")
    message = Message(
        number=0,
        alert=0,
        kind="test",
        titles=("ทดสอบการแจ้งเตือน", "Test of alerts"),
        case="–",
        hcode=contact.hcode or "–",
        hospital="Imaging Hub",
        link=settings.address,
        raised_at=now(),
        hop=0,
    )
    try:
        print(channel.send(message, Destination(contact.address, contact.secret)))
    except (Unreachable, Later, Refused) as error:
        raise Unavailable(f"contact {number} was not reached: {error}") from None


@group.command()
def forget(number: Annotated[int, typer.Argument(help="Number of the contact.")]) -> None:
    """Forget a way."""
    with session_scope(open_database(open_settings())) as session:
        contacts.remove_contact(session, OPERATOR, contacts.find_contact(session, number, OPERATOR))
    print(f"forgot contact {number}")


@group.command()
def hub(hospital: Hospital, behind: Annotated[str, typer.Argument(help="Hospital code of the hub.")]) -> None:
    """Say which hospital is told when nobody at this one answers."""
    with session_scope(open_database(open_settings())) as session:
        hubs.choose_hub(session, OPERATOR, hospital, behind)
    print(f"{behind} stands behind {hospital}")


def _moment(text: str) -> datetime:
    if not text:
        return now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is no moment; write it as 2026-11-22T16:00+07:00") from None
    if moment.tzinfo is None:
        raise BadRequest(f"{text!r} has no time zone; write it as 2026-11-22T16:00+07:00")
    return moment


def _line(contact: Contact) -> str:
    quiet = f"  quiet {contact.quiet}" if contact.quiet else ""
    shown = contact.address if contact.way is not Way.MOPH_NOTIFY else "client key"
    return f"         contact {contact.id:>4} {contact.way.value:<12} {shown}{quiet}"
