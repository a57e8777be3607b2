"""The page of accounts: added, closed at once everywhere, given keys that are shown once."""

import re

from sqlalchemy import Engine, select

from service.accounts import Role, find_account
from service.audit import AuditEntry
from service.db import session_scope
from service.identities import note_stranger
from service.oidc import Person as Stranger
from tests.service.factories import LOEI, UDON
from tests.service.web.conftest import PASSWORD, Enter, Person

HERE = "/console/accounts"


def test_an_account_is_added_found_and_closed_everywhere_at_once(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    values = {"username": "dr.new", "role": "radiologist", "hospital": UDON, "password": PASSWORD}
    assert admin.post(HERE, values, page=HERE).headers["location"] == f"{HERE}/dr.new"
    assert "dr.new" in admin.get(f"{HERE}?find=dr.n").text
    assert "dr.new" not in admin.get(f"{HERE}?find=nobody").text.partition("<table")[2]
    page = f"{HERE}/dr.new"
    shown = admin.post(f"{page}/tokens", {"label": "a RIS", "days": "30"}, page=page)
    key = re.search(r"hub_[\w-]{20,}", shown.text)
    assert key
    assert key[0] not in admin.get(page).text
    someone = Person(admin.client.app)
    assert someone.sign_in("dr.new").status_code == 303
    bearer = {"Authorization": f"Bearer {key[0]}"}
    assert someone.client.get("/api/v1/me", headers=bearer).status_code == 200
    assert admin.post(f"{page}/close", {}, page=page).status_code == 303
    assert someone.get("/", follow_redirects=False).status_code == 303  # to the sign-in page
    assert someone.client.get("/api/v1/me", headers=bearer).status_code == 401
    assert someone.sign_in("dr.new").status_code == 401
    assert admin.post(f"{page}/reopen", {}, page=page).status_code == 303
    assert Person(admin.client.app).sign_in("dr.new").status_code == 303
    assert someone.client.get("/api/v1/me", headers=bearer).status_code == 401  # keys stay ended
    with session_scope(engine, write=False) as session:
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.actor == "admin-None")).all()
    done = [each for each in actions if each.split(".")[0] in ("account", "token") and "list" not in each]
    assert [each for each in done if each != "account.read"] == [
        "account.add",
        "token.issue",
        "account.close",
        "account.reopen",
    ]


def test_a_new_password_ends_what_the_old_one_opened(enter: Enter) -> None:
    admin, someone = enter(Role.ADMIN, None), enter(Role.TECHNICIAN)
    page = f"{HERE}/technician-{UDON}"
    assert admin.post(f"{page}/password", {"password": "short"}, page=page).status_code == 422
    assert someone.get("/", follow_redirects=False).status_code == 200
    assert admin.post(f"{page}/password", {"password": "another horse battery"}, page=page).status_code == 303
    assert someone.get("/", follow_redirects=False).status_code == 303
    assert someone.sign_in(f"technician-{UDON}", "another horse battery").status_code == 303


def test_hospitals_and_providers_are_given_and_taken(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    enter(Role.REFERRER)
    page = f"{HERE}/referrer-{UDON}"
    assert admin.post(f"{page}/hospitals", {"hospital": LOEI}, page=page).status_code == 303
    assert f"/hospitals/{LOEI}/end" in admin.get(page).text
    assert admin.post(f"{page}/hospitals/{LOEI}/end", {}, page=page).status_code == 303
    assert f"/hospitals/{LOEI}/end" not in admin.get(page).text
    with session_scope(engine) as session:
        code = note_stranger(session, Stranger("https://id.example", "s", None))
        assert code
    assert admin.post(f"{page}/link", {"code": "AAAAAAAA"}, page=page).status_code == 404
    assert admin.post(f"{page}/link", {"code": f" {code.lower()} "}, page=page).status_code == 303
    assert "https://id.example" in admin.get(page).text
    assert admin.post(f"{page}/unlink", {}, page=page).status_code == 303
    assert "https://id.example" not in admin.get(page).text


def test_nobody_closes_their_own_account(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    page = f"{HERE}/admin-None"
    assert f'action="{page}/close"' not in admin.get(page).text
    assert admin.post(f"{page}/close", {}, page=page).status_code == 422
    with session_scope(engine, write=False) as session:
        assert find_account(session, "admin-None").active
