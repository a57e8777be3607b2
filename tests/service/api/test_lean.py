"""Lean routes: the short way asks what FastAPI's would, and leaves it what is out of the ordinary."""

import pytest
from fastapi import APIRouter, Request, Response
from sqlalchemy import Engine, select

from service.accounts import Account, Token, find_account, revoke_token
from service.api.access import Look, Reader, SignedIn
from service.api.lean import LeanRoute
from service.audit import AuditEntry
from service.db import session_scope
from tests.service.api.conftest import SignIn

pytestmark = pytest.mark.one_database

PLACE = "/dicomweb/studies/1.2.3/metadata"


def tokens(engine: Engine) -> list[Token]:
    with session_scope(engine, write=False) as session:
        return list(session.scalars(select(Token)))


def test_what_takes_more_than_its_path_can_be_none() -> None:
    router = APIRouter(route_class=LeanRoute)

    def searches(request: Request, viewer: Reader, session: Look, name: str = "") -> Response:
        raise NotImplementedError

    def changes(request: Request, viewer: Reader, session: Look) -> Response:
        raise NotImplementedError

    def asks_for_no_permission(request: Request, viewer: SignedIn, session: Look) -> Response:
        raise NotImplementedError

    for endpoint, method in ((searches, "GET"), (changes, "POST")):
        with pytest.raises(TypeError, match="no lean route"):
            router.add_api_route("/place", endpoint, methods=[method])
    with pytest.raises(TypeError, match="permission"):
        router.add_api_route("/place", asks_for_no_permission)


def test_a_tokens_use_is_noted_and_its_end_holds_at_once(signed_in: SignIn, engine: Engine) -> None:
    client = signed_in()
    assert tokens(engine)[0].last_used_at is None
    assert client.get(PLACE).status_code == 404
    noted = tokens(engine)[0].last_used_at
    assert noted is not None
    assert client.get(PLACE).status_code == 404
    assert tokens(engine)[0].last_used_at == noted
    with session_scope(engine) as session:
        account = find_account(session, session.scalars(select(Account.username)).one())
        revoke_token(session, account, tokens(engine)[0].id)
    assert client.get(PLACE).status_code == 401


def test_a_path_that_does_not_fit_is_told_what_is_wrong(signed_in: SignIn, engine: Engine) -> None:
    client = signed_in()
    client.get(PLACE)
    answer = client.get("/dicomweb/studies/1.2.3/series/1.2/instances/1.3/frames/one")
    assert (answer.status_code, "numbers" in answer.text) == (422, True)
    assert client.get(f"/dicomweb/studies/{'1' * 65}/series").status_code == 422
    with session_scope(engine, write=False) as session:
        assert (
            session.scalars(select(AuditEntry.action).where(AuditEntry.action.like("dicomweb%"))).all() == []
        )
