"""Storage commitment on the wire: as a user who asks, and as a provider who reports. PS3.4 annex J."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_role
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from pacs_gateway.commitments import Reference
from pacs_gateway.peers import CALLING_AE, Peer, associate, finish
from pacs_gateway.reactor import reactor_held

REQUEST_COMMITMENT = 1
"""Action type - PS3.4 J.3.2."""
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event types - PS3.4 J.3.3."""


class NotTold(ValueError):
    """The other side answered with a failure, or not at all; the text says which."""


class BadRequestData(ValueError):
    """What was asked or reported lacks what PS3.4 annex J asks for."""


def new_transaction_uid() -> str:
    """A UID for one request."""
    return f"2.25.{uuid.uuid4().int}"


def read_references(items: Any) -> tuple[Reference, ...]:
    """References of a sequence, empty where there is none.

    Raises:
        BadRequestData: an item lacks a UID.
    """
    try:
        return tuple((str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID)) for i in items or ())
    except AttributeError as error:
        raise BadRequestData(f"a referenced SOP without its UID: {error}") from error


def request_commitment(
    peer: Peer,
    references: Sequence[Reference],
    *,
    transaction_uid: str,
    calling_ae: str = CALLING_AE,
    timeout_seconds: float = 30.0,
) -> None:
    """Ask a peer to commit to instances; its report reaches our listener later.

    Raises:
        PeerUnreachable: no association.
        NotTold: it does not take the request.
    """
    asked = Dataset()
    asked.TransactionUID = UID(transaction_uid)
    asked.ReferencedSOPSequence = [_item(reference) for reference in references]
    association, connection = associate(peer, calling_ae, [(StorageCommitmentPushModel, "")], timeout_seconds)
    try:
        with reactor_held(association):
            status, _ = association.send_n_action(
                asked, REQUEST_COMMITMENT, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
    finally:
        finish(association, connection)
    _check(status, f"{peer} does not take the request for commitment")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report says of one transaction."""

    transaction_uid: str
    committed: Sequence[Reference]
    failed: Sequence[tuple[Reference, int]]
    """With the failure reason."""


def report_commitments(
    peer: Peer, verdicts: Sequence[Verdict], *, calling_ae: str, timeout_seconds: float = 30.0
) -> Iterator[NotTold | None]:
    """Tell a peer what is committed and what not, on an association of our own as provider. PS3.4 J.3.3.1.2.

    Yields:
        For each verdict None, or why it was not taken.

    Raises:
        PeerUnreachable: no association.
    """
    association, connection = associate(
        peer,
        calling_ae,
        [(StorageCommitmentPushModel, "")],
        timeout_seconds,
        roles=[build_role(StorageCommitmentPushModel, scp_role=True)],
    )
    try:
        with reactor_held(association):
            for verdict in verdicts:
                yield _report(association, peer, verdict)
    finally:
        finish(association, connection)


def _report(association: Association, peer: Peer, verdict: Verdict) -> NotTold | None:
    report = Dataset()
    report.TransactionUID = UID(verdict.transaction_uid)
    if verdict.committed:
        report.ReferencedSOPSequence = [_item(reference) for reference in verdict.committed]
    if verdict.failed:
        report.FailedSOPSequence = [_item(reference, reason) for reference, reason in verdict.failed]
    try:
        status, _ = association.send_n_event_report(
            report,
            SOME_FAILED if verdict.failed else ALL_COMMITTED,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        _check(status, f"{peer} does not take the report")
    except NotTold as error:
        return error
    except (RuntimeError, ValueError) as error:  # it has ended, or does not let us be the provider
        return NotTold(f"{peer} takes no report of commitment: {error}")
    return None


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (UID(uid) for uid in reference)
    if reason is not None:
        item.FailureReason = reason
    return item


def _check(status: Any, what: str) -> None:
    number = getattr(status, "Status", None)
    if number != 0:
        answer = "no answer" if number is None else f"status {number:04X}"
        raise NotTold(f"{what}: {answer} {getattr(status, 'ErrorComment', '') or ''}".strip())
