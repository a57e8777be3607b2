"""DICOM over TLS: one folder of keys and certificates, and the contexts made of it. PS3.15 annex B, BCP 195.

    ca.pem, ca.key      the hub's own authority (`service.certificates` issues from it)
    hub.pem, hub.key    what the hub shows, as provider and as user
    trusted/*.pem       other authorities, or single certificates of machines that have their own
    revoked.txt         fingerprints that are let in no more, one a line

Both sides show a certificate, always. Whatever changes in the folder holds from the next connection on.
"""

import hashlib
import logging
import ssl
import threading
from pathlib import Path

log = logging.getLogger(__name__)

HUB_FILES = ("hub.pem", "hub.key")
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
"""For TLS 1.2: forward secrecy and authenticated encryption only, RFC 9325 section 4.2."""

Stamp = tuple[tuple[str, int, int], ...]


class TlsNotReady(ValueError):
    """The folder holds no usable certificate; the text names the file."""


class TlsFiles:
    """The folder as it is now; contexts are built anew when a file has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._revoked: frozenset[str] = frozenset()

    @property
    def ready(self) -> bool:
        """Whether the hub has a certificate to show."""
        return all((self.folder / name).is_file() for name in HUB_FILES)

    def server_context(self) -> ssl.SSLContext:
        """For connections that come in.

        Raises:
            TlsNotReady: a file is missing or broken, and there was no good one before.
        """
        self._refresh()
        assert self._server is not None
        return self._server

    def client_context(self) -> ssl.SSLContext:
        """For connections that go out; see `server_context`. Host names are not compared."""
        self._refresh()
        assert self._client is not None
        return self._client

    def is_revoked(self, fingerprint: str) -> bool:
        """Whether a certificate is let in no more."""
        self._refresh()
        return fingerprint in self._revoked

    def _refresh(self) -> None:
        with self._lock:
            try:
                stamp = self._look()
                if stamp == self._stamp:
                    return
                server = self._context(ssl.PROTOCOL_TLS_SERVER)
                client = self._context(ssl.PROTOCOL_TLS_CLIENT)
                revoked = self._read_revoked()
            except (OSError, ValueError) as error:  # SSLError is an OSError
                if self._server is None:
                    raise TlsNotReady(f"certificates in {self.folder} cannot be used: {error}") from error
                log.error("certificates cannot be read, those read before stay in force: %s", error)
                return
            self._server, self._client, self._revoked, self._stamp = server, client, revoked, stamp

    def _anchors(self) -> list[Path]:
        return [self.folder / "ca.pem", *sorted((self.folder / "trusted").glob("*.pem"))]

    def _look(self) -> Stamp:
        looked = []
        for path in (
            *(self.folder / name for name in HUB_FILES),
            self.folder / "revoked.txt",
            *self._anchors(),
        ):
            if path.name in HUB_FILES or path.is_file():
                stat = path.stat()
                looked.append((str(path), stat.st_mtime_ns, stat.st_size))
        return tuple(looked)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        # a machine's own certificate is trusted as itself, without the authority behind it
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # resuming a session would spare few bytes and hide a revoked certificate
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(self.folder / "hub.pem", self.folder / "hub.key")
        for anchor in self._anchors():
            if anchor.is_file():
                context.load_verify_locations(anchor)
        return context

    def _read_revoked(self) -> frozenset[str]:
        path = self.folder / "revoked.txt"
        if not path.is_file():
            return frozenset()
        return frozenset(line.split("#")[0].strip() for line in path.read_text("utf-8").splitlines()) - {""}


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER, in hexadecimal: what callers and peers are known by."""
    return hashlib.sha256(certificate).hexdigest()


def shown_by(connection: ssl.SSLSocket) -> str:
    """The fingerprint of the certificate that the other side showed; empty where it showed none."""
    certificate = connection.getpeercert(binary_form=True)
    return fingerprint(certificate) if certificate else ""


def reason_of(error: OSError) -> str:
    """Why a handshake failed, in words for the administrator of the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it began no TLS handshake in time"
    if isinstance(error, ssl.SSLError):
        return _REASONS.get(error.reason or "", (error.reason or str(error)).replace("_", " ").lower())
    return "it closed the connection in mid-handshake"


_REASONS = {
    "HTTP_REQUEST": "it spoke HTTP to the DICOM TLS port",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: plain DICOM to the TLS port, or TLS to a plain one",
    "UNSUPPORTED_PROTOCOL": "it offers no TLS 1.2 or newer",
    "NO_SHARED_CIPHER": "it offers no cipher suite of BCP 195",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate from us",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection in mid-handshake",
}
