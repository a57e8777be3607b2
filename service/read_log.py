"""The read log: accesses that change nothing, written to the audit in groups before any of them is answered.

Each access needs its row on disk before its answer leaves. A row alone costs a transaction and an fsync, and
on SQLite the one write lock; so whoever gets to write first writes for everybody who waits, as the inbox's
index does: one transaction for many under load, no hand-over to another thread without it.
"""

import threading
from collections import deque

from sqlalchemy import Engine

from service import audit
from service.db import connection_scope


class _Waiting:
    """One access on its way to the disk."""

    def __init__(self, act: audit.Act) -> None:
        self.act = act
        self.done = False
        self.error: BaseException | None = None


class ReadLog:
    """Of one process, for any number of threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self.taken = 0
        """How many accesses the last group holds."""

    @property
    def waiting(self) -> int:
        """How many accesses wait for the present group to be written."""
        return len(self._waiting)

    def note(
        self, actor: str, action: str, *, study_id: int | None = None, detail: audit.Detail | None = None
    ) -> None:
        """Return once the access is in the audit, on disk.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it is not; nothing may be answered.
        """
        waiting = _Waiting(audit.Act(actor, action, study_id, detail or {}))
        self._waiting.append(waiting)
        with self._writing:
            if not waiting.done:
                self._write()
        if waiting.error is not None:
            raise waiting.error

    def _write(self) -> None:
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self.taken = len(group)
        try:
            with connection_scope(self._engine) as connection:
                audit.append(connection, [waiting.act for waiting in group])
        except BaseException as error:
            for waiting in group:
                waiting.error = error
        finally:
            for waiting in group:
                waiting.done = True
