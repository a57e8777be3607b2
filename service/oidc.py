"""OpenID Connect: the hub as a relying party, by the code flow with PKCE. OpenID Connect Core 3.1; RFC 7636.

Signature and claims of the ID token are checked by joserfc and Authlib. Only who it is is taken from it:
what a person may do here is the hub's own to say.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from service.errors import NotSignedIn, Unavailable

TIMEOUT_SECONDS: Final = 10.0
KNOWN_SECONDS: Final = 600.0
"""How long a provider's description and keys are believed."""
ANEW_SECONDS: Final = 30.0
"""How soon keys are asked for again where a token names one that is not known."""
LEEWAY_SECONDS: Final = 60
ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Of signatures with the provider's public key; never one made with a shared secret, never none."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who a provider says has signed in."""

    issuer: str
    subject: str
    hospitals: Sequence[str] | None = None
    """Codes of the hospitals that they work for; None where the provider does not say."""


@dataclass(slots=True)
class OidcDoor:
    """One OpenID provider.

    Args:
        issuer: Its address; what it says of itself is found below it.
        client_id: The hub's name there.
        client_secret: The hub's secret there; empty for a public client.
        scopes: What is asked for.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: str = "openid"
    _metadata: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _keys: KeySet | None = field(default=None, init=False, repr=False)
    _read_at: float = field(default=float("-inf"), init=False, repr=False)
    _keys_at: float = field(default=float("-inf"), init=False, repr=False)

    def address(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Where the browser is sent."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        endpoint = str(self._described()["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def person(self, answer: Mapping[str, str], *, nonce: str, verifier: str, redirect_uri: str) -> Person:
        """Who came back with this answer."""
        if "code" not in answer:
            raise NotSignedIn(f"the provider answered {answer.get('error', 'nothing')[:80]!r}")
        if answer.get("iss", self.issuer) != self.issuer:  # RFC 9207
            raise NotSignedIn("the answer comes from another provider")
        tokens = self._exchange(answer["code"], verifier, redirect_uri)
        claims = self._claims(str(tokens.get("id_token", "")), nonce, tokens.get("access_token"))
        return Person(self.issuer, str(claims["sub"]))

    def way_out(self, *, redirect_uri: str) -> str | None:
        """Where a person signs out at the provider itself. OpenID Connect RP-Initiated Logout 1.0, section 2.

        No ID token is kept to hint with: the provider knows the hub by its client_id, and may ask the person.
        """
        endpoint = self._described().get("end_session_endpoint")
        if not endpoint:
            return None
        asked = urlencode({"client_id": self.client_id, "post_logout_redirect_uri": redirect_uri})
        return f"{endpoint}{'&' if '?' in str(endpoint) else '?'}{asked}"

    def _exchange(self, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self.client_id,
        }
        basic = httpx.BasicAuth(self.client_id, self.client_secret) if self.client_secret else None
        answer = _ask("POST", str(self._described()["token_endpoint"]), data=form, auth=basic)
        if answer.status_code != httpx.codes.OK:
            raise NotSignedIn(f"the provider does not take the code ({answer.status_code})")
        return _object(answer)

    def _claims(self, token: str, nonce: str, access_token: object) -> CodeIDToken:
        try:
            try:
                decoded = jwt.decode(token, self._key_set(), algorithms=ALGORITHMS)
            except InvalidKeyIdError:  # the provider may have changed its keys
                decoded = jwt.decode(token, self._key_set(anew=True), algorithms=ALGORITHMS)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "values": [self.issuer]},
                    "aud": {"essential": True, "value": self.client_id},
                },
                params={"nonce": nonce, "client_id": self.client_id, "access_token": access_token},
            )
            claims.validate(now=int(time.time()), leeway=LEEWAY_SECONDS)
        except (JoseError, AuthlibBaseError, ValueError) as error:
            raise NotSignedIn(f"the provider's token is not valid: {type(error).__name__}") from None
        return claims

    def _described(self) -> dict[str, Any]:
        """What the provider says of itself. OpenID Connect Discovery 4."""
        if time.monotonic() - self._read_at > KNOWN_SECONDS:
            answer = _ask("GET", get_well_known_url(self.issuer, external=True))
            metadata = OpenIDProviderMetadata(_object(answer))
            if metadata.get("issuer") != self.issuer:
                raise Unavailable(f"the provider at {self.issuer} calls itself otherwise")
            self._metadata, self._read_at = dict(metadata), time.monotonic()
        return self._metadata

    def _key_set(self, *, anew: bool = False) -> KeySet:
        limit = ANEW_SECONDS if anew else KNOWN_SECONDS
        if self._keys is None or time.monotonic() - self._keys_at > limit:
            found = _object(_ask("GET", str(self._described()["jwks_uri"])))
            self._keys, self._keys_at = KeySet.import_key_set(found), time.monotonic()  # type: ignore[arg-type]
        return self._keys


def _ask(method: str, url: str, **more: Any) -> httpx.Response:
    try:
        answer = httpx.request(method, url, timeout=TIMEOUT_SECONDS, **more)
    except httpx.HTTPError as error:
        raise Unavailable(f"the provider does not answer: {type(error).__name__}") from None
    if answer.status_code >= 500:
        raise Unavailable(f"the provider answers {answer.status_code}")
    return answer


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if answer.status_code != httpx.codes.OK or not isinstance(found, dict):
        raise Unavailable(f"the provider answers {answer.status_code} without a JSON object")
    return found
