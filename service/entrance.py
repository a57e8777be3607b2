"""The entrance: a person proves who they are and gets a session; every try is limited and audited.

The audit's numbers are DICOM's (PS3.15 A.5, DCM): 110114 user authentication, 110122 login, 110123 logout.
"""

from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import audit
from service.accounts import Account, set_password, sign_in
from service.browser_sessions import Entry, end_session, end_sessions_of, start_session
from service.db import session_scope
from service.errors import NotSignedIn, TooManyAttempts
from service.sign_in_attempts import begin_attempt, note_success

USER_AUTHENTICATION, LOGIN, LOGOUT = 110114, 110122, 110123
SUCCESS, MINOR_FAILURE = 0, 4
"""EventOutcomeIndicator of the audit message (RFC 3881)."""

UNKNOWN = "unknown"
"""Who the audit names where nobody has proved anything: what was typed may be a password."""


def enter_by_password(
    engine: Engine, username: str, password: str, *, address: str, lifetime: timedelta
) -> str:
    """Check name and password; the key of a new session. No lock is held while the password is hashed.

    Raises:
        NotSignedIn: name or password is wrong, or the account was closed; which is not told.
        TooManyAttempts: too many have failed of late.
    """
    try:
        with session_scope(engine) as session:
            begin_attempt(session, username, address)
        with session_scope(engine, write=False) as session:
            account = sign_in(session, username, password)
    except (NotSignedIn, TooManyAttempts) as refusal:
        reason = "locked" if isinstance(refusal, TooManyAttempts) else "wrong"
        with session_scope(engine) as session:
            _note(session, UNKNOWN, LOGIN, MINOR_FAILURE, method="password", address=address, reason=reason)
        raise
    with session_scope(engine) as session:
        note_success(session, username, address)
        return let_in(session, account, method="password", address=address, lifetime=lifetime)


def let_in(session: Session, account: Account, *, method: str, address: str, lifetime: timedelta) -> str:
    """Begin the session of a person who has proved who they are; its key."""
    key = start_session(session, account, method=method, lifetime=lifetime)
    _note(session, account.username, LOGIN, SUCCESS, method=method, address=address)
    return key


def note_turned_away(session: Session, *, method: str, address: str, reason: str) -> None:
    """Put into the audit that somebody was not let in."""
    _note(session, UNKNOWN, LOGIN, MINOR_FAILURE, method=method, address=address, reason=reason)


def leave(session: Session, entry: Entry, *, everywhere: bool = False) -> None:
    """Sign out, here or everywhere."""
    if everywhere:
        end_sessions_of(session, entry.account_id)
    else:
        end_session(session, entry.session_id)
    _note(session, entry.username, LOGOUT, SUCCESS, reason="everywhere" if everywhere else "here")


def change_password(engine: Engine, entry: Entry, old: str, new: str, *, address: str) -> None:
    """Give the account another password, and end its sessions elsewhere; the old one proves who sits there.

    Raises:
        BadRequest: the new one is too short.
        NotSignedIn: the old one is wrong.
        TooManyAttempts: it was wrong too often of late.
    """
    with session_scope(engine) as session:
        begin_attempt(session, entry.username, address)
    with session_scope(engine, write=False) as session:
        sign_in(session, entry.username, old)
    with session_scope(engine) as session:
        note_success(session, entry.username, address)
        account = session.get(Account, entry.account_id)
        assert account is not None, "a session has an account"
        set_password(account, new)
        end_sessions_of(session, entry.account_id, but=entry.session_id)
        audit.record(session, entry.username, "account.password", detail={"account": account.id})


def _note(session: Session, actor: str, kind: int, outcome: int, **more: str) -> None:
    word = "session.login" if kind == LOGIN else "session.logout"
    detail: audit.Detail = {"event": USER_AUTHENTICATION, "type": kind, "outcome": outcome, **more}
    audit.record(session, actor, word, detail=detail)
