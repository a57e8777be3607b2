"""What every route starts with: its session, and who is asking.

A route that changes something works in one writing session. A route that only reads does so without SQLite's
write lock, which is then held for the one audit row and no longer: readers do not queue behind each other.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from service import audit
from service.accounts import Permission, Viewer, enter_by_token, note_use
from service.api.csrf import SESSION_COOKIE, SentMark, check_mark
from service.browser_sessions import Entry, enter_by_cookie, note_seen
from service.channels.fence import Fence, read_fence
from service.db import session_scope
from service.errors import NotSignedIn

BEARER = HTTPBearer(auto_error=False, description="A token from `hub account token`.")


def open_session(request: Request) -> Iterator[Session]:
    """The request's session; committed before the answer is sent, so that an answer is never untrue."""
    with session_scope(request.app.state.engine) as session:
        yield session


async def open_reading(request: Request) -> AsyncIterator[Session]:
    """The session of a request that only reads. Opening one asks nothing of anybody and needs no thread."""
    with session_scope(request.app.state.engine, write=False) as session:
        try:
            yield session
        finally:
            if session.in_transaction():
                await run_in_threadpool(session.close)


Number = Annotated[int, Path(ge=1, le=2**53)]
"""Of a row, in a path: what the database can hold, and JSON too."""
Work = Annotated[Session, Depends(open_session, scope="function")]
Look = Annotated[Session, Depends(open_reading, scope="function")]


def note_read(
    request: Request,
    session: Session,
    viewer: Viewer,
    action: str,
    *,
    study_id: int | None = None,
    detail: audit.Detail | None = None,
) -> None:
    """End the reading and put it in the audit, before the answer leaves; call it last."""
    session.close()  # gives its connection back, so that no request ever waits while it holds one
    request.app.state.reads.note(viewer.username, action, study_id=study_id, detail=detail)


def enter_browser(request: Request, mark: SentMark) -> Entry:
    """The browser session whose cookie came with the request; what changes something needs the form's mark.

    A page that keeps itself up to date sends `X-Hub-Unattended`: nobody is at work, so it keeps no session
    alive.
    """
    key = request.cookies.get(SESSION_COOKIE)
    if not key:
        raise NotSignedIn("sign in, or send a token: Authorization: Bearer hub_...")
    check_mark(request, mark)
    idle = timedelta(minutes=request.app.state.settings.session_idle_minutes)
    with session_scope(request.app.state.engine, write=False) as session:
        entry = enter_by_cookie(session, key, idle=idle)
    if entry.seen_is_due and "x-hub-unattended" not in request.headers:
        with session_scope(request.app.state.engine) as session:
            note_seen(session, entry.session_id)
    request.state.entry = entry
    return entry


def enter(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    mark: SentMark,
) -> Viewer:
    """The viewer whose token or browser session came with the request; looked up without the write lock."""
    if credentials is None:
        return enter_browser(request, mark).chosen()
    with session_scope(request.app.state.engine, write=False) as session:
        viewer, use_is_due = enter_by_token(session, credentials.credentials)
    if use_is_due:
        with session_scope(request.app.state.engine) as session:
            note_use(session, credentials.credentials)
    return viewer


def needs(permission: Permission) -> Any:
    """The dependency that lets in only viewers with `permission`."""

    async def check(viewer: Annotated[Viewer, Depends(enter, scope="function")]) -> Viewer:
        return viewer.must(permission)  # not worth a thread

    check.permission = permission  # type: ignore[attr-defined]  # for the routes that ask for it themselves
    return Depends(check, scope="function")


SignedIn = Annotated[Viewer, Depends(enter, scope="function")]
Browser = Annotated[Entry, Depends(enter_browser, scope="function")]
Reader = Annotated[Viewer, needs(Permission.READ_STUDIES)]
Reviewer = Annotated[Viewer, needs(Permission.REVIEW)]
Reprocessor = Annotated[Viewer, needs(Permission.REPROCESS)]
Consulter = Annotated[Viewer, needs(Permission.ASK)]
Adviser = Annotated[Viewer, needs(Permission.ADVISE)]
OnCall = Annotated[Viewer, needs(Permission.ON_CALL)]
Referrer = Annotated[Viewer, needs(Permission.REFER)]
Receiver = Annotated[Viewer, needs(Permission.RECEIVE)]
Settler = Annotated[Viewer, needs(Permission.SETTLE)]
Offerer = Annotated[Viewer, needs(Permission.ADMIT_CASES)]
LabelReader = Annotated[Viewer, needs(Permission.LABEL)]
Curator = Annotated[Viewer, needs(Permission.CURATE)]
ModelKeeper = Annotated[Viewer, needs(Permission.MODELS)]
IdentityReader = Annotated[Viewer, needs(Permission.READ_IDENTITY)]
ReceiptReader = Annotated[Viewer, needs(Permission.READ_RECEIPTS)]
StudySender = Annotated[Viewer, needs(Permission.SEND_STUDIES)]
Bringer = Annotated[Viewer, needs(Permission.BRING)]
Administrator = Annotated[Viewer, needs(Permission.ADMINISTER)]


def fence(request: Request) -> Fence:
    """Which addresses receivers of subscriptions may have."""
    return read_fence(request.app.state.settings.subscription_networks)


Fenced = Annotated[Fence, Depends(fence, scope="function")]

Enqueue = Callable[[int, int], object]
"""Puts a study's number and revision on the queue."""
