"""Events as they happen (server-sent events): what changed in studies, reviews, alerts, consults, referrals.

`Last-Event-ID` goes on after an event without loss. A connection ends with the session or token behind it,
and does not keep a session alive: a page that waits is nobody at work.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from service.accounts import Permission, Viewer, enter_by_token
from service.api.access import BEARER
from service.api.csrf import SESSION_COOKIE
from service.api.problems import responses
from service.blindness import blind_uids
from service.browser_sessions import enter_by_cookie
from service.db import session_scope
from service.errors import HubError, NotSignedIn, TooManyStreams
from service.event_feed import EventFeed
from service.events import Event

router = APIRouter(prefix="/api/v1/events", tags=["events"], responses=responses(401, 403, 429))

MOST_STREAMS: Final = 20
"""Of one account at a time in one process: tabs are forgotten open."""
CHECK_SECONDS: Final = 15.0
"""How long a stream may outlive the session or token behind it."""
RETRY_MS: Final = 3000


def enter_waiting(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Viewer:
    """The viewer who waits, by token or session; notes no use of either."""
    with session_scope(request.app.state.engine, write=False) as session:
        if credentials is not None:
            viewer, _ = enter_by_token(session, credentials.credentials)
        elif key := request.cookies.get(SESSION_COOKIE):
            idle = timedelta(minutes=request.app.state.settings.session_idle_minutes)
            viewer = enter_by_cookie(session, key, idle=idle).chosen()
        else:
            raise NotSignedIn("sign in, or send a token: Authorization: Bearer hub_...")
    return viewer.must(Permission.READ_STUDIES)


Waiting = Annotated[Viewer, Depends(enter_waiting)]


class EventStream(Response):
    """An answer that goes on: one loop and one ear for the reader's going, as hundreds wait at a time.

    The framework's own stream costs 58 KB of tasks and queues each, this one a third (`benchmarks.streams`).

    Args:
        feed: What happens.
        viewer: Who follows.
        after: The event that they saw last.
        ended: Whether they may follow no more; asked in a thread.
        blind: The Study Instance UIDs that they have still to read blind: of those nothing is told; likewise.
        streams: Of each account; given back at the end.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: EventFeed,
        viewer: Viewer,
        after: int | None,
        *,
        ended: Callable[[], bool],
        blind: Callable[[], frozenset[str]],
        streams: Counter[str],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed, self._viewer, self._after = feed, viewer, after
        self._ended, self._blind, self._streams = ended, blind, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader goes, may no more, or the hub ends."""
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send(send, f": following\nretry: {RETRY_MS}\n\n")
            await self._go_on(send, gone)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            give_back(self._streams, self._viewer)

    async def _go_on(self, send: Send, gone: "asyncio.Task[None]") -> None:
        checked = time.monotonic()
        blind = await run_in_threadpool(self._blind)
        async with aclosing(self._feed.follow(self._after)) as batches:
            async for batch in batches:
                if gone.done():
                    return
                if time.monotonic() - checked > CHECK_SECONDS:
                    if await run_in_threadpool(self._ended):
                        return
                    blind = await run_in_threadpool(self._blind)
                    checked = time.monotonic()
                    await _send(send, ": here\n\n")  # a proxy between would end a silent connection
                told = (each for each in batch if each.study not in blind and each.seen_by(self._viewer))
                if text := "".join(map(_line, told)):
                    await _send(send, text)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _line(event: Event) -> str:
    told = json.dumps(event.told(), ensure_ascii=False, separators=(",", ":"))
    return f"event: {event.kind}\ndata: {told}\nid: {event.number}\n\n"


def take_stream(streams: Counter[str], viewer: Viewer) -> None:
    """Count the stream of an account; in one step of the event loop, so that many at once are counted too.

    Raises:
        TooManyStreams: it has as many as it may have.
    """
    if streams[viewer.username] >= MOST_STREAMS:
        raise TooManyStreams(f"{MOST_STREAMS} connections wait for events already; close some")
    streams[viewer.username] += 1


def give_back(streams: Counter[str], viewer: Viewer) -> None:
    """The stream has ended."""
    streams[viewer.username] -= 1
    if streams[viewer.username] <= 0:
        del streams[viewer.username]


@router.get(
    "",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events, until either side ends it"}
    },
)
async def follow_events(
    request: Request,
    viewer: Waiting,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> Response:
    """Follow what changes: `event` is the kind (study, review, report, alert, consult, referral, delivery),
    `data` has `what` became of it, the Study Instance UID and ids; no patient is ever in it."""
    streams: Counter[str] = request.app.state.streams
    take_stream(streams, viewer)
    return EventStream(
        request.app.state.events,
        viewer,
        last_event_id,
        ended=partial(_ended, request, credentials, viewer),
        blind=partial(_blind, request, viewer),
        streams=streams,
    )


def _ended(request: Request, credentials: HTTPAuthorizationCredentials | None, viewer: Viewer) -> bool:
    """Whether who follows may no longer, or not as who they were."""
    try:
        return enter_waiting(request, credentials) != viewer
    except HubError:
        return True


def _blind(request: Request, viewer: Viewer) -> frozenset[str]:
    with session_scope(request.app.state.engine, write=False) as session:
        return blind_uids(session, viewer)
