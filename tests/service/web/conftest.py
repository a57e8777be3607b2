"""A browser without its window: cookies, forms with their mark, and a signed-in one for each role."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from service.accounts import Role, add_account
from service.app import create_app
from service.db import session_scope
from service.settings import Settings
from tests.service.factories import UDON

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette's client still takes httpx, and warns that it prefers httpx2
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery"
MARK = re.compile(r'name="csrf_token" value="([0-9a-f]+)"')


class Person:
    """Somebody at a browser."""

    def __init__(self, app: FastAPI) -> None:
        self.client = TestClient(app, headers={"Accept": "text/html"}, raise_server_exceptions=False)

    def get(self, path: str, **more: Any) -> Any:
        """Open a page; one on which the hub fails fails the test, whatever that looks for."""
        answer = self.client.get(path, **more)
        assert answer.status_code != 500, path
        return answer

    def post(self, path: str, values: dict[str, Any], *, page: str = "/account", **more: Any) -> Any:
        """Send a form of `page`, with the mark that stands in it."""
        found = MARK.search(self.get(page).text)
        assert found, page
        return self.client.post(path, data={"csrf_token": found[1], **values}, follow_redirects=False, **more)

    def sign_in(self, username: str, password: str = PASSWORD) -> Any:
        """Go through the door."""
        return self.post("/login", {"username": username, "password": password}, page="/login")


Enter = Callable[..., Person]


@pytest.fixture
def app(settings: Settings, engine: Engine) -> FastAPI:
    return create_app(settings, engine=engine, enqueue=lambda *_: None)


@pytest.fixture
def person(app: FastAPI) -> Person:
    return Person(app)


@pytest.fixture
def enter(app: FastAPI, engine: Engine) -> Enter:
    """Gives somebody signed in with this role and hospital."""

    def enter(role: Role = Role.RADIOLOGIST, hcode: str | None = UDON) -> Person:
        name = f"{role.value}-{hcode}"
        with session_scope(engine) as session:
            add_account(session, name, role, hcode=hcode, password=PASSWORD)
        someone = Person(app)
        assert someone.sign_in(name).status_code == 303
        return someone

    return enter
