"""The administrators' page of accounts: who may enter, for which hospital, by what."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from sqlalchemy.orm import Session

from service import account_keeping as keeping
from service.account_hospitals import hospitals_of
from service.accounts import Account, find_account, list_accounts, list_tokens
from service.api.access import Administrator, Look, Work, note_read
from service.browser_sessions import open_sessions_of
from service.db import now
from service.hospitals import hospital_names
from service.identities import identities_of
from service.roles import Role
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(prefix="/console/accounts", include_in_schema=False)

Name = Annotated[str, Path(max_length=100)]
Code = Annotated[str, Form(max_length=5)]


@router.get("")
def show_accounts(
    request: Request,
    viewer: Administrator,
    session: Look,
    find: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Every account, or those whose name or hospital holds what is looked for."""
    return _list(request, session, viewer, find=find.strip())


@router.post("")
def add(
    request: Request,
    viewer: Administrator,
    session: Work,
    username: Annotated[str, Form(max_length=100)],
    role: Annotated[Role, Form()],
    hospital: Code = "",
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Add one; without a password only tokens or an identity provider open the door."""
    keeping.open_account(
        session, viewer, username.strip(), role, hcode=hospital or None, password=password or None
    )
    return see_other(request, f"/console/accounts/{username.strip()}", flash="account_added")


@router.get("/{username}")
def show_account(username: Name, request: Request, viewer: Administrator, session: Look) -> Response:
    """One account: sessions, tokens, hospitals, providers."""
    return _show(request, session, viewer, find_account(session, username))


@router.post("/{username}/close")
def close(username: Name, request: Request, viewer: Administrator, session: Work) -> Response:
    """Nobody enters with it any more."""
    keeping.close_account(session, viewer, find_account(session, username))
    return see_other(request, f"/console/accounts/{username}", flash="account_closed")


@router.post("/{username}/reopen")
def reopen(username: Name, request: Request, viewer: Administrator, session: Work) -> Response:
    """It may enter again."""
    keeping.reopen_account(session, viewer, find_account(session, username))
    return see_other(request, f"/console/accounts/{username}", flash="account_reopened")


@router.post("/{username}/password")
def password(
    username: Name,
    request: Request,
    viewer: Administrator,
    session: Work,
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Give it another password."""
    keeping.replace_password(session, viewer, find_account(session, username), password)
    return see_other(request, f"/console/accounts/{username}", flash="account_password")


@router.post("/{username}/tokens")
def add_token(
    username: Name,
    request: Request,
    viewer: Administrator,
    session: Work,
    label: Annotated[str, Form(max_length=100)] = "",
    days: Annotated[int, Form(ge=1, le=3650)] = 365,
) -> Response:
    """Make a machine's key; it is shown on the answer, once, and never in an address or a cookie."""
    account = find_account(session, username)
    key = keeping.add_token(session, viewer, account, label=label, days=days)
    return _show(request, session, viewer, account, key=key)


@router.post("/{username}/tokens/{number}/end")
def end_token(
    username: Name, number: int, request: Request, viewer: Administrator, session: Work
) -> Response:
    """End a machine's key."""
    keeping.end_token(session, viewer, find_account(session, username), number)
    return see_other(request, f"/console/accounts/{username}", flash="token_ended")


@router.post("/{username}/hospitals")
def add_hospital(
    username: Name, request: Request, viewer: Administrator, session: Work, hospital: Code = ""
) -> Response:
    """Let the person choose a further hospital."""
    keeping.add_hospital(session, viewer, find_account(session, username), hospital)
    return see_other(request, f"/console/accounts/{username}", flash="account_hospitals")


@router.post("/{username}/hospitals/{hcode}/end")
def end_hospital(
    username: Name, hcode: str, request: Request, viewer: Administrator, session: Work
) -> Response:
    """No longer."""
    keeping.end_hospital(session, viewer, find_account(session, username), hcode)
    return see_other(request, f"/console/accounts/{username}", flash="account_hospitals")


@router.post("/{username}/link")
def link(
    username: Name,
    request: Request,
    viewer: Administrator,
    session: Work,
    code: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Let whom an identity provider knows use the account."""
    keeping.link_person(session, viewer, find_account(session, username), code)
    return see_other(request, f"/console/accounts/{username}", flash="account_linked")


@router.post("/{username}/unlink")
def unlink(username: Name, request: Request, viewer: Administrator, session: Work) -> Response:
    """Take the providers' doors away."""
    keeping.unlink_person(session, viewer, find_account(session, username))
    return see_other(request, f"/console/accounts/{username}", flash="account_unlinked")


def _list(request: Request, session: Session, viewer: Administrator, *, find: str) -> Response:
    names = _names(request, session)
    wanted = find.lower()
    shown = [
        each
        for each in list_accounts(session)
        if wanted in f"{each.username} {each.hcode or ''} {names.get(each.hcode or '', '')}".lower()
    ]
    note_read(request, session, viewer, "account.list")
    return render(request, "accounts.html", viewer, accounts=shown, find=find, names=names, roles=list(Role))


def _show(
    request: Request, session: Session, viewer: Administrator, account: Account, *, key: str | None = None
) -> Response:
    values: dict[str, Any] = {
        "account": account,
        "further": hospitals_of(session, account)[1:],
        "names": _names(request, session),
        "sessions": open_sessions_of(session, account.id),
        "tokens": list_tokens(session, account),
        "identities": identities_of(session, account),
        "key": key,
        "moment": now(),
    }
    page = render(request, "account_kept.html", viewer, **values)
    if key is None:
        note_read(request, session, viewer, "account.read", detail={"account": account.id})
    return page


def _names(request: Request, session: Session) -> dict[str, str]:
    return hospital_names(session, thai=words_of(request).language is Language.TH)
