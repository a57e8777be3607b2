"""The feed of events: one look at the audit log a second for a whole process, however many follow it."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from service.db import session_scope
from service.events import Event, events_after, head_of

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
T = TypeVar("T")
KEPT: Final = 500
"""Events kept in memory; who is further behind reads them from the log."""
BATCH: Final = 1000
"""Entries of the log that are read at once."""


class EventFeed:
    """Hands new events to everybody who follows; looks only while somebody does.

    Args:
        engine: The rows.
        seconds: Between two looks.
    """

    def __init__(self, engine: Engine, *, seconds: float = LOOK_SECONDS) -> None:
        self._engine, self._seconds = engine, seconds
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._oldest = self._head = 0
        """All events after `_oldest` and up to `_head` are kept."""
        self.followers = 0
        """How many follow now."""
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._moved = asyncio.Condition()

    async def follow(self, after: int | None) -> AsyncGenerator[Sequence[Event], None]:
        """The events after a number (from now on, when None); an empty batch about once a look."""
        self.followers += 1
        try:
            async with self._starting:
                if self._task is None or self._task.done():
                    self._head = self._oldest = await self._read(head_of)
                    self._kept.clear()
                    self._task = asyncio.create_task(self._look())
            position = self._head if after is None else min(after, self._head)
            while True:
                batch, position = await self._take(position)
                yield batch
                if position >= self._head:
                    await self._wait()
        finally:
            self.followers -= 1

    async def _take(self, position: int) -> tuple[Sequence[Event], int]:
        if position >= self._oldest:
            return [each for each in self._kept if each.number > position], max(position, self._head)
        return await self._read(lambda session: events_after(session, position, limit=BATCH))

    async def _wait(self) -> None:
        async with self._moved:
            await self._moved.wait()

    async def _look(self) -> None:
        """Look while anybody follows; a database that is away is asked again."""
        while self.followers:
            await asyncio.sleep(self._seconds)
            try:
                await self._advance()
            except SQLAlchemyError:
                log.warning("events wait for the database", exc_info=True)
            async with self._moved:
                self._moved.notify_all()

    async def _advance(self) -> None:
        head = await self._read(head_of)
        while self._head < head:
            position = self._head
            events, position = await self._read(
                lambda session, start=position: events_after(session, start, limit=BATCH)
            )
            for each in events:
                if len(self._kept) == KEPT:
                    self._oldest = self._kept[0].number
                self._kept.append(each)
            self._head = position

    async def _read(self, read: Callable[..., T]) -> T:
        def reading() -> T:
            with session_scope(self._engine, write=False) as session:
                return read(session)

        return await run_in_threadpool(reading)
