"""One process of the listener: sockets that accept, and a thread for each association."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pacs_gateway.association import Association, Policy
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.tls import TlsFiles
from pacs_gateway.trials import TrialInbox

log = logging.getLogger(__name__)

BACKLOG = 128
STRAGGLER_SECONDS = 2.0
LOOK_SECONDS = 1.0
REJECTED_AT_ONCE = 16
"""Connections beyond the cap that are told why; more are closed without a word."""


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket; `shared` lets several processes listen, the kernel dealing out connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


@dataclass(frozen=True, slots=True)
class Door:
    """A bound socket, and the certificates of those that come in by it."""

    bound: socket.socket
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class TlsPort:
    """Where TLS is to be spoken as soon as there is a certificate."""

    host: str
    port: int
    files: TlsFiles
    shared: bool

    def open(self) -> Door:
        """Bind it.

        Raises:
            OSError: the port cannot be had.
        """
        return Door(bind(self.host, self.port, shared=self.shared), self.files)


class Server:
    """Accepts associations until stopped.

    Args:
        doors: open ones.
        later: a TLS port to open once its certificate has been made.
        max_associations: over all doors.
    """

    def __init__(
        self,
        doors: Sequence[Door],
        inbox: Inbox,
        callers: Callers,
        policy: Policy,
        *,
        max_associations: int,
        later: TlsPort | None = None,
    ) -> None:
        self._doors = list(doors)
        self._later = later
        self._stopped = threading.Event()
        self._inbox = inbox
        self.trials = TrialInbox(inbox.root, reserve_bytes=inbox.reserve_bytes)
        self._callers = callers
        self._policy = policy
        self._max_associations = max_associations
        self._lock = threading.Lock()
        self._running: dict[Association, threading.Thread] = {}
        self._acceptors: list[threading.Thread] = []

    def start(self) -> None:
        for door in self._doors:
            door.bound.listen(BACKLOG)
            self._spawn(self._accept, door)
        if self._later is not None:
            self._spawn(self._wait_for_certificate, self._later)

    def _spawn(self, target: Callable[[Any], None], argument: object) -> None:
        acceptor = threading.Thread(target=target, args=(argument,), name="dicom-accept", daemon=True)
        self._acceptors.append(acceptor)
        acceptor.start()

    def stop(self, *, grace_seconds: float) -> None:
        """Take no more associations, let messages under way finish, abort what is left."""
        self._stopped.set()
        with self._lock:
            doors = list(self._doors)
        for door in doors:
            with contextlib.suppress(OSError):
                door.bound.shutdown(socket.SHUT_RDWR)  # wakes the thread from accept
        for acceptor in self._acceptors:
            acceptor.join()
        for door in doors:
            door.bound.close()
        with self._lock:
            running = dict(self._running)
        for association in running:
            association.stop()
        self._join(running, grace_seconds)
        for association in running:
            association.cut()
        self._join(running, STRAGGLER_SECONDS)

    @staticmethod
    def _join(running: dict[Association, threading.Thread], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in running.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _wait_for_certificate(self, port: TlsPort) -> None:
        while not port.files.ready:
            if self._stopped.wait(LOOK_SECONDS):
                return
        try:
            door = port.open()
        except OSError as error:
            log.error("no DICOM over TLS: port %s of %s: %s", port.port, port.host, error)
            return
        with self._lock:
            if self._stopped.is_set():
                door.bound.close()
                return
            self._doors.append(door)
            door.bound.listen(BACKLOG)
        log.info("listening for TLS", extra={"port": port.port})
        self._accept(door)

    def _accept(self, door: Door) -> None:
        while not self._stopped.is_set():
            try:
                connection, peer = door.bound.accept()
            except OSError as error:
                if self._stopped.is_set():
                    return
                log.warning("a connection could not be accepted: %s", error)
                time.sleep(0.1)  # out of file descriptors: wait for associations to end
                continue
            self._begin(connection, str(peer[0]), door.tls)

    def _begin(self, connection: socket.socket, address: str, tls: TlsFiles | None) -> None:
        with self._lock:
            count = len(self._running)
            if count >= self._max_associations + REJECTED_AT_ONCE or self._stopped.is_set():
                connection.close()
                return
            try:
                association = Association(
                    connection,
                    address,
                    inbox=self._inbox,
                    trials=self.trials,
                    callers=self._callers,
                    policy=self._policy,
                    tls=tls,
                )
            except OSError as error:
                log.info("a connection ended as it began: %s", error)
                connection.close()
                return
            room = count < self._max_associations
            thread = threading.Thread(
                target=self._live, args=(association, room), name="dicom-association", daemon=True
            )
            self._running[association] = thread
            thread.start()

    def _live(self, association: Association, room: bool) -> None:
        try:
            association.run(room=room)
        finally:
            with self._lock:
                del self._running[association]
