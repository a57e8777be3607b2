"""`hub peer`: whom the hub calls: destinations of results, sources of priors, partners in commitment."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service import audit, peers
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.errors import BadRequest, Unavailable
from service.peers import PeerRole, ResultKind
from service.settings import Settings

if TYPE_CHECKING:
    from pacs_gateway.peers import Peer as Remote

group = typer.Typer(help="PACS that the hub calls. A change takes effect at once.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What this hub calls it.")]
Hospital = Annotated[str | None, typer.Option(help="Hospital code it belongs to.")]
Tls = Annotated[bool | None, typer.Option("--tls/--plain", help="Whether it is called over TLS.")]
Certificate = Annotated[str | None, typer.Option(help="SHA-256 fingerprint that it must show over TLS.")]
Objects = Annotated[list[ResultKind] | None, typer.Option("--object", help="Result it wants; repeatable.")]
Roles = Annotated[list[PeerRole] | None, typer.Option("--role", help="What for; repeatable.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="peer")


@group.command()
def add(
    name: Name,
    at: Annotated[str, typer.Argument(help="AET@HOST:PORT")],
    hospital: Hospital = None,
    tls: Tls = None,
    certificate: Certificate = None,
    objects: Objects = None,
    roles: Roles = None,
) -> None:
    """Add a peer; without --role it is a destination."""
    values = _given(hcode=hospital, tls=tls, certificate=certificate, objects=objects, roles=roles)
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        peer = peers.add_peer(session, name, **read_address(at), **values)
        audit.record(session, OPERATOR.username, "peer.add", detail={"peer": peer.id})
        peers.publish_peers(session, settings)
    print(f"added {name}")


@group.command()
def change(
    name: Name,
    at: Annotated[str | None, typer.Option(help="AET@HOST:PORT")] = None,
    hospital: Hospital = None,
    tls: Tls = None,
    certificate: Certificate = None,
    objects: Objects = None,
    roles: Roles = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it is called.")] = None,
) -> None:
    """Change what is given; the rest stays."""
    values = _given(
        hcode=hospital, tls=tls, certificate=certificate, objects=objects, roles=roles, enabled=enabled
    )
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        peer = peers.change_peer(session, name, **(read_address(at) if at else {}), **values)
        audit.record(session, OPERATOR.username, "peer.change", detail={"peer": peer.id})
        peers.publish_peers(session, settings)
    print(f"changed {name}")


@group.command()
def remove(name: Name) -> None:
    """Forget a peer."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        number = peers.find_peer(session, name).id
        peers.remove_peer(session, name)
        audit.record(session, OPERATOR.username, "peer.remove", detail={"peer": number})
        peers.publish_peers(session, settings)
    print(f"removed {name}")


@group.command("list")
def list_() -> None:
    """List every peer: name, address, hospital, TLS, roles, objects."""
    with session_scope(open_database(open_settings()), write=False) as session:
        for peer in peers.list_peers(session):
            how = "tls" if peer.tls else "plain"
            state = "" if peer.enabled else "  disabled"
            where = f"{peer.ae_title}@{peer.host}:{peer.port}"
            words = f"{','.join(peer.roles) or '-'}  {','.join(peer.objects) or '-'}"
            print(f"{peer.name:<20} {where:<40} {peer.hcode or '-':<5} {how:<5} {words}{state}")


@group.command()
def echo(name: Name) -> None:
    """Call a peer with C-ECHO; exit status 1 and the reason when it does not answer."""
    from pacs_gateway.peers import echo as echo_peer

    settings = open_settings()
    with session_scope(open_database(settings), write=False) as session:
        remote = peers.as_remote(peers.find_peer(session, name), settings)
    with _refusals():
        echo_peer(remote, calling_ae=settings.ae_title)
    print(f"{remote} answers{' over TLS' if remote.tls else ''}")


@group.command()
def studies(
    name: Name,
    patient_id: Annotated[str, typer.Argument(metavar="HN", help="The whole HN, no wildcards.")],
    modality: Annotated[str, typer.Option(help="Modality in the study.")] = "CT",
) -> None:
    """List a patient's studies at a peer, newest first: UID, date, instances, description."""
    from pacs_gateway.query import find_studies

    remote, settings = _source(name, "priors.find")
    with _refusals():
        found = find_studies(remote, patient_id=patient_id, modality=modality, calling_ae=settings.ae_title)
    for study in found:
        counted = "-" if study.instances is None else study.instances
        print(f"{study.study_instance_uid}  {study.study_date or '-'}  {counted:>5}  {study.description}")


@group.command()
def fetch(name: Name, study_uid: Annotated[str, typer.Argument(help="Study Instance UID.")]) -> None:
    """Have a peer send a study to this hub's listener (C-MOVE)."""
    from pacs_gateway.query import move_study

    remote, settings = _source(name, "priors.fetch")
    with _refusals():
        moved = move_study(remote, study_uid, to_ae=settings.ae_title, calling_ae=settings.ae_title)
    print(f"{moved.completed + moved.warned} sent, {moved.failed} failed")
    raise typer.Exit(1 if moved.failed else 0)


def _source(name: str, action: str) -> "tuple[Remote, Settings]":
    """A source of priors as it is called, with the access in the audit."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        peer = peers.find_peer(session, name)
        if PeerRole.PRIORS not in peer.roles:
            raise BadRequest(f"peer {name!r} has not the role {PeerRole.PRIORS.value!r}")
        audit.record(session, OPERATOR.username, action, detail={"peer": peer.id})
        return peers.as_remote(peer, settings), settings


@contextmanager
def _refusals() -> Iterator[None]:
    """A peer's refusal as the hub's, in a line."""
    from pacs_gateway.peers import PeerUnreachable
    from pacs_gateway.query import QueryRefused

    try:
        yield
    except (PeerUnreachable, QueryRefused) as error:
        raise Unavailable(str(error)) from error
    except ValueError as error:
        raise BadRequest(str(error)) from error


def read_address(text: str) -> dict[str, Any]:
    """The parts of AET@HOST:PORT.

    Raises:
        BadRequest: it is not written so.
    """
    parts = re.fullmatch(r"([^@\\]{1,16})@(\[[0-9A-Fa-f:.]+\]|[^:@\s]+):(\d{1,5})", text)
    if parts is None or not 1 <= int(parts[3]) <= 65535:
        raise BadRequest(f"{text!r} is not AET@HOST:PORT, such as UDON_PACS@10.8.1.5:104")
    return {"ae_title": parts[1], "host": parts[2].strip("[]"), "port": int(parts[3])}


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
