"""The listener: a provider on a plain port and a TLS port, with as many processes as wanted."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from pacs_gateway.association import Policy
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener_process import Options, hush_pydicom, serve
from pacs_gateway.partners import Partners
from pacs_gateway.reporter import Reporter
from pacs_gateway.server import Door, Server, TlsPort, bind
from pacs_gateway.spool import DEFAULT_RESERVE
from pacs_gateway.tls import TlsFiles

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
START_SECONDS = 60.0
SHORTEST_LIFE_SECONDS = 1.0
"""A process that dies sooner is not started again at once."""


class NotListening(ValueError):
    """The listener could not be started."""


@dataclass(frozen=True, slots=True)
class _Child:
    process: SpawnProcess
    pipe: Connection
    started: float


class Listener:
    """A storage provider on one port, and over TLS on another.

    Args:
        inbox: where instances go.
        callers: who may call.
        ae_title: our own; callers need to name it only with `require_called_ae`.
        port: 0 takes a free one, see `port`.
        tls: certificates; None for no TLS at all. Without one yet, the TLS port opens when it is made.
        partners: the list of those whom commitments are reported to; `peers.json` beside the callers.
        tls_port: 0 takes a free one where there is a certificate already.
        learn: let unknown callers in and record them.
        processes: more than one are spawned beside this one and share the port by SO_REUSEPORT.
        max_associations: per process; more are rejected as a passing local limit.
        idle_seconds: an association silent for so long is ended.
        blanks: blank files that each spawned process keeps ready.
    """

    def __init__(
        self,
        inbox: Inbox,
        callers: Callers,
        *,
        ae_title: str = "IMAGINGHUB",
        host: str = "0.0.0.0",
        port: int = 11112,
        tls: TlsFiles | None = None,
        tls_port: int = 2762,
        partners: Path | None = None,
        learn: bool = False,
        require_called_ae: bool = False,
        processes: int = 1,
        max_associations: int = 50,
        idle_seconds: float = 60.0,
        grace_seconds: float = GRACE_SECONDS,
        blanks: int = 0,
    ) -> None:
        self._blanks = blanks
        self._inbox = inbox
        self._callers = Callers(callers.path, learn=True) if learn else callers
        self._learn = learn or callers.always_learn
        self._policy = Policy(ae_title, require_called_ae, idle_seconds)
        self._max_associations = max_associations
        self._processes = processes
        self._grace_seconds = grace_seconds
        self.host = host
        self.port = port
        self.tls_port = tls_port
        self._tls = tls
        self._doors: list[Door] = []
        self._partners_path = partners or callers.path.with_name("peers.json")
        self._reporters: list[Reporter] = []
        self._server: Server | None = None
        self._children: list[_Child] = []
        self._supervisor: threading.Thread | None = None
        self._stopped = threading.Event()
        self._wake_reader, self._wake_writer = multiprocessing.Pipe(duplex=False)

    def start(self) -> None:
        """Listen; returns when connections are taken.

        Raises:
            NotListening: the port cannot be had.
        """
        self._bind()
        if self._processes > 1:
            self._start_children()
        else:
            self._server = Server(
                self._doors,
                self._inbox,
                self._callers,
                self._policy,
                max_associations=self._max_associations,
                later=self._later(),
            )
            self._server.start()
            for inbox in (self._inbox, self._server.trials):
                self._reporters.append(Reporter(inbox, Partners(self._partners_path, self._tls)))
                self._reporters[-1].start()
        log.info("listening", extra={"host": self.host, "port": self.port, "processes": self._processes})

    def _bind(self) -> None:
        shared = self._processes > 1
        try:
            self._doors.append(Door(bind(self.host, self.port, shared=shared)))
            self.port = self._doors[0].bound.getsockname()[1]
            if self._tls is not None and self._tls.ready:
                self._doors.append(TlsPort(self.host, self.tls_port, self._tls, shared).open())
                self.tls_port = self._doors[1].bound.getsockname()[1]
        except OSError as error:
            port = self.tls_port if self._doors else self.port
            for door in self._doors:
                door.bound.close()
            raise NotListening(f"port {port} of {self.host}: {error}") from error

    def _later(self) -> TlsPort | None:
        if self._tls is None or len(self._doors) > 1:
            return None
        return TlsPort(self.host, self.tls_port, self._tls, self._processes > 1)

    def stop(self) -> None:
        """Take no more associations, let messages under way finish, end the rest; twice does no harm."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._wake_writer.send(None)
        if self._server is not None:
            self._server.stop(grace_seconds=self._grace_seconds)
        for reporter in self._reporters:
            reporter.stop()
        if self._server is not None:
            self._server.trials.close()
        if self._supervisor is not None:
            self._supervisor.join()
            for child in self._children:
                child.pipe.close()
            for child in self._children:
                self._end(child)
        for door in self._doors:
            door.bound.close()
        self._wake_reader.close()
        self._wake_writer.close()
        log.info("stopped listening", extra={"port": self.port})

    def pids(self) -> tuple[int, ...]:
        """The processes that take associations."""
        return tuple(child.process.pid or 0 for child in self._children) or (os.getpid(),)

    def _start_children(self) -> None:
        # our own sockets stay bound without listening: they keep the ports while processes come and go
        self._children = [self._spawn() for _ in range(self._processes)]
        for child in self._children:
            if not _came_up(child):
                for other in self._children:
                    other.pipe.close()  # which ends it
                raise NotListening(f"process {child.process.pid} did not come up")
        self._supervisor = threading.Thread(target=self._supervise, name="dicom-supervisor", daemon=True)
        self._supervisor.start()

    def _spawn(self) -> _Child:
        options = Options(
            inbox_root=self._inbox.root,
            reserve_bytes=self._inbox.reserve_bytes,
            blanks=self._blanks,
            callers_path=self._callers.path,
            learn=self._learn,
            host=self.host,
            port=self.port,
            policy=self._policy,
            max_associations=self._max_associations,
            tls_folder=None if self._tls is None else self._tls.folder,
            tls_port=self.tls_port,
            partners_path=self._partners_path,
        )
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve, args=(options, theirs, self._grace_seconds), name="dicom-listener"
        )
        process.start()
        theirs.close()
        return _Child(process, ours, time.monotonic())

    def _supervise(self) -> None:
        """Start every process again that dies."""
        while not self._stopped.is_set():
            wait([self._wake_reader, *(child.process.sentinel for child in self._children)])
            for number, child in enumerate(self._children):
                if self._stopped.is_set() or child.process.is_alive():
                    continue
                log.error("a listener process died", extra={"exitcode": child.process.exitcode})
                child.pipe.close()
                self._stopped.wait(max(0.0, child.started + SHORTEST_LIFE_SECONDS - time.monotonic()))
                self._children[number] = self._spawn()

    def _end(self, child: _Child) -> None:
        child.process.join(self._grace_seconds + START_SECONDS)
        if child.process.is_alive():
            child.process.kill()
            child.process.join()
        child.process.close()


