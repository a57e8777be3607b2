"""Neighbours over HTTP: listed with a secret that is shown once, moved and switched, for administrators."""

from service.roles import Role
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON

PATH = "/api/v1/neighbours"
BODY = {"name": "khon-kaen", "url": "https://b.example", "hospitals": [UDON]}


def test_one_is_listed_and_its_secret_shown_once(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    made = client.post(PATH, json=BODY)
    assert (made.status_code, len(made.json()["secret"])) == (201, 43)
    (listed,) = client.get(PATH).json()
    assert "secret" not in listed
    assert (listed["hospitals"], listed["waiting"], listed["last_error"]) == ([UDON], 0, "")
    assert client.post(PATH, json=BODY).status_code == 409
    changed = client.patch(f"{PATH}/khon-kaen", json={"hospitals": [LOEI], "enabled": False}).json()
    assert (changed["hospitals"], changed["enabled"]) == ([LOEI], False)


def test_one_is_removed_and_its_hospitals_work_here_again(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    assert client.post(PATH, json=BODY).status_code == 201
    assert client.delete(f"{PATH}/khon-kaen").status_code == 204
    assert client.get(PATH).json() == []
    assert client.delete(f"{PATH}/khon-kaen").status_code == 404
    other = client.post(PATH, json=BODY | {"name": "north"})
    assert (other.status_code, other.json()["hospitals"]) == (201, [UDON])


def test_what_cannot_be_is_named(signed_in: SignIn) -> None:
    client = signed_in(Role.ADMIN, None)
    answer = client.post(PATH, json=BODY | {"url": "b.example"})
    assert (answer.status_code, "must be http(s)" in answer.json()["detail"]) == (422, True)
    assert client.post(PATH, json=BODY | {"hospitals": ["99999"]}).status_code == 404
    assert client.patch(f"{PATH}/none", json={}).status_code == 404
