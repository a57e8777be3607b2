"""The viewer's files: for people who are signed in, isolated, and nothing beside them."""

from typing import Any

import pytest

from service.accounts import Role
from service.settings import Settings
from tests.service.api.conftest import SignIn

pytestmark = pytest.mark.one_database  # pages and files of the viewer


@pytest.fixture
def client(settings: Settings, signed_in: SignIn) -> Any:
    settings.viewer.mkdir(parents=True)
    (settings.viewer / "index.html").write_text("<title>viewer</title>")
    (settings.viewer / "a.0123456789abcdef.js").write_text("plain")
    (settings.viewer / "a.0123456789abcdef.js.gz").write_bytes(b"packed")
    (settings.data / "secret.txt").write_text("secret")
    return signed_in(Role.RADIOLOGIST)


@pytest.mark.parametrize("path", ["", "viewer", "viewer?StudyInstanceUIDs=1.2.3", "index.html"])
def test_every_page_is_the_viewers_own(client: Any, path: str) -> None:
    answer = client.get(f"/viewer/{path}")
    assert (answer.status_code, answer.text) == (200, "<title>viewer</title>")
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
    assert answer.headers["cache-control"] == "no-store"


def test_files_named_by_their_content_are_kept_and_packed(client: Any) -> None:
    answer = client.get("/viewer/a.0123456789abcdef.js", headers={"Accept-Encoding": "identity"})
    assert (answer.text, answer.headers["content-type"]) == ("plain", "text/javascript; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    with client.stream("GET", "/viewer/a.0123456789abcdef.js", headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert b"".join(packed.iter_raw()) == b"packed"


def test_the_configuration_is_the_hubs(client: Any) -> None:
    answer = client.get("/viewer/app-config.js")
    assert '"wadoRoot": "/dicomweb"' in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["..%2fsecret.txt", "%2e%2e/secret.txt", "....//secret.txt"])
def test_nothing_beside_the_viewer_can_be_read(client: Any, path: str) -> None:
    assert "secret" not in client.get(f"/viewer/{path}").text


def test_a_script_that_is_not_there_is_not_a_page(client: Any) -> None:
    assert client.get("/viewer/b.js").status_code == 404


def test_before_it_is_installed_it_says_how(signed_in: SignIn) -> None:
    answer = signed_in(Role.RADIOLOGIST).get("/viewer/")
    assert answer.status_code == 404
    assert "hub viewer install" in answer.json()["detail"]


def test_vendors_have_no_viewer(client: Any, signed_in: SignIn) -> None:
    assert signed_in(Role.VENDOR).get("/viewer/").status_code == 403
