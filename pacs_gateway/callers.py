"""Who may call: an allow-list by AE title and address or certificate, closed until somebody is on it."""

import ipaddress
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LEARNED_LIMIT = 500
"""Callers that one process writes down in learn mode: whoever makes titles up must not fill its memory."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent an instance, as the association said and the allow-list knows."""

    calling_ae: str
    called_ae: str
    address: str
    hcode: str | None
    """The hospital's MOPH code; None for a caller nobody has named yet."""
    certificate: str = ""
    """SHA-256 fingerprint of the certificate shown; empty for an association without TLS."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One line of the allow-list."""

    ae: str
    addresses: tuple[str, ...] = ()
    """Single addresses or CIDR ranges for calls without TLS; none means from anywhere, unless there are
    certificates: then only over TLS."""
    hcode: str | None = None
    certificates: tuple[str, ...] = ()
    """Fingerprints that it may show over TLS."""

    def covers(self, calling_ae: str, address: str, certificate: str) -> bool:
        if self.ae != calling_ae:
            return False
        if certificate:
            return certificate in self.certificates
        if not self.addresses:
            return not self.certificates
        return any(_inside(address, each) for each in self.addresses)


class BadCallers(ValueError):
    """The allow-list file cannot be read as one; the text names the file and what is wrong."""


class Callers:
    """The allow-list in a JSON file, read again whenever it changes.

    `{"callers": [{"ae": "UDON_CT1", "addresses": ["10.8.0.0/16"], "certificates": [], "hcode": "10671"}],
    "learn": false}`

    With learn, an unknown caller is let in and written to `learned.json` beside the file, to be named.
    """

    def __init__(self, path: Path, *, learn: bool = False) -> None:
        self.path = path
        self.always_learn = learn
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._callers: tuple[Caller, ...] = ()
        self._learn = learn
        self._learned: set[tuple[str, str, str]] = set()
        self._read()

    def recognise(
        self, calling_ae: str, called_ae: str, address: str, certificate: str = ""
    ) -> Sender | None:
        """The sender behind an association request, or None for one that may not call.

        Over TLS the certificate decides; without, the address does.
        """
        with self._lock:
            try:
                self._read()
            except BadCallers:
                log.exception("callers file is broken, the list read before stays in force")
            for caller in self._callers:
                if caller.covers(calling_ae, address, certificate):
                    return Sender(calling_ae, called_ae, address, caller.hcode, certificate)
            if not self._learn:
                return None
            self._record(calling_ae, address, certificate)
            return Sender(calling_ae, called_ae, address, None, certificate)

    def _read(self) -> None:
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            self._stamp, self._callers, self._learn = None, (), self.always_learn
            return
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        content = _load(self.path)
        self._callers = tuple(_caller(line, self.path) for line in content.get("callers", []))
        self._learn = self.always_learn or bool(content.get("learn", False))

    def _record(self, calling_ae: str, address: str, certificate: str) -> None:
        if (calling_ae, address, certificate) in self._learned or len(self._learned) >= LEARNED_LIMIT:
            return
        learned = self.path.with_name("learned.json")
        known = _load(learned).get("callers", []) if learned.exists() else []
        line: dict[str, Any] = {"ae": calling_ae, "addresses": [] if certificate else [address]}
        if certificate:
            line["certificates"] = [certificate]
        if line not in known:
            known.append(line)
            fresh = learned.with_name(f"{learned.name}.{os.getpid()}")
            fresh.write_text(json.dumps({"callers": known}, indent=1), "utf-8")
            fresh.replace(learned)
            log.warning("unknown caller learned", extra={"calling_ae": calling_ae, "address": address})
        self._learned.add((calling_ae, address, certificate))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadCallers(f"{path}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("callers", []), list):
        raise BadCallers(f"{path}: expected an object with a list of callers")
    return content


def _caller(line: Any, path: Path) -> Caller:
    if not isinstance(line, dict) or not isinstance(line.get("ae"), str) or not line["ae"].strip():
        raise BadCallers(f"{path}: a caller needs an ae: {line!r}")
    addresses = line.get("addresses", [])
    try:
        for address in addresses:
            ipaddress.ip_network(address, strict=False)
    except (TypeError, ValueError) as error:
        raise BadCallers(f"{path}: addresses of {line['ae']}: {error}") from error
    certificates = line.get("certificates", [])
    if not isinstance(certificates, list) or not all(isinstance(each, str) for each in certificates):
        raise BadCallers(f"{path}: certificates of {line['ae']}: a list of fingerprints is expected")
    hcode = line.get("hcode")
    return Caller(
        line["ae"].strip(), tuple(addresses), None if hcode is None else str(hcode), tuple(certificates)
    )


def _inside(address: str, network: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed in ipaddress.ip_network(network, strict=False)
