"""Provider ID: the ministry's door for health staff, in two steps. MOPH Provider ID manual, 1 July 2567.

Health ID says who a citizen is; Provider ID says that they are health staff, and where. Who is no provider is
answered with 400, which is no failure. Only the provider's number and hospital codes are taken: the hub needs
neither name nor citizen id, and keeps none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from service.errors import NotSignedIn, Unavailable
from service.oidc import TIMEOUT_SECONDS, Person

HEALTH, PROVIDER = "https://moph.id.th", "https://provider.id.th"
NO_PROVIDER: Final = "This user has not provider id"


@dataclass(frozen=True, slots=True)
class ProviderIdDoor:
    """The hub at Health ID and Provider ID.

    Args:
        health_client_id: The hub's name at Health ID.
        health_client_secret: Its secret there.
        client_id: The hub's name at Provider ID.
        secret_key: Its secret there.
        health: Address of Health ID; the ministry's test address while the hub is being set up.
        provider: Address of Provider ID.
    """

    health_client_id: str
    client_id: str
    health_client_secret: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    health: str = HEALTH
    provider: str = PROVIDER

    def address(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Where the browser is sent; Health ID knows neither nonce nor PKCE, so the state alone binds."""
        asked = {
            "client_id": self.health_client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "state": state,
        }
        return f"{self.health}/oauth/redirect?{urlencode(asked)}"

    def way_out(self, *, redirect_uri: str) -> str | None:
        """None: the ministry's manual (1 July 2024) has no address at which a browser signs out."""
        return None

    def person(self, answer: Mapping[str, str], *, nonce: str, verifier: str, redirect_uri: str) -> Person:
        """Who came back with this answer."""
        if "code" not in answer:
            raise NotSignedIn("Health ID sent no code")
        health = self._post(
            f"{self.health}/api/v1/token",
            data={
                "grant_type": "authorization_code",
                "code": answer["code"],
                "redirect_uri": redirect_uri,
                "client_id": self.health_client_id,
                "client_secret": self.health_client_secret,
            },
        )
        provider = self._post(
            f"{self.provider}/api/v1/services/token",
            json={
                "client_id": self.client_id,
                "secret_key": self.secret_key,
                "token_by": "Health ID",
                "token": health["access_token"],
            },
        )
        return self._profile(str(provider["access_token"]))

    def _profile(self, token: str) -> Person:
        headers = {
            "Authorization": f"Bearer {token}",
            "client-id": self.client_id,
            "secret-key": self.secret_key,
        }
        profile = self._data(
            self._send("GET", f"{self.provider}/api/v1/services/profile?position_type=1", headers=headers)
        )
        number = str(profile.get("provider_id") or "")
        if not number:
            raise NotSignedIn("Provider ID names no provider")
        places = profile.get("organization") or []
        return Person(self.provider, number, [str(each["hcode"]) for each in places if each.get("hcode")])

    def _post(self, url: str, **body: Any) -> dict[str, Any]:
        found = self._data(self._send("POST", url, **body))
        if not found.get("access_token"):
            raise NotSignedIn("no token was given")
        return found

    def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            return httpx.request(method, url, timeout=TIMEOUT_SECONDS, **more)
        except httpx.HTTPError as error:
            raise Unavailable(f"Provider ID does not answer: {type(error).__name__}") from None

    def _data(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = {}
        if answer.status_code >= 500 or not isinstance(found, dict):
            raise Unavailable(f"Provider ID answers {answer.status_code}")
        if answer.status_code == httpx.codes.BAD_REQUEST and found.get("message") == NO_PROVIDER:
            raise NotSignedIn("this person is no provider at Provider ID")
        if answer.status_code >= 400:
            raise NotSignedIn(f"Provider ID refuses ({answer.status_code})")
        data = found.get("data")
        return data if isinstance(data, dict) else {}
