"""`hub deliver`: what is on its way to which PACS, and to have it sent again."""

from collections.abc import Sequence
from typing import Annotated

import typer

from service import circuits, deliveries, delivery_lists
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.db import now, session_scope
from service.deliveries import DeliveryState
from service.delivery_orders import order_delivery
from service.errors import BadRequest
from service.sight import find_study

group = typer.Typer(help="What is sent to PACS. `hub work` sends it.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="deliver")


@group.command("list")
def list_(
    peer: Annotated[str | None, typer.Option(help="Only this destination.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=200)] = 50,
) -> None:
    """List deliveries, newest first, then the destinations that do not answer."""
    with session_scope(open_database(open_settings()), write=False) as session:
        found = delivery_lists.list_deliveries(session, OPERATOR, peer=peer, state=state, limit=limit)
        for delivery, uid in found:
            stored = sum(item["outcome"] == deliveries.STORED for item in delivery.items)
            due = f"next {delivery.next_at:%m-%d %H:%M:%S}" if delivery.state == "waiting" else ""
            what = f"{delivery.purpose.value:<7} {delivery.state.value:<10} {stored}/{len(delivery.items)}"
            words = f"tries {delivery.attempts}  {uid}  {due}  {delivery.reason}".rstrip()
            print(f"{delivery.id:>6} {delivery.peer:<20} {what}  {words}")
        for circuit in circuits.open_circuits(session, now()):
            print(
                f"{circuit.peer}: no answer {circuit.failures} times, left alone until "
                f"{circuit.open_until:%m-%d %H:%M:%S} UTC; {circuit.last_error}"
            )


@group.command()
def retry(
    number: Annotated[int | None, typer.Argument(help="Number of a delivery.")] = None,
    peer: Annotated[str | None, typer.Option(help="All that this destination has not got.")] = None,
) -> None:
    """Send a delivery again, or all of a destination that are not there yet."""
    if (number is None) == (peer is None):
        raise BadRequest("give the number of a delivery, or --peer NAME")
    with session_scope(open_database(open_settings())) as session:
        if number is not None:
            chosen: Sequence[deliveries.Delivery] = [delivery_lists.find_delivery(session, number, OPERATOR)]
        else:
            chosen = delivery_lists.undelivered(session, peer or "")
        for each in chosen:
            deliveries.send_again(session, each, OPERATOR.username)
    print(f"{len(chosen)} in line")


@group.command()
def send(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    to: Annotated[str, typer.Option(help="Name of the peer.")],
) -> None:
    """Send a result as it stands to a peer, also to one that was added later."""
    with session_scope(open_database(open_settings())) as session:
        delivery = order_delivery(session, find_study(session, study, OPERATOR), to, OPERATOR.username)
        print(f"delivery {delivery.id} with {len(delivery.items)} objects is in line for {to}")
