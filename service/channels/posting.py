"""Posting: a JSON body over HTTP, and what the answer means for what waits behind it."""

import ssl
from collections.abc import Mapping

import httpx

from service.channels.message import Later, Refused, Unreachable

ANSWER_SECONDS = 10.0
BUSY = frozenset({408, 425, 429})
KEYS = frozenset({401, 403})
SAID = 200
"""Characters of an answer that are kept."""


class Poster:
    """Posts, each time over a connection of its own: alerts are few, and a kept one may be dead unnoticed.

    Args:
        ours: Whether the address and the keys are the hub's own: then a refusal of the keys concerns all
            that waits, not one message.
    """

    def __init__(self, *, ours: bool) -> None:
        self._trusted = ssl.create_default_context()
        self._ours = ours

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Post a JSON body; returns an answer of 2xx.

        Raises:
            Unreachable: no answer, or the server is out of order.
            Later: it is busy.
            Refused: it says no.
        """
        try:
            answer = httpx.post(
                url,
                content=content,
                headers={"Content-Type": "application/json", **headers},
                timeout=ANSWER_SECONDS,
                verify=self._trusted,
                trust_env=False,
            )
        except httpx.InvalidURL as error:
            raise Refused(f"not an address: {error}") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.is_success:
            return answer
        said = f"HTTP {answer.status_code} {answer.text[:SAID]}".strip()
        if answer.status_code >= 500 or (self._ours and answer.status_code in KEYS):
            raise Unreachable(said)
        if answer.status_code in BUSY:
            raise Later(said)
        raise Refused(said, status=answer.status_code)
