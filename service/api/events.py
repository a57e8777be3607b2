"""Events as they happen (server-sent events): what changed in studies, reviews, alerts, consults, referrals.

`Last-Event-ID` goes on after an event without loss. A connection ends with the session or token behind it,
and does not keep a session alive: a page that waits is nobody at work.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.accounts import Permission, Viewer, enter_by_token
from service.api.access import BEARER
from service.api.csrf import SESSION_COOKIE
from service.api.problems import responses
from service.browser_sessions import enter_by_cookie
from service.db import session_scope
from service.errors import HubError, NotSignedIn, TooManyStreams
from service.event_feed import EventFeed

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


async def take_stream(request: Request, viewer: Waiting) -> AsyncIterator[Viewer]:
    """Count the stream of an account while it lasts.

    Looks and counts in one step of the event loop: many that are opened together are counted one by one.

    Raises:
        TooManyStreams: it has as many as it may have.
    """
    streams: Counter[str] = request.app.state.streams
    if streams[viewer.username] >= MOST_STREAMS:
        raise TooManyStreams(f"{MOST_STREAMS} connections wait for events already; close some")
    streams[viewer.username] += 1
    try:
        yield viewer
    finally:
        streams[viewer.username] -= 1
        if not streams[viewer.username]:
            del streams[viewer.username]


@router.get("", response_class=EventSourceResponse)
async def follow_events(
    request: Request,
    viewer: Annotated[Viewer, Depends(take_stream)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Follow what changes: `event` is the kind (study, review, report, alert, consult, referral, delivery),
    `data` has `what` became of it, the Study Instance UID and ids; no patient is ever in it."""
    feed: EventFeed = request.app.state.events
    yield ServerSentEvent(comment="following", retry=RETRY_MS)
    checked = time.monotonic()
    async for batch in feed.follow(last_event_id):
        if time.monotonic() - checked > CHECK_SECONDS:
            if await run_in_threadpool(_ended, request, credentials, viewer):
                return
            checked = time.monotonic()
        for event in batch:
            if event.seen_by(viewer):
                yield ServerSentEvent(data=event.told(), event=event.kind, id=str(event.number))


def _ended(request: Request, credentials: HTTPAuthorizationCredentials | None, viewer: Viewer) -> bool:
    """Whether who follows may no longer, or not as who they were."""
    try:
        return enter_waiting(request, credentials) != viewer
    except HubError:
        return True
