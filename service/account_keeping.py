"""What administrators do to accounts, each deed in the audit: add, close, passwords, tokens, hospitals."""

from sqlalchemy.orm import Session

from service import audit
from service.account_hospitals import grant_hospital, withdraw_hospital
from service.accounts import (
    Account,
    Viewer,
    add_account,
    issue_token,
    list_tokens,
    revoke_token,
    set_password,
)
from service.browser_sessions import end_sessions_of
from service.errors import BadRequest
from service.identities import link_identity, unlink_identities
from service.roles import Role


def open_account(
    session: Session, viewer: Viewer, username: str, role: Role, *, hcode: str | None, password: str | None
) -> Account:
    """Add an account; `add_account` says what it refuses."""
    account = add_account(session, username, role, hcode=hcode, password=password)
    _note(session, viewer, "account.add", account, role=role.value, hospital=hcode)
    return account


def close_account(session: Session, viewer: Viewer, account: Account) -> None:
    """Nobody enters with it any more: passwords, tokens and browser sessions end at once.

    Raises:
        BadRequest: it is the viewer's own, and nobody might be left to open it again.
    """
    if account.username == viewer.username:
        raise BadRequest("you cannot close your own account")
    if not account.active:
        return
    account.active = False
    session.flush()
    end_sessions_of(session, account.id)
    for token in list_tokens(session, account):
        if token.revoked_at is None:
            revoke_token(session, account, token.id)
    _note(session, viewer, "account.close", account)


def reopen_account(session: Session, viewer: Viewer, account: Account) -> None:
    """Let it enter by its password again; tokens stay revoked."""
    if not account.active:
        account.active = True
        session.flush()
        _note(session, viewer, "account.reopen", account)


def replace_password(session: Session, viewer: Viewer, account: Account, password: str) -> None:
    """Give it another password and end its browser sessions: whoever knew the old one is out.

    Raises:
        BadRequest: it is too short.
    """
    set_password(account, password)
    session.flush()
    end_sessions_of(session, account.id)
    _note(session, viewer, "account.password", account)


def add_token(session: Session, viewer: Viewer, account: Account, *, label: str, days: int) -> str:
    """A machine's key, which cannot be shown again."""
    if not account.active:
        raise BadRequest(f"the account {account.username!r} is closed")
    key = issue_token(session, account, label=label, days=days)
    _note(session, viewer, "token.issue", account)
    return key


def end_token(session: Session, viewer: Viewer, account: Account, token_id: int) -> None:
    """End one."""
    revoke_token(session, account, token_id)
    _note(session, viewer, "token.revoke", account, token=token_id)


def add_hospital(session: Session, viewer: Viewer, account: Account, hcode: str) -> None:
    """Let the person choose a further hospital."""
    grant_hospital(session, account, hcode)
    _note(session, viewer, "account.hospital_added", account, hospital=hcode)


def end_hospital(session: Session, viewer: Viewer, account: Account, hcode: str) -> None:
    """No longer."""
    withdraw_hospital(session, account, hcode)
    _note(session, viewer, "account.hospital_ended", account, hospital=hcode)


def link_person(session: Session, viewer: Viewer, account: Account, code: str) -> None:
    """Let whom an identity provider knows use the account; by the code that the sign-in page gave them."""
    link_identity(session, account, code, viewer.username)


def unlink_person(session: Session, viewer: Viewer, account: Account) -> None:
    """Take every identity provider's door away."""
    unlink_identities(session, account, viewer.username)


def _note(session: Session, viewer: Viewer, action: str, account: Account, **more: int | str | None) -> None:
    audit.record(session, viewer.username, action, detail={"account": account.id, **more})
