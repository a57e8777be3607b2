"""The account routes: who am I, and the administrator's work."""

from sqlalchemy import Engine, select

from service.accounts import Role
from service.audit import AuditEntry
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.factories import UDON

ACCOUNTS = "/api/v1/accounts"


def test_me(signed_in: SignIn) -> None:
    assert signed_in(Role.TECHNICIAN).get("/api/v1/me").json() == {
        "username": f"technician-{UDON}",
        "role": "technician",
        "hospital": UDON,
        "permissions": [
            "admit_cases",
            "bring",
            "read_identity",
            "read_receipts",
            "read_studies",
            "send_studies",
        ],
    }


def test_an_administrator_adds_an_account_and_a_token_that_opens(engine: Engine, signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN)
    body = {"username": "ris", "role": "referrer", "hospital": UDON, "password": "twelve letters"}
    added = client.post(ACCOUNTS, json=body)
    assert (added.status_code, added.json()["hospital"]) == (201, UDON)
    assert "password" not in added.text
    key = client.post(f"{ACCOUNTS}/ris/tokens", json={"label": "RIS"}).json()["key"]
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"}).json()["username"] == "ris"
    [token] = client.get(f"{ACCOUNTS}/ris/tokens").json()
    assert token["label"] == "RIS"
    assert key not in str(token)
    assert client.delete(f"{ACCOUNTS}/ris/tokens/{token['id']}").status_code == 204
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    with session_scope(engine, write=False) as session:
        actions = list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
    assert actions == ["account.add", "token.issue", "token.revoke"]


def test_accounts_are_listed(signed_in: SignIn) -> None:
    assert [each["username"] for each in signed_in(Role.ADMIN).get(ACCOUNTS).json()] == [f"admin-{UDON}"]


def test_what_cannot_be_is_refused(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN)
    for body, status in [
        ({"username": f"admin-{UDON}", "role": "admin"}, 409),
        ({"username": "x", "role": "admin"}, 422),
        ({"username": "vendor", "role": "vendor"}, 422),
        ({"username": "vendor", "role": "vendor", "hospital": "99999"}, 404),
    ]:
        assert client.post(ACCOUNTS, json=body).status_code == status
    assert client.post(f"{ACCOUNTS}/nobody/tokens", json={}).status_code == 404
