"""Other application entities: reach one, open an association with it, end it cleanly."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.reactor import reactor_held
from pacs_gateway.tls import TlsFiles, TlsNotReady, reason_of, shown_by
from pacs_gateway.upper_layer import MAX_PDU

LAST_WORDS_SECONDS = 5.0
LAST_ALERT_SECONDS = 2.0
CALLING_AE = "IMAGINGHUB"


class PeerUnreachable(ValueError):
    """No association: nobody answers, or the peer rejects us; the text says which."""


class NothingAccepted(PeerUnreachable):
    """The peer took the association but none of its presentation contexts."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another application entity."""

    ae_title: str
    host: str
    port: int
    tls: TlsFiles | None = None
    """Our certificates; None speaks plain DICOM."""
    certificate: str = ""
    """SHA-256 fingerprint that the peer must show; empty takes any that the certificates vouch for."""

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def echo(peer: Peer, *, calling_ae: str = CALLING_AE, timeout_seconds: float = 10.0) -> None:
    """Verify that the peer answers C-ECHO.

    Raises:
        PeerUnreachable: it does not.
    """
    association, connection = associate(peer, calling_ae, [(Verification, "")], timeout_seconds)
    try:
        with reactor_held(association):
            status = association.send_c_echo()
    finally:
        finish(association, connection)
    if getattr(status, "Status", None) != 0:
        raise PeerUnreachable(f"{peer} did not answer C-ECHO with success")


def implicit_context(context: tuple[str, str]) -> tuple[str, str] | None:
    """Old peers know implicit VR only; explicit little endian alone is rewritten for them."""
    return (context[0], ImplicitVRLittleEndian) if context[1] == ExplicitVRLittleEndian else None


def associate(
    peer: Peer,
    calling_ae: str,
    contexts: Sequence[tuple[str, str]],
    seconds: float,
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[Any] = (),
) -> tuple[Association, socket.socket | None]:
    """An established association and the connection under it.

    Args:
        peer: whom to call; over TLS where it has `tls`.
        calling_ae: our own title.
        contexts: SOP class and transfer syntax; an empty one proposes pynetdicom's usual.
        seconds: for the connection, and for each answer.
        roles: role selections to propose, PS3.7 annex D.3.3.4.
        handlers: pynetdicom's (event, handler) pairs for what the peer asks in its turn.

    Raises:
        PeerUnreachable, NothingAccepted: there is no association; the text says why.
    """
    connections: list[socket.socket] = []

    def opened(event: evt.Event) -> None:
        transport = event.assoc.dul.socket
        connection = None if transport is None else transport.socket
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)

    tls = _knock(peer, seconds)
    ae = AE(ae_title=calling_ae)
    ae.maximum_pdu_size = MAX_PDU
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = seconds
    for sop_class, syntax in contexts:
        ae.add_requested_context(sop_class, syntax or None)
        implicit = implicit_context((sop_class, syntax))
        if implicit is not None and implicit not in contexts:
            ae.add_requested_context(*implicit)
    association = ae.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        max_pdu=MAX_PDU,
        ext_neg=list(roles) or None,
        tls_args=None if tls is None else (tls, peer.host),
        evt_handlers=[(evt.EVT_CONN_OPEN, opened), *handlers],
    )
    connection = connections[0] if connections else None
    if association.is_established:
        return association, connection
    finish(association, connection)
    answer: Any = association.acceptor.primitive or _overlooked(association)
    if answer is not None and answer.result == 0:
        raise NothingAccepted(f"{peer} accepts nothing of what is to be sent")
    if answer is not None:
        raise PeerUnreachable(f"{peer} rejects {calling_ae}: {answer.reason_str}")
    raise PeerUnreachable(f"{peer} aborts the association{'' if tls is None else _last_alert(peer, tls)}")


def _overlooked(association: Association) -> A_ASSOCIATE | None:
    """A rejection that pynetdicom 3.0 did not look at.

    Its reactor closes the connection on a rejection; whoever asked and only then looks whether there is a
    connection takes it for one that was never made, and the answer stays in the queue.
    """
    while (left := association.dul.receive_pdu(wait=False)) is not None:
        if isinstance(left, A_ASSOCIATE):
            return left
    return None


def _knock(peer: Peer, seconds: float) -> ssl.SSLContext | None:
    """Find out whether anybody listens, and over TLS who; pynetdicom does not tell why it failed."""
    try:
        context = None if peer.tls is None else peer.tls.client_context()
        with socket.create_connection((peer.host, peer.port), timeout=seconds) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=peer.host) as connection:
                    _check_identity(peer, connection)
    except ssl.SSLError as error:
        raise PeerUnreachable(f"no TLS with {peer}: {reason_of(error)}") from error
    except TlsNotReady as error:
        raise PeerUnreachable(f"no TLS with {peer}: {error}") from error
    except OSError as error:
        raise PeerUnreachable(f"{peer} cannot be reached: {error}") from error
    return context


def _check_identity(peer: Peer, connection: ssl.SSLSocket) -> None:
    shown = shown_by(connection)
    if peer.certificate and shown != peer.certificate:
        raise PeerUnreachable(f"{peer} shows the certificate {shown}, expected {peer.certificate}")
    assert peer.tls is not None
    if peer.tls.is_revoked(shown):
        raise PeerUnreachable(f"{peer} shows the certificate {shown}, which is revoked")


def _last_alert(peer: Peer, context: ssl.SSLContext) -> str:
    """What the peer has against our certificate: TLS 1.3 says so only after the handshake."""
    try:
        with (
            socket.create_connection((peer.host, peer.port), timeout=LAST_ALERT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=peer.host) as connection,
        ):
            connection.recv(1)
    except ssl.SSLError as error:
        return f": {reason_of(error)}"
    except OSError:
        return ""
    return ": it closes the connection after the TLS handshake"


def finish(association: Association, connection: socket.socket | None) -> None:
    """Release, or abort what cannot be released; pynetdicom leaves the socket of a lost association open."""
    if association.is_established:
        association.release()
    else:
        association.abort()
    if association.ident is not None:
        association.join(LAST_WORDS_SECONDS)
    if connection is not None:
        connection.close()