def _came_up(child: _Child) -> bool:
    try:
        return child.pipe.poll(START_SECONDS) and child.pipe.recv() == "listening"
    except EOFError:
        return False


def listen(
    inbox_root: Path,
    callers_path: Path,
    *,
    ae_title: str = "IMAGINGHUB",
    host: str = "0.0.0.0",
    port: int = 11112,
    tls_folder: Path | None = None,
    tls_port: int = 2762,
    learn: bool = False,
    require_called_ae: bool = False,
    processes: int = 1,
    max_associations: int = 50,
    idle_seconds: float = 60.0,
    reserve_bytes: int = DEFAULT_RESERVE,
    blanks: int = 0,
) -> None:
    """Listen until SIGTERM or SIGINT, then stop in order.

    Args:
        blanks: blank files kept ready, over all processes; the rest as for `Listener`.

    Raises:
        NotListening: the port cannot be had.
    """
    hush_pydicom()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    alone = processes == 1
    inbox = Inbox(inbox_root, reserve_bytes=reserve_bytes, blanks=blanks if alone else 0)
    listener = Listener(
        inbox,
        Callers(callers_path, learn=learn),
        ae_title=ae_title,
        host=host,
        port=port,
        tls=None if tls_folder is None else TlsFiles(tls_folder),
        tls_port=tls_port,
        learn=learn,
        require_called_ae=require_called_ae,
        processes=processes,
        max_associations=max_associations,
        idle_seconds=idle_seconds,
        blanks=blanks // processes,
    )
    listener.start()
    told.wait()
    listener.stop()
    inbox.close()
