"""A running API for each test, and a signed-in client for each role."""

import warnings
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from service.accounts import Role, add_account, issue_token
from service.app import create_app
from service.db import session_scope
from service.settings import Settings
from tests.service.factories import UDON

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette's client still takes httpx, and warns that it prefers httpx2
    from starlette.testclient import TestClient

SignIn = Callable[..., TestClient]


@pytest.fixture
def app(settings: Settings, engine: Engine) -> FastAPI:
    return create_app(settings, engine=engine)


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def signed_in(app: FastAPI, engine: Engine) -> SignIn:
    """Gives a client for an account of this role and hospital."""

    def sign_in(role: Role = Role.RADIOLOGIST, hcode: str | None = UDON) -> TestClient:
        with session_scope(engine) as session:
            account = add_account(session, f"{role.value}-{hcode}", role, hcode=hcode)
            key = issue_token(session, account)
        return TestClient(app, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=False)

    return sign_in
