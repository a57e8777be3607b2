"""OpenID Connect against a local provider that errs as a test wants, and Provider ID's two steps."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from service.errors import NotSignedIn, Unavailable
from service.oidc import OidcDoor, Person
from service.provider_id import ProviderIdDoor
from tests.oidc import local_server

BACK = "http://hub.example/login/from/hospital"
SENT = {"nonce": "n", "verifier": "v" * 43, "redirect_uri": BACK}


class Provider:
    """A provider whose tokens are as a test wants them."""

    def __init__(self) -> None:
        self.keys = [RSAKey.generate_key(2048, {"kid": "first"})]
        self.issuer = ""
        self.changes: dict[str, Any] = {}
        self.status = 200
        self.asked: list[str] = []

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            ends = {"authorization": "auth", "token": "token"}
            made = {f"{name}_endpoint": f"{self.issuer}/{end}" for name, end in ends.items()}
            return self.status, {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **made}
        if path == "/jwks":
            return 200, {"keys": [key.as_dict(private=False) for key in self.keys]}
        return (200, {"id_token": self.token()}) if path == "/token" else (404, {})

    def token(self) -> str:
        moment = int(time.time())
        claims = {"iss": self.issuer, "sub": "1234", "aud": "hub", "iat": moment, "exp": moment + 300}
        claims |= {"nonce": "n"} | self.changes
        key = self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with local_server(made.answer) as address:
        made.issuer = address
        yield made


@pytest.fixture
def door(provider: Provider) -> OidcDoor:
    return OidcDoor(issuer=provider.issuer, client_id="hub", client_secret="s")


def test_the_browser_is_sent_with_state_nonce_and_challenge(door: OidcDoor) -> None:
    sent = urlsplit(door.address(state="s", **SENT))
    asked = {name: values[0] for name, values in parse_qs(sent.query).items()}
    assert sent.path == "/auth"
    assert asked | {"code_challenge": ""} == {
        "response_type": "code",
        "client_id": "hub",
        "redirect_uri": BACK,
        "scope": "openid",
        "state": "s",
        "nonce": "n",
        "code_challenge": "",
        "code_challenge_method": "S256",
    }
    assert "v" * 43 not in sent.query


def test_a_valid_token_names_a_person(door: OidcDoor, provider: Provider) -> None:
    assert door.person({"code": "c"}, **SENT) == Person(provider.issuer, "1234")


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://other.example"},
        {"aud": "another client"},
        {"exp": 1_000_000_000},
        {"iat": None},
        {"sub": None},
    ],
)
def test_a_token_that_does_not_fit_is_refused(
    door: OidcDoor, provider: Provider, changes: dict[str, Any]
) -> None:
    provider.changes = changes
    with pytest.raises(NotSignedIn, match="not valid"):
        door.person({"code": "c"}, **SENT)


def test_a_token_signed_by_nobody_known_is_refused(door: OidcDoor, provider: Provider) -> None:
    door.person({"code": "c"}, **SENT)
    published, provider.keys = provider.keys, [RSAKey.generate_key(2048, {"kid": "first"})]
    stolen = provider.token()
    provider.keys = published
    provider.token = lambda: stolen  # type: ignore[method-assign]
    with pytest.raises(NotSignedIn, match="not valid"):
        door.person({"code": "c"}, **SENT)


def test_new_keys_are_fetched_when_a_token_names_one(
    door: OidcDoor, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.person({"code": "c"}, **SENT)
    provider.keys.append(RSAKey.generate_key(2048, {"kid": "second"}))
    with pytest.raises(NotSignedIn):  # not asked again within half a minute, or anybody could make it ask
        door.person({"code": "c"}, **SENT)
    monkeypatch.setattr("service.oidc.ANEW_SECONDS", -1.0)
    assert door.person({"code": "c"}, **SENT).subject == "1234"
    assert provider.asked.count("/jwks") == 2


@pytest.mark.parametrize(
    "answer", [{"error": "access_denied"}, {}, {"code": "c", "iss": "https://other.example"}]
)
def test_an_answer_that_is_no_code_of_this_provider_is_refused(
    door: OidcDoor, answer: dict[str, str]
) -> None:
    with pytest.raises(NotSignedIn):
        door.person(answer, **SENT)


def test_a_provider_that_is_down_is_unavailable(door: OidcDoor, provider: Provider) -> None:
    provider.status = 503
    with pytest.raises(Unavailable):
        door.address(state="s", **SENT)
    with pytest.raises(Unavailable):
        OidcDoor(issuer="http://127.0.0.1:9", client_id="hub").address(state="s", **SENT)


class Ministry:
    """Health ID and Provider ID as their manual says."""

    def __init__(self) -> None:
        self.is_provider = True
        self.seen: list[tuple[str, dict[str, str], bytes]] = []

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        self.seen.append((path, {name.lower(): value for name, value in headers.items()}, body))
        if path == "/api/v1/token":
            if b"code=good" not in body or b"client_secret=health-secret" not in body:
                return 401, {"message": "Unauthorized"}
            return 200, {"data": {"access_token": "health", "expires_in": 31535998}}
        if path == "/api/v1/services/token":
            if not self.is_provider:
                return 400, {"message": "This user has not provider id"}
            return 200, {"data": {"access_token": "provider", "expires_in": 86400}}
        places = [{"hcode": "10671", "hname_th": "อุดรธานี"}, {"hcode": "10705"}, {"hcode": None}]
        return 200, {"data": {"provider_id": "P1", "firstname_th": "สมชาย", "organization": places}}


@pytest.fixture
def ministry() -> Iterator[tuple[Ministry, ProviderIdDoor]]:
    made = Ministry()
    with local_server(made.answer) as address:
        yield (
            made,
            ProviderIdDoor(
                health_client_id="health-hub",
                health_client_secret="health-secret",
                client_id="provider-hub",
                secret_key="provider-key",
                health=address,
                provider=address,
            ),
        )


def test_provider_id_names_number_and_hospitals_in_two_steps(
    ministry: tuple[Ministry, ProviderIdDoor],
) -> None:
    made, door = ministry
    assert door.person({"code": "good"}, **SENT) == Person(door.provider, "P1", ["10671", "10705"])
    assert [path.partition("?")[0] for path, _, _ in made.seen] == [
        "/api/v1/token",
        "/api/v1/services/token",
        "/api/v1/services/profile",
    ]
    headers = made.seen[-1][1]
    assert (headers["authorization"], headers["client-id"], headers["secret-key"]) == (
        "Bearer provider",
        "provider-hub",
        "provider-key",
    )


def test_who_is_no_provider_is_turned_away_and_that_is_no_failure(
    ministry: tuple[Ministry, ProviderIdDoor],
) -> None:
    made, door = ministry
    made.is_provider = False
    with pytest.raises(NotSignedIn, match="no provider"):
        door.person({"code": "good"}, **SENT)
    with pytest.raises(NotSignedIn, match="401"):
        door.person({"code": "bad"}, **SENT)
    assert "สมชาย" not in repr(door)
    assert "secret" not in repr(door).replace("secret_key", "")
