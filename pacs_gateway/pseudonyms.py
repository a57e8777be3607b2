"""Other UIDs, patient numbers and dates for the same patient, computed from a secret that is kept apart.

Nothing is written down: with the key the same input gives the same pseudonym on any day and machine, and
without it nobody finds the way back.
"""

import base64
import hmac
import os
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

KEY_BYTES = 32
FEWEST_DAYS, MOST_DAYS = 30, 1825
UUID_ROOT = "2.25."
"""UIDs derived from a UUID, PS3.5 B.2."""


class BadKey(ValueError):
    """The key cannot be used; the text names the file and says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """The secret of one research project or region."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < KEY_BYTES:
            raise BadKey(f"the key has {len(self.secret)} bytes, it needs {KEY_BYTES}")

    def uid(self, uid: str) -> str:
        """The pseudonym of a UID: a version 8 UUID (RFC 9562) under 2.25."""
        number = int.from_bytes(self._digest("uid", uid)[:16], "big")
        number = number & ~(0xF << 76) | 0x8 << 76
        return UUID_ROOT + str(number & ~(0x3 << 62) | 0x2 << 62)

    def patient(self, hcode: str, patient_id: str) -> "Pseudonym":
        """The pseudonym of a patient, who is one hospital's HN."""
        digest = self._digest("patient", hcode, patient_id)
        number = int.from_bytes(self._digest("days", hcode, patient_id)[:8], "big")
        return Pseudonym(
            patient_id="P" + base64.b32encode(digest[:10]).decode("ascii"),
            days=-(FEWEST_DAYS + number % (MOST_DAYS - FEWEST_DAYS + 1)),
        )

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self.secret, "\0".join(parts).encode("utf-8", "surrogateescape"), sha256)


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """What a patient is called outside, and how far all of the patient's dates are moved."""

    patient_id: str
    days: int


def read_key(path: Path) -> Key:
    """Read a key file made by `make_key`.

    Raises:
        BadKey: not there, too short, or open to others than its owner.
    """
    try:
        mode, secret = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise BadKey(f"key file {path}: {error.strerror}") from error
    if mode & 0o077:
        raise BadKey(f"key file {path} is open to others (mode {mode & 0o777:o}); chmod 600 it")
    try:
        return Key(bytes.fromhex(secret.decode("ascii")))
    except ValueError as error:
        raise BadKey(f"key file {path}: expected {2 * KEY_BYTES} hexadecimal digits or more") from error


def make_key(path: Path) -> Key:
    """Write a new key file that only its owner can read.

    Raises:
        BadKey: the file is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadKey(f"key file {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(descriptor)
    return read_key(path)
