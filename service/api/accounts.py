"""Who am I; and for administrators: accounts and their tokens."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service.account_keeping import add_token, close_account, end_token, open_account, reopen_account
from service.accounts import Account, find_account, list_accounts, list_tokens
from service.api.access import Administrator, Look, SignedIn, Work
from service.api.problems import responses
from service.roles import PERMISSIONS, Permission, Role

router = APIRouter(prefix="/api/v1", tags=["accounts"], responses=responses(401, 403, 404, 422, 503))


class MeOut(BaseModel):
    """The account behind the token."""

    username: str
    role: Role
    hospital: str | None
    permissions: list[Permission]


class AccountIn(BaseModel):
    """A new account."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"username": "udon-ris", "role": "referrer", "hospital": "10671"}]},
    )

    username: str
    role: Role
    hospital: str | None = None
    password: str | None = Field(default=None, max_length=1000)


class AccountChange(BaseModel):
    """Whether the account may enter."""

    model_config = ConfigDict(extra="forbid")

    active: bool


class AccountOut(BaseModel):
    """An account, without its secrets."""

    username: str
    role: Role
    hospital: str | None
    active: bool
    created_at: datetime


class TokenIn(BaseModel):
    """What the token is for, and for how long."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label": "RIS server", "days": 365}]}
    )

    label: str = Field(default="", max_length=100)
    days: int = Field(default=365, ge=1, le=3650)


class KeyOut(BaseModel):
    """A new token; the key is shown this once."""

    key: str


class TokenOut(BaseModel):
    """A token, without its key."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    label: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@router.get("/me")
def read_me(viewer: SignedIn) -> MeOut:
    """The account behind the token, and what it may do."""
    return MeOut(
        username=viewer.username,
        role=viewer.role,
        hospital=viewer.hcode,
        permissions=sorted(PERMISSIONS[viewer.role]),
    )


@router.get("/accounts")
def read_accounts(viewer: Administrator, session: Look) -> list[AccountOut]:
    """Every account by name."""
    return [_account_out(each) for each in list_accounts(session)]


@router.post("/accounts", status_code=201, responses=responses(409))
def create_account(body: AccountIn, viewer: Administrator, session: Work) -> AccountOut:
    """Add an account."""
    return _account_out(
        open_account(session, viewer, body.username, body.role, hcode=body.hospital, password=body.password)
    )


@router.patch("/accounts/{username}")
def change_account(username: str, body: AccountChange, viewer: Administrator, session: Work) -> AccountOut:
    """Close an account, which ends its sessions and tokens at once, or open it again."""
    account = find_account(session, username)
    (reopen_account if body.active else close_account)(session, viewer, account)
    return _account_out(account)


@router.get("/accounts/{username}/tokens")
def read_tokens(username: str, viewer: Administrator, session: Look) -> list[TokenOut]:
    """The account's tokens, newest first."""
    return [TokenOut.model_validate(each) for each in list_tokens(session, find_account(session, username))]


@router.post("/accounts/{username}/tokens", status_code=201)
def create_token(username: str, body: TokenIn, viewer: Administrator, session: Work) -> KeyOut:
    """Make a token for a machine."""
    account = find_account(session, username)
    return KeyOut(key=add_token(session, viewer, account, label=body.label, days=body.days))


@router.delete("/accounts/{username}/tokens/{token_id}", status_code=204)
def delete_token(username: str, token_id: int, viewer: Administrator, session: Work) -> None:
    """End a token at once."""
    end_token(session, viewer, find_account(session, username), token_id)


def _account_out(account: Account) -> AccountOut:
    return AccountOut(
        username=account.username,
        role=account.role,
        hospital=account.hcode,
        active=account.active,
        created_at=account.created_at,
    )
