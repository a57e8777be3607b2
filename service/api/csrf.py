"""The mark in every form that only this hub can have put there, so that another site cannot send one.

The mark follows from a cookie that other sites can neither read nor set: the session's, or before signing in
a random one. Forms send it as `csrf_token`, scripts as the header `X-CSRF-Token`. Machines with a bearer
token need none, because a browser never adds that by itself.
"""

import hashlib
import hmac
import secrets
from typing import Annotated

from fastapi import Depends, Request

from service.errors import Forged

SESSION_COOKIE = "hub_session"
FORM_COOKIE = "hub_form"
HEADER, FIELD = "X-CSRF-Token", "csrf_token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def sent_mark(request: Request) -> str:
    """The mark that came with the request; empty where none did."""
    if request.method in SAFE or HEADER in request.headers:
        return request.headers.get(HEADER, "")
    if not request.headers.get("content-type", "").startswith(FORMS):
        return ""
    field = (await request.form()).get(FIELD)
    return field if isinstance(field, str) else ""


SentMark = Annotated[str, Depends(sent_mark)]


def mark_of(request: Request) -> tuple[str, str | None]:
    """The mark for this browser's forms, and the form cookie to set where it has no cookie yet."""
    key = request.cookies.get(SESSION_COOKIE) or request.cookies.get(FORM_COOKIE)
    fresh = None if key else secrets.token_urlsafe(32)
    return _mark(key or fresh or ""), fresh


def check_mark(request: Request, mark: str) -> None:
    """Refuse a change that a browser was made to send by another site.

    Raises:
        Forged: the mark is missing or is not this browser's.
    """
    if request.method in SAFE:
        return
    keys = [request.cookies.get(name, "") for name in (SESSION_COOKIE, FORM_COOKIE)]
    if not any(key and hmac.compare_digest(_mark(key).encode(), mark.encode()) for key in keys):
        raise Forged("the form has expired or did not come from this hub; load the page and try again")


def checked(request: Request, mark: SentMark) -> None:
    """The dependency of forms that people send before they have signed in."""
    check_mark(request, mark)


OwnForm = Depends(checked)


def _mark(key: str) -> str:
    return hmac.new(key.encode(), b"csrf", hashlib.sha256).hexdigest()
