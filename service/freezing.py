"""Freezing: a worker carries out what people order of data sets, and tells how far it is."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from pacs_gateway.pseudonyms import Key
from service.accounts import Role, Viewer
from service.data_set_orders import OrderKind, begin_order, end_order, note_progress
from service.data_sets import find_data_set, freeze_cases
from service.db import session_scope
from service.errors import HubError
from service.failures import Failure
from service.steps import Argument, Permanent, Step
from service.storage import Storage

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 12 * 3600.0
TOLD_EVERY: Final = 10
"""Studies between two notes of how far it is."""


class Freezing:
    """Carries out orders.

    Args:
        engine: The rows.
        storage: Where studies' files are.
        key: Opens the secret behind the pseudonyms.
        place: The folder of all data sets; made where it is missing.
    """

    def __init__(self, engine: Engine, storage: Storage, key: Callable[[], Key], place: Path) -> None:
        self._engine = engine
        self._storage = storage
        self._key = key
        self._place = place

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `FREEZE`."""
        return (Step(self.carry_out, attempts=3, first_wait=10.0, timeout=TIMEOUT_S),)

    def give_up(self, failure: Failure) -> None:
        """Say on the order why it could not be carried out."""
        with session_scope(self._engine) as session:
            end_order(session, failure.argument["order"], error=failure.error)

    def carry_out(self, argument: Argument) -> None:
        """One order; done again after a crash it takes up what the last try froze."""
        number = argument["order"]
        with session_scope(self._engine) as session:
            begun = begin_order(session, number)
        if begun is None:
            return
        known = begun.data_set
        if begun.kind is OrderKind.FREEZE and known is None:
            self._place.mkdir(parents=True, exist_ok=True)
            try:
                made = freeze_cases(
                    self._engine,
                    Viewer(begun.ordered_by, Role.ML, None),
                    self._storage,
                    self._key(),
                    self._place,
                    begun.name,
                    begun.shares,
                    licence=begun.licence,
                    simulated=begun.simulated,
                    told=lambda done, total: self._tell(number, done, total),
                )
            except HubError as refusal:
                raise Permanent(refusal.message) from None
            known = made.id
        elif begun.kind is OrderKind.OBJECTS and known is not None:
            self._write_objects(number, known)
        with session_scope(self._engine) as session:
            end_order(session, number, data_set=known)
        log.info("data set made", extra={"order": number, "data_set": known})

    def _write_objects(self, number: int, data_set: int) -> None:
        # not at the top: highdicom is slow to import, and most orders need none of it
        from service.data_set_objects import write_objects

        with session_scope(self._engine, write=False) as session:
            found = find_data_set(session, data_set)
            folder, at = Path(found.folder), found.at
        write_objects(folder, at=at, told=lambda done, total: self._tell(number, done, total))

    def _tell(self, number: int, done: int, total: int) -> None:
        if done % TOLD_EVERY == 0 or done == total:
            with session_scope(self._engine) as session:
                note_progress(session, number, done, total)
