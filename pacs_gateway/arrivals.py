"""What the inbox tells: instances received, studies arrived or on their way, and receipts."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypedDict

from pacs_gateway.callers import Sender
from pacs_gateway.completion import Completion
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.identity import Identity
from pacs_gateway.offers import Offer


class Outcome(StrEnum):
    """What became of one instance offered."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """Kept beside another instance of the same SOP Instance UID and other bytes."""
    REFUSED = "refused"


class Ending(StrEnum):
    """How an association ended."""

    RELEASED = "released"
    ABORTED = "aborted"
    LOST = "lost"
    """The connection broke or fell silent."""
    KILLED = "killed"
    """Its listener died; found out afterwards."""
    REFUSED = "refused"
    """It was never opened: an unknown caller, or no TLS handshake."""


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """One instance in the inbox, durable."""

    header: InstanceHeader
    path: Path
    """Part 10 file; gone once the study is discarded."""
    size: int
    """Of the file, bytes."""
    sha256: str
    """Of the data set bytes as sent, without the file meta group."""
    received_at: datetime
    conflict: bool

    @property
    def sop_instance_uid(self) -> str:
        return self.header.sop_instance_uid

    @property
    def series_instance_uid(self) -> str:
        return self.header.series_instance_uid


@dataclass(frozen=True, slots=True)
class ArrivedStudy:
    """A study that is complete as far as anybody can tell."""

    study_instance_uid: str
    identity: Identity
    senders: tuple[Sender, ...]
    instances: tuple[ReceivedInstance, ...]
    """In order of series and instance number."""
    duplicates: int
    conflicts: int
    completion: Completion
    first_received_at: datetime
    last_received_at: datetime
    digest: str
    """Of the set of instances, whatever their order: see `digest_of`."""


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """A study still coming in."""

    study_instance_uid: str
    senders: tuple[Sender, ...]
    instances: int
    open_associations: int
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class RefusedInstance:
    """One instance that was not taken, and why."""

    association_id: int
    study_instance_uid: str
    """Empty where the data set could not be read that far."""
    sop_instance_uid: str
    status: int
    reason: str
    quarantined: Path | None
    """The bytes as sent, kept for diagnosis."""
    refused_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one association delivered of one study; an association without instances has one with no study."""

    association_id: int
    sender: Sender
    opened_at: datetime
    closed_at: datetime | None
    ending: Ending | None
    study_instance_uid: str
    offered: int
    stored: int
    duplicate: int
    conflict: int
    refused: int
    refusals: tuple[RefusedInstance, ...]
    detail: str = ""
    """Why the association was refused or aborted."""
    offer: Offer = ()
    """The presentation contexts of the association."""


class Narrowing(TypedDict, total=False):
    """Which receipts are asked for; what is left out or None narrows nothing."""

    study_instance_uid: str | None
    association_id: int | None
    hcode: str | None
    calling_ae: str | None
    since: datetime | None
    """Association opened then or later."""
    until: datetime | None
    """Association opened before then."""


def digest_of(sha256s: Iterable[str]) -> str:
    """One digest for a set of instances: the sha256 over their sorted sha256s."""
    return hashlib.sha256("\n".join(sorted(sha256s)).encode()).hexdigest()
