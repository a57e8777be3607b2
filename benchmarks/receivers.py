"""The storage providers that ingest is measured against, plain and over TLS: how each is started."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 30.0
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
LISTEN = (
    "import sys; from pathlib import Path; from pacs_gateway.listener import listen; "
    "listen(Path(sys.argv[1]), Path(sys.argv[2]), host='127.0.0.1', port=int(sys.argv[3]), learn=True, "
    "processes=int(sys.argv[4]), reserve_bytes=0, blanks=int(sys.argv[5]))"
)
LISTEN_TLS = (
    "import socket, sys; from pathlib import Path; from pacs_gateway.listener import listen; "
    "probe = socket.create_server(('127.0.0.1', 0)); plain = probe.getsockname()[1]; probe.close(); "
    "listen(Path(sys.argv[1]), Path(sys.argv[2]), host='127.0.0.1', port=plain, learn=True, "
    "tls_folder=Path(sys.argv[4]), tls_port=int(sys.argv[3]), reserve_bytes=0, blanks=int(sys.argv[5]))"
)
BLANKS = 384
"""As many as HUB_BLANK_FILES has by itself: a listener that nobody has called for two seconds has them."""
CERTIFICATES = Path(tempfile.gettempdir()) / f"ingest-tls-{os.getpid()}"
"""Made once a run, for both sides."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A storage provider to be measured: the program it needs and how it is started."""

    name: str
    program: str
    command: Callable[[Path, int], list[str]]
    tls: bool = False
    blanks: int = 0
    """Blank files that it makes while nobody sends; measured once it has them."""

    def client(self, tool: str) -> list[str]:
        """dcmtk's client as it speaks to this peer."""
        if not self.tls:
            return [tool]
        shown = [str(CERTIFICATES / name) for name in ("hub.key", "hub.pem")]
        return [tool, "+tls", *shown, "+cf", str(CERTIFICATES / "ca.pem")]


def ours(processes: int, *, blanks: int = BLANKS) -> Peer:
    def command(folder: Path, port: int) -> list[str]:
        callers = str(folder / "callers.json")
        arguments = [str(folder), callers, str(port), str(processes), str(blanks)]
        return [sys.executable, "-c", LISTEN, *arguments]

    name = f"hub, {processes} process{'es' if processes > 1 else ''}"
    return Peer(name if blanks else f"{name}, no blank files", sys.executable, command, blanks=blanks)


def storescp(folder: Path, port: int) -> list[str]:
    return ["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(folder), str(port)]


def ours_over_tls(folder: Path, port: int) -> list[str]:
    callers = str(folder / "callers.json")
    certificates = str(CERTIFICATES)
    return [sys.executable, "-c", LISTEN_TLS, str(folder), callers, str(port), certificates, str(BLANKS)]


def orthanc_over_tls(folder: Path, port: int) -> list[str]:
    command = orthanc(folder, port)
    file = folder / "orthanc.json"
    tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(CERTIFICATES / "hub.pem"),
        "DicomTlsPrivateKey": str(CERTIFICATES / "hub.key"),
        "DicomTlsTrustedCertificates": str(CERTIFICATES / "ca.pem"),
        "DicomTlsRemoteCertificateRequired": True,
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | tls))
    return command


def orthanc(folder: Path, port: int) -> list[str]:
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "DicomPort": port,
        "HttpPort": free_port(),
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": False,
        "DicomModalities": {},
        "SyncStorageArea": True,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    return ["Orthanc", str(file)]


HUB = ours(1)
HUB2 = ours(2)
HUB_UNPREPARED = ours(1, blanks=0)
ORTHANC = Peer("Orthanc", "Orthanc", orthanc)
HUB_TLS = Peer("hub over TLS", sys.executable, ours_over_tls, tls=True, blanks=BLANKS)
ORTHANC_TLS = Peer("Orthanc over TLS", "Orthanc", orthanc_over_tls, tls=True)
STORESCP = Peer("storescp --fork", "storescp", storescp)
PEERS = (HUB, HUB2, HUB_UNPREPARED, ORTHANC, STORESCP, HUB_TLS, ORTHANC_TLS)
OURS = (HUB, HUB2, HUB_UNPREPARED, HUB_TLS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(peer: Peer, scratch: Path) -> Iterator[tuple[int, int, Path]]:
    """The peer, listening: its process id, port and folder."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(peer.command(folder, port), env=ENVIRONMENT, **quiet)  # type: ignore[call-overload]
    try:
        await_echo(port, peer)
        await_blanks(folder, peer)
        yield process.pid, port, folder
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def await_echo(port: int, peer: Peer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(
        [*peer.client("echoscu"), "127.0.0.1", str(port)], capture_output=True, env=ENVIRONMENT
    ).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"{peer.name} did not answer C-ECHO within {START_SECONDS:.0f} s")
        time.sleep(0.1)


def await_blanks(folder: Path, peer: Peer) -> None:
    """Wait until it has made its blank files, as it has whenever a CT begins to arrive."""
    deadline = time.monotonic() + START_SECONDS
    while len(list(folder.glob("owners/*/*.blank"))) < peer.blanks:
        if time.monotonic() > deadline:
            raise SystemExit(f"{peer.name} made no {peer.blanks} blank files in {START_SECONDS:.0f} s")
        time.sleep(0.1)
