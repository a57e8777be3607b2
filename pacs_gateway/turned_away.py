"""Receipts of associations that were never opened, so that whoever called in vain can see why."""

from collections.abc import Callable
from sqlite3 import Connection

from pacs_gateway import records
from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.index import Index

APART_SECONDS = 60.0
REMEMBERED = 1000


class TurnedAway:
    """Notes each kind of refusal once a minute: a port scanner must not fill the index."""

    def __init__(self, index: Index, owner: str, clock: Callable[[], float]) -> None:
        self._index = index
        self._owner = owner
        self._clock = clock
        self._noted_at: dict[tuple[str, str, str], float] = {}

    def note(self, sender: Sender, detail: str) -> None:
        """Write the receipt.

        Args:
            sender: what is known of the caller.
            detail: why, in words for its administrator.
        """
        now, what = self._clock(), (sender.calling_ae, sender.address, detail)
        if now - self._noted_at.get(what, 0.0) < APART_SECONDS:
            return
        if len(self._noted_at) >= REMEMBERED:
            self._noted_at.clear()
        self._noted_at[what] = now

        def record(db: Connection) -> None:
            number = records.open_association(db, self._owner, sender, now)
            records.close_association(db, number, Ending.REFUSED, now, detail)

        self._index.write(record)
