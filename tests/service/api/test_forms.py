"""The forms over HTTP: tried before they are kept, with every version, and nothing lost."""

import pytest

from service.accounts import Role
from tests.service.api.conftest import SignIn

pytestmark = pytest.mark.one_database
PLAIN = '#let d = json("letter.json")\n#d.serial'


def test_a_form_is_changed_looked_at_and_put_back(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    assert {each["version"] for each in client.get("/api/v1/forms").json()} == {None}
    shipped = client.get("/api/v1/forms/letter").json()["source"]
    preview = client.post("/api/v1/forms/letter/preview", json={"source": PLAIN, "language": "en"})
    assert preview.headers["content-type"] == "application/pdf"
    made = client.post("/api/v1/forms/letter", json={"source": PLAIN, "note": "short", "seen": 0})
    assert made.status_code == 201, made.text
    number = made.json()["version"]["number"]
    again = client.post("/api/v1/forms/letter", json={"source": PLAIN, "seen": 0})
    assert again.status_code == 409
    assert client.get("/api/v1/forms/letter").json()["source"] == PLAIN
    assert client.post("/api/v1/forms/letter/put-back", json={}).status_code == 201
    assert client.get("/api/v1/forms/letter").json()["source"] == shipped
    assert client.get(f"/api/v1/forms/letter/versions/{number}").json()["source"] == PLAIN
    listed = client.get("/api/v1/forms/letter/versions").json()
    assert [(each["shipped"], each["note"]) for each in listed] == [(True, ""), (False, "short")]
    assert client.get("/api/v1/forms/poster").status_code == 422


def test_a_broken_template_is_refused_with_the_typesetters_words(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    answer = client.post("/api/v1/forms/stroke", json={"source": "#nowhere"})
    assert answer.status_code == 422
    assert "unknown variable: nowhere" in answer.json()["detail"]
    assert client.post("/api/v1/forms/stroke/preview", json={"source": "#nowhere"}).status_code == 422
    assert client.get("/api/v1/forms/stroke/versions").json() == []
