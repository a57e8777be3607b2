"""What every route starts with: one session per request, and who is asking."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer, enter_by_token, note_use
from service.db import session_scope
from service.errors import NotAllowed, NotSignedIn

BEARER = HTTPBearer(auto_error=False, description="A token from `hub account token`.")


def open_session(request: Request) -> Iterator[Session]:
    """The request's session; committed before the answer is sent, so that an answer is never untrue."""
    with session_scope(request.app.state.engine) as session:
        yield session


Work = Annotated[Session, Depends(open_session, scope="function")]


def enter(
    request: Request,
    session: Work,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
) -> Viewer:
    """The viewer whose token came with the request; looked up without the write lock."""
    if credentials is None:
        raise NotSignedIn("send a token: Authorization: Bearer hub_...")
    with session_scope(request.app.state.engine, write=False) as reading:
        viewer = enter_by_token(reading, credentials.credentials)
    note_use(session, credentials.credentials)
    return viewer


def needs(permission: Permission) -> Any:
    """The dependency that lets in only viewers with `permission`."""

    def check(viewer: Annotated[Viewer, Depends(enter, scope="function")]) -> Viewer:
        if not viewer.may(permission):
            raise NotAllowed(f"the role {viewer.role.value!r} does not include {permission.value!r}")
        return viewer

    return Depends(check, scope="function")


SignedIn = Annotated[Viewer, Depends(enter, scope="function")]
Reader = Annotated[Viewer, needs(Permission.READ_STUDIES)]
Reviewer = Annotated[Viewer, needs(Permission.REVIEW)]
Reprocessor = Annotated[Viewer, needs(Permission.REPROCESS)]
ReceiptReader = Annotated[Viewer, needs(Permission.READ_RECEIPTS)]
Administrator = Annotated[Viewer, needs(Permission.ADMINISTER)]

Enqueue = Callable[[int, int], object]
"""Puts a study's number and revision on the queue."""
