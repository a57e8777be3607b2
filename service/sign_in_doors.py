"""The doors besides name and password: which identity providers there are, as HUB_PROVIDERS lists them.

The file is TOML, a table `[[provider]]` each; secrets are in files of their own:

    [[provider]]
    name = "hospital"                  # in addresses
    kind = "oidc"                      # or provider_id
    label_th = "บัญชีโรงพยาบาล"
    label_en = "Hospital account"
    issuer = "https://login.example.go.th"
    client_id = "imaging-hub"
    client_secret_file = "/run/secrets/oidc"

At the provider the hub's addresses are to be registered: `/login/from/NAME` to come back to after signing in,
and `/login` after signing out.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Protocol

from service.oidc import OidcDoor, Person
from service.provider_id import ProviderIdDoor
from service.settings import BadSetting

KINDS: Final = ("oidc", "provider_id")


class Door(Protocol):
    """One provider: sends people away to sign in, and says who came back."""

    def address(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Where the browser is sent.

        Raises:
            Unavailable: the provider does not answer.
        """
        ...

    def person(self, answer: Mapping[str, str], *, nonce: str, verifier: str, redirect_uri: str) -> Person:
        """Who came back with this answer.

        Raises:
            NotSignedIn: the answer proves nothing.
            Unavailable: the provider does not answer.
        """
        ...

    def way_out(self, *, redirect_uri: str) -> str | None:
        """Where a person signs out at the provider itself; None where it offers no such place.

        Raises:
            Unavailable: the provider does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A provider as the list names it."""

    name: str
    label_th: str
    label_en: str
    door: Door = field(repr=False)


def read_doors(path: Path | None) -> Mapping[str, Listed]:
    """The providers of a list by name; none without a list.

    Raises:
        BadSetting: the list cannot be read, or an entry makes no sense; the text names it.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("provider", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting("providers", path, f"a TOML file: {error}") from None
    listed = [_listed(path, number, table) for number, table in enumerate(tables, start=1)]
    names = [each.name for each in listed]
    if len(set(names)) < len(names):
        raise BadSetting("providers", path, "a list in which every name stands once")
    return {each.name: each for each in listed}


def _listed(path: Path, number: int, table: dict[str, Any]) -> Listed:
    where = f"a list whose entry {number}"
    values = dict(table)
    name, kind = str(values.pop("name", "")), values.pop("kind", "oidc")
    if not name.isidentifier() or kind not in KINDS:
        raise BadSetting("providers", path, f"{where} has a name of letters and a kind of {', '.join(KINDS)}")
    labels = {key: str(values.pop(key, name)) for key in ("label_th", "label_en")}
    for key in [key for key in values if key.endswith("_file")]:
        secret = path.parent / str(values.pop(key))
        try:
            values[key.removesuffix("_file")] = secret.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadSetting("providers", path, f"{where} names a readable {key}: {error}") from None
    made: type[OidcDoor] | type[ProviderIdDoor] = OidcDoor if kind == "oidc" else ProviderIdDoor
    known = {each.name for each in fields(made) if each.init}
    if set(values) - known:
        raise BadSetting("providers", path, f"{where} has no {sorted(set(values) - known)}")
    try:
        return Listed(name, **labels, door=made(**values))
    except (TypeError, ValueError) as error:
        raise BadSetting("providers", path, f"{where} is whole: {error}") from None
