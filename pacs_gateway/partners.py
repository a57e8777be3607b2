"""Partners in storage commitment: whom reports go to, in a JSON file that is read again when it changes."""

import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pacs_gateway.callers import Sender
from pacs_gateway.peers import Peer
from pacs_gateway.tls import TlsFiles

log = logging.getLogger(__name__)


class Partners:
    """`{"peers": [{"ae_title", "host", "port", "hcode", "tls", "certificate"}]}`.

    Args:
        path: the file; without it there are none.
        tls: our certificates, for partners that are called over TLS.
    """

    def __init__(self, path: Path, tls: TlsFiles | None) -> None:
        self.path = path
        self._tls = tls
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._lines: tuple[Mapping[str, Any], ...] = ()

    def find(self, sender: Sender) -> Peer | None:
        """The partner behind a request: of its title, and where several are, of its hospital or host."""
        with self._lock:
            self._read()
            named = [line for line in self._lines if line["ae_title"] == sender.calling_ae]
        for key, value in (("hcode", sender.hcode), ("host", sender.address)):
            named = [line for line in named if line[key] == value] or named
        return self._peer(named[0]) if named else None

    def refresh(self) -> bool:
        """Read the list again where it has changed; whether it had."""
        with self._lock:
            return self._read()

    def _look(self) -> tuple[int, int] | None:
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def _read(self) -> bool:
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            lines = json.loads(self.path.read_text("utf-8"))["peers"] if stamp else []
            for line in lines:
                Peer(line["ae_title"], line["host"], int(line["port"]))
                line["hcode"]
        except (OSError, ValueError, LookupError, TypeError):
            log.exception("the list of partners is broken, the one read before stays in force")
            return False
        self._lines = tuple(lines)
        return True

    def _peer(self, line: Mapping[str, Any]) -> Peer:
        tls = self._tls if line.get("tls") else None
        return Peer(line["ae_title"], line["host"], int(line["port"]), tls, str(line.get("certificate", "")))
