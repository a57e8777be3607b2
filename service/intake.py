"""The loop from the inbox into the hub: a study is shown while it arrives and admitted once complete."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from pacs_gateway.arrivals import ArrivedStudy, StudyProgress
from pacs_gateway.inbox import Inbox
from pacs_gateway.trials import KEPT, purge_trials
from service import pathway, studies
from service.db import session_scope
from service.locks import alone
from service.orders import Orders
from service.states import StudyState
from service.storage import Storage

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
DISCARD_AFTER = timedelta(hours=1)
"""Inbox files of a study that storage holds are the same file by another name; they need not go at once."""
ORDER_AGAIN_AFTER = timedelta(minutes=1)
SWEEP_EVERY = timedelta(minutes=1)


class Intake:
    """Admits complete studies and queues their analysis.

    Admit, queue, hand over, in this order, each repeatable: a crash between two of them is made good by the
    next round. One process at a time holds the lock; the others wait to take over.
    """

    def __init__(
        self,
        engine: Engine,
        storage: Storage,
        inbox: Inbox,
        orders: Orders,
        lock: Path,
        *,
        count: Callable[[Sequence[StudyProgress]], None] | None = None,
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._inbox = inbox
        self._orders = orders
        self._lock = lock
        self._count = count
        self._swept_at = datetime.min.replace(tzinfo=UTC)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a round that fails is logged and tried again."""
        with alone(self._lock, stop) as mine:
            while mine and not stop.is_set():
                try:
                    self.round(datetime.now(UTC))
                except Exception:  # one round must not end the intake; the next tries again
                    log.exception("intake round failed")
                    stop.wait(1.0)
                stop.wait(POLL_SECONDS)

    def round(self, now: datetime) -> int:
        """One look at the inbox.

        Returns:
            How many studies were admitted.

        Raises:
            Exception: what kept a study from being admitted, after all others were.
        """
        self._show_receiving(now)
        ready = self._inbox.ready_studies(now)
        errors = []
        for arrived in ready:
            try:
                self._take(arrived)
            except Exception as error:  # its neighbours go on; it is tried again in the next round
                extra = {"study": arrived.study_instance_uid}
                log.error("a study was not admitted", exc_info=error, extra=extra)
                errors.append(error)
        if now - self._swept_at >= SWEEP_EVERY:
            self._sweep(now)
            self._swept_at = now
        if errors:
            raise errors[0]
        return len(ready)

    def _sweep(self, now: datetime) -> None:
        """Let the inbox go of what storage holds, and order again what waits without an order.

        A request to analyse again commits first and orders then; where the order failed, this makes it good.
        """
        self._inbox.discard_taken(before=now - DISCARD_AFTER)
        purge_trials(self._inbox.root, before=now - KEPT)
        with session_scope(self._engine, write=False) as session:
            waiting = studies.waiting_since(session, now - ORDER_AGAIN_AFTER)
        for study in waiting:
            self._orders.analyse(study.id, study.revision)

    def _take(self, arrived: ArrivedStudy) -> None:
        study = pathway.admit(arrived, self._engine, self._storage)
        if study.state in (StudyState.READY, StudyState.ANALYSING):
            self._orders.analyse(study.id, study.revision)
        self._inbox.hand_over(arrived.study_instance_uid, arrived.digest)
        extra = {"study": study.id, "revision": study.revision, "why": arrived.completion.text}
        log.info("study admitted", extra=extra)

    def _show_receiving(self, now: datetime) -> None:
        arriving = self._inbox.receiving(now)
        if arriving:
            with session_scope(self._engine) as session:
                for progress in arriving:
                    studies.note_receiving(session, progress)
            if self._count is not None:
                self._count(arriving)
