"""Courier: carries what is due to one destination, and says of every instance what became of it.

One job a destination at a time (a line of its own in the engine), so a dead PACS holds up nobody else.
Nothing that matters is kept in memory: whatever a killed worker had sent is sent again or known to be there.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, select

from pacs_gateway.commitment import NotTold, new_transaction_uid, request_commitment
from pacs_gateway.peers import Peer as Remote
from pacs_gateway.sender import PeerUnreachable, SendOutcome, SendResult, send
from service import circuits, deliveries, delivery_commitments
from service.db import now, session_scope
from service.deliveries import STORED, Delivery, Parcel
from service.failures import Failure
from service.peers import Peer
from service.steps import Step
from service.storage import NotStored, Storage

log = logging.getLogger(__name__)

SLICE_SECONDS = 60.0
"""After so long a job ends and puts the next in line, so that a worker can be stopped between."""
ANSWER_SECONDS = 30.0
PROGRESS_SECONDS = 5.0
PASSING: Final = frozenset({0x0110, 0x0124, 0x0213})
"""Statuses that may pass, beside A7xx: processing failure, not authorised, resource limitation."""

Wake = Callable[[str, datetime | None], object]
"""Has a destination looked after, at once or at that time."""


@dataclass(frozen=True, slots=True)
class _Errand:
    """One delivery to be made now."""

    number: int
    remote: Remote
    parcels: list[Parcel]
    commits: bool = False


class Courier:
    """Sends to destinations.

    Args:
        engine: The rows.
        storage: The files.
        remote: A peer's row as the gateway calls it.
        wake: Puts the next look at a destination in line.
        calling_ae: The hub's own title.
        clock: Now; only tests give another.
    """

    def __init__(
        self,
        engine: Engine,
        storage: Storage,
        *,
        remote: Callable[[Peer], Remote],
        wake: Wake,
        calling_ae: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._remote = remote
        self._wake = wake
        self._calling_ae = calling_ae
        self._clock = clock

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `DELIVER`; what a destination does wrong is no failure of the job."""
        return (Step(self.deliver, attempts=3, first_wait=2.0),)

    def deliver(self, argument: dict[str, str]) -> None:
        """Send everything that is due to one destination (the job's step); then put the next look in line."""
        peer, started = argument["peer"], time.monotonic()
        while (errand := self._next(peer)) is not None:
            self._run(peer, errand)
            if time.monotonic() - started > SLICE_SECONDS:
                self._wake(peer, None)
                return
        self._ask(peer)
        with session_scope(self._engine) as session:
            moment = deliveries.next_moment(session, peer)
        if moment is not None and moment > self._clock():
            self._wake(peer, moment)

    def give_up(self, failure: Failure) -> None:
        """A job broke on something unforeseen: the rows wait on, the destination is spared for a while."""
        peer = failure.argument["peer"]
        with session_scope(self._engine) as session:
            circuits.note_failure(session, peer, failure.error, self._clock())
        log.error("deliveries stopped", extra={"peer": peer, "step": failure.step})

    def _next(self, name: str) -> _Errand | None:
        with session_scope(self._engine) as session:
            peer = session.scalar(select(Peer).where(Peer.name == name))
            if peer is not None and not peer.enabled:
                return None
            delivery = deliveries.next_due(session, name, self._clock())
            if delivery is None:
                return None
            delivery.attempts += 1
            if peer is None:
                deliveries.note_outcomes(
                    delivery, dict.fromkeys(_uids(delivery), f"there is no peer {name!r} any more")
                )
                deliveries.settle(session, delivery, self._clock())
                return _Errand(delivery.id, Remote("", "", 0), [])
            return _Errand(delivery.id, self._remote(peer), deliveries.remaining(delivery), peer.commits)

    def _run(self, peer: str, errand: _Errand) -> None:
        outcomes: dict[str, str] = {}
        paths = self._paths(errand.parcels, outcomes)
        trouble = ""
        if paths:
            try:
                results = send(
                    list(paths),
                    errand.remote,
                    calling_ae=self._calling_ae,
                    attempts=1,
                    timeout_seconds=ANSWER_SECONDS,
                    progress=self._progress(errand.number),
                )
                trouble = _trouble(results)
                outcomes |= {paths[result.path]: said for result in results if (said := _outcome(result))}
            except PeerUnreachable as error:
                trouble = str(error)
        self._settle(peer, errand, outcomes, trouble)

    def _settle(self, peer: str, errand: _Errand, outcomes: dict[str, str], trouble: str) -> None:
        at = self._clock()
        with session_scope(self._engine) as session:
            delivery = session.get_one(Delivery, errand.number, with_for_update=True)
            if delivery.state is not deliveries.DeliveryState.WAITING:
                return
            deliveries.note_outcomes(delivery, outcomes)
            if trouble:
                until = circuits.note_failure(session, peer, trouble, at)
            elif outcomes:
                circuits.note_success(session, peer, at)
            if not deliveries.remaining(delivery):
                deliveries.settle(session, delivery, at, commits=errand.commits)
            elif trouble:
                deliveries.postpone(delivery, until, trouble)
            said = delivery.state.value
        log.info(
            "delivery tried", extra={"delivery": errand.number, "peer": peer, "state": said, "why": trouble}
        )

    def _ask(self, name: str) -> None:
        """Have a destination commit to what it stored; its report comes to the listener."""
        asked: list[tuple[str, list[tuple[str, str]]]] = []
        with session_scope(self._engine) as session:
            peer = session.scalar(select(Peer).where(Peer.name == name))
            due = delivery_commitments.to_be_asked(session, name, self._clock())
            if peer is None or not peer.commits:
                for delivery in due:
                    delivery.transaction_uid = None  # it does not commit any more
                return
            if not peer.enabled:
                return
            remote = self._remote(peer)
            for delivery in due:
                uid = new_transaction_uid()
                # first the row: the report may be there before the answer
                delivery_commitments.note_asked(delivery, uid, self._clock())
                asked.append((uid, delivery_commitments.stored_references(delivery)))
        for uid, references in asked:
            try:
                request_commitment(remote, references, transaction_uid=uid, calling_ae=self._calling_ae)
            except (PeerUnreachable, NotTold) as error:
                log.warning("commitment not asked for", extra={"peer": name, "why": str(error)})
                return

    def _paths(self, parcels: list[Parcel], outcomes: dict[str, str]) -> dict[Path, str]:
        """The instances' UIDs by their files; what storage has lost is said so."""
        paths: dict[Path, str] = {}
        for parcel in parcels:
            try:
                paths[self._storage.path(parcel.storage_key)] = parcel.sop_instance_uid
            except NotStored as error:
                outcomes[parcel.sop_instance_uid] = str(error)
        return paths

    def _progress(self, number: int) -> Callable[[SendResult], None]:
        """Keeps what is sent of a long delivery every few seconds, so that a kill costs no more than that."""
        sent: dict[str, str] = {}
        last = time.monotonic()

        def progress(result: SendResult) -> None:
            nonlocal last
            if result.stored:
                sent[result.sop_instance_uid] = STORED
            if time.monotonic() - last < PROGRESS_SECONDS:
                return
            last = time.monotonic()
            with session_scope(self._engine) as session:
                deliveries.note_outcomes(session.get_one(Delivery, number, with_for_update=True), sent)

        return progress


def _outcome(result: SendResult) -> str:
    """What to write down; empty where it may go better another time."""
    if result.stored:
        return STORED
    if result.outcome is SendOutcome.LOST or _passing(result):
        return ""
    return result.text or result.outcome.value


def _passing(result: SendResult) -> bool:
    return result.status is not None and (result.status & 0xFF00 == 0xA700 or result.status in PASSING)


def _trouble(results: list[SendResult]) -> str:
    return next((r.text for r in results if r.outcome is SendOutcome.LOST or _passing(r)), "")


def _uids(delivery: Delivery) -> list[str]:
    return [item["sop_instance_uid"] for item in delivery.items]
