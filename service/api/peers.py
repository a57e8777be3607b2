"""Peers over HTTP, for administrators: whom the hub calls, changed without a restart."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service import audit
from service.api.access import Administrator, Look, Work
from service.api.problems import responses
from service.peers import (
    PeerRole,
    ResultKind,
    add_peer,
    as_remote,
    change_peer,
    find_peer,
    list_peers,
    publish_peers,
    remove_peer,
)

router = APIRouter(prefix="/api/v1/peers", tags=["peers"], responses=responses(401, 403, 404, 422, 503))

Name = Annotated[str, Path(max_length=60, description="What this hub calls the peer")]
Port = Annotated[int, Field(ge=1, le=65535)]


class PeerChange(BaseModel):
    """What is to change of a peer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"port": 104}]})

    ae_title: str | None = Field(default=None, max_length=16)
    host: str | None = Field(default=None, max_length=255)
    port: Port | None = None
    hospital: str | None = None
    tls: bool | None = None
    certificate: str | None = Field(default=None, max_length=100)
    objects: list[ResultKind] | None = None
    roles: list[PeerRole] | None = None
    enabled: bool | None = None


EXAMPLE: dict[str, JsonValue] = {
    "name": "udon-pacs",
    "ae_title": "UDON_PACS",
    "host": "10.8.1.5",
    "port": 2762,
    "hospital": "10671",
    "tls": True,
    "objects": ["sr", "sc"],
    "roles": ["destination", "commitment"],
}


class PeerIn(PeerChange):
    """A new peer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: str = Field(max_length=60)
    ae_title: str = Field(max_length=16)
    host: str = Field(max_length=255)
    port: Port


class PeerOut(BaseModel):
    """A peer as the hub will call it next."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    ae_title: str
    host: str
    port: int
    hospital: str | None = Field(validation_alias="hcode")
    tls: bool
    certificate: str
    objects: list[ResultKind]
    roles: list[PeerRole]
    enabled: bool
    changed_at: datetime


class EchoOut(BaseModel):
    """Whether the peer answered C-ECHO, and if not why."""

    answered: bool
    reason: str


@router.get("")
def read_peers(viewer: Administrator, session: Look) -> list[PeerOut]:
    """Every peer by name."""
    return [PeerOut.model_validate(each) for each in list_peers(session)]


@router.post("", status_code=201, responses=responses(409))
def create_peer(request: Request, body: PeerIn, viewer: Administrator, session: Work) -> PeerOut:
    """Add a peer."""
    peer = add_peer(session, body.name, **_given(body))
    audit.record(session, viewer.username, "peer.add", detail={"peer": peer.id, "hospital": peer.hcode})
    publish_peers(session, request.app.state.settings)
    return PeerOut.model_validate(peer)


@router.get("/{name}")
def read_peer(name: Name, viewer: Administrator, session: Look) -> PeerOut:
    """One peer."""
    return PeerOut.model_validate(find_peer(session, name))


@router.patch("/{name}")
def update_peer(
    request: Request, name: Name, body: PeerChange, viewer: Administrator, session: Work
) -> PeerOut:
    """Change what is given; `hospital`: null takes the peer from its hospital."""
    peer = change_peer(session, name, **_given(body))
    audit.record(session, viewer.username, "peer.change", detail={"peer": peer.id, "hospital": peer.hcode})
    publish_peers(session, request.app.state.settings)
    return PeerOut.model_validate(peer)


@router.delete("/{name}", status_code=204)
def delete_peer(request: Request, name: Name, viewer: Administrator, session: Work) -> None:
    """Forget a peer."""
    number = find_peer(session, name).id
    remove_peer(session, name)
    audit.record(session, viewer.username, "peer.remove", detail={"peer": number})
    publish_peers(session, request.app.state.settings)


@router.post("/{name}/echo")
def echo_peer(request: Request, name: Name, viewer: Administrator, session: Look) -> EchoOut:
    """Call the peer with C-ECHO and say what came of it."""
    from pacs_gateway.peers import PeerUnreachable, echo  # 20 MB that no other route needs

    settings = request.app.state.settings
    remote = as_remote(find_peer(session, name), settings)
    session.close()  # the call may take seconds
    try:
        echo(remote, calling_ae=settings.ae_title)
    except PeerUnreachable as error:
        return EchoOut(answered=False, reason=str(error))
    return EchoOut(answered=True, reason="")


def _given(body: PeerChange) -> dict[str, Any]:
    """What the request names, by the names of the row; null means anything only for the hospital."""
    given = body.model_dump(exclude_unset=True, exclude={"name"})
    values = {key: value for key, value in given.items() if value is not None and key != "hospital"}
    return values | ({"hcode": given["hospital"]} if "hospital" in given else {})
