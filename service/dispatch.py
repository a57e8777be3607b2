"""Dispatch: sees to it that whatever is due to leave has a job, and ends what has waited too long."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from service import deliveries
from service.db import now, session_scope
from service.orders import Orders

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0


class Dispatch:
    """Makes good what a lost wake-up call would leave lying; any number of processes may run it."""

    def __init__(self, engine: Engine, orders: Orders, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._orders = orders
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a round that fails is logged and tried again."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.round()
            except Exception:
                log.exception("dispatch round failed")

    def round(self) -> list[str]:
        """One look; returns the destinations for which a job was put in line."""
        at = self._clock()
        with session_scope(self._engine, write=False) as session:
            late = deliveries.any_late(session, at)
            peers = deliveries.peers_due(session, at)
        if late:
            with session_scope(self._engine) as session:
                deliveries.expire_old(session, at)
        for peer in peers:
            self._orders.sweep(peer, at)
        return peers
