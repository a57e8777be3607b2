"""A server on loopback that speaks MOPH Refer's protocol: keys, tokens that end, gzipped bodies."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.stand_in import Posted, StandIn, stand_in

BASE = "/api/his"
LOGIN = f"{BASE}/login/api-key"
API_KEY, SECRET_KEY = "key-of-the-hospital", "secret-of-the-hospital"

Reply = tuple[int, dict[str, Any]]
"""HTTP status and body."""


@dataclass
class Ministry:
    """The other side, and what it was told."""

    server: StandIn
    saved: list[tuple[str, str, Any]] = field(default_factory=list)
    """Path, hospital and record, of what it took."""
    logins: list[str] = field(default_factory=list)
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    judge: Callable[[str, Any], Reply] = lambda path, data: (200, {"statusCode": 200, "result": "ok"})
    """What it says to a record that came by a good token."""

    @property
    def url(self) -> str:
        return self.server.url + BASE

    def paths(self) -> list[str]:
        return [path.removeprefix(f"{BASE}/nrefer/save-") for path, _, _ in self.saved]

    def answer(self, posted: Posted) -> tuple[int, dict[str, str], str]:
        if posted.headers["content-encoding"] != "gzip":
            return _reply(415, {"statusCode": 415, "message": "gzip wanted"})
        body = json.loads(gzip.decompress(posted.body))
        self.envelopes.append(body)
        if posted.path == LOGIN:
            return self._login(body)
        if posted.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _reply(401, {"statusCode": 401, "message": "token expired"})
        data = json.loads(body["data"])
        status, said = self.judge(posted.path, data)
        if status == said.get("statusCode") == 200:
            self.saved.append((posted.path, body["hospcode"], data))
        return _reply(status, said)

    def _login(self, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        if (body["apiKey"], body["secretKey"]) != (API_KEY, SECRET_KEY):
            return _reply(200, {"statusCode": 401, "message": "invalid key"})  # with HTTP 200, as it does
        token = f"token-{len(self.logins)}"
        self.logins.append(body["hospcode"])
        self.tokens.add(token)
        return _reply(200, {"statusCode": 200, "token": token})


@contextmanager
def ministry() -> Iterator[Ministry]:
    """Serve until the block ends."""
    with stand_in() as server:
        here = Ministry(server)
        server.answer = here.answer
        yield here


def _reply(status: int, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    return status, {"Content-Type": "application/json"}, json.dumps(body)
