"""One process of the listener: a socket that accepts, and a thread for each association."""

import logging
import socket
import threading
import time

from pacs_gateway.association import Association, Policy
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox

log = logging.getLogger(__name__)

BACKLOG = 128
STRAGGLER_SECONDS = 2.0
REJECTED_AT_ONCE = 16
"""Connections beyond the cap that are told why; more are closed without a word."""


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket; `shared` lets several processes listen on the port, the kernel dealing out connections."""
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


class Server:
    """Accepts associations until stopped."""

    def __init__(
        self, bound: socket.socket, inbox: Inbox, callers: Callers, policy: Policy, *, max_associations: int
    ) -> None:
        self._socket = bound
        self._inbox = inbox
        self._callers = callers
        self._policy = policy
        self._max_associations = max_associations
        self._lock = threading.Lock()
        self._running: dict[Association, threading.Thread] = {}
        self._stopping = False
        self._acceptor = threading.Thread(target=self._accept, name="dicom-accept", daemon=True)

    def start(self) -> None:
        self._socket.listen(BACKLOG)
        self._acceptor.start()

    def stop(self, *, grace_seconds: float) -> None:
        """Take no more associations, let messages under way finish, abort what is left."""
        self._stopping = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread from accept
        except OSError:
            pass
        self._acceptor.join()
        self._socket.close()
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

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, peer = self._socket.accept()
            except OSError as error:
                if self._stopping:
                    return
                log.warning("a connection could not be accepted: %s", error)
                time.sleep(0.1)  # out of file descriptors: wait for associations to end
                continue
            self._begin(connection, str(peer[0]))

    def _begin(self, connection: socket.socket, address: str) -> None:
        with self._lock:
            count = len(self._running)
            if count >= self._max_associations + REJECTED_AT_ONCE or self._stopping:
                connection.close()
                return
            association = Association(
                connection, address, inbox=self._inbox, callers=self._callers, policy=self._policy
            )
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
