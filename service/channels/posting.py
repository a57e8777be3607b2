"""Posting: a JSON body over HTTP, and what the answer means for what waits behind it."""

import contextlib
import ssl
import time
from collections.abc import Mapping

import httpx

from service.channels.message import Later, Refused, Unreachable

ANSWER_SECONDS = 10.0
BUSY = frozenset({408, 425, 429})
KEYS = frozenset({401, 403})
SAID = 200
"""Characters of an answer that are kept."""
FRAMING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
READ = 4096
"""Bytes of an answer that are read; who answers without end holds nobody up."""


class Poster:
    """Posts, each time over a connection of its own: alerts are few, and a kept one may be dead unnoticed.

    Args:
        ours: Whether the address and the keys are the hub's own: then a refusal of the keys concerns all
            that waits, not one message.
    """

    def __init__(self, *, ours: bool) -> None:
        self._trusted = ssl.create_default_context()
        self._ours = ours

    def post(self, url: str, content: bytes, headers: Mapping[str, str], *, name: str = "") -> httpx.Response:
        """Post a JSON body; returns an answer of 2xx.

        Args:
            url: Where to.
            content: The body.
            headers: Beside those that every posting has.
            name: Whose certificate is wanted, where the URL has a machine's number in place of its name.

        Raises:
            Unreachable: no answer, or the server is out of order.
            Later: it is busy.
            Refused: it says no.
        """
        try:
            with (
                httpx.Client(verify=self._trusted, timeout=ANSWER_SECONDS, trust_env=False) as client,
                client.stream(
                    "POST",
                    url,
                    content=content,
                    headers={"Content-Type": "application/json", "Accept-Encoding": "identity", **headers},
                    extensions={"sni_hostname": name} if name else None,
                ) as streamed,
            ):
                answer = _beginning(streamed)
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


def _beginning(streamed: httpx.Response) -> httpx.Response:
    """The answer with the beginning of its body; what was said is said, though the body breaks off."""
    kept, ends = b"", time.monotonic() + ANSWER_SECONDS
    with contextlib.suppress(httpx.HTTPError):
        for part in streamed.iter_raw():
            kept += part
            if len(kept) >= READ or time.monotonic() > ends:
                break
    headers = [(name, value) for name, value in streamed.headers.items() if name not in FRAMING]
    return httpx.Response(streamed.status_code, headers=headers, content=kept[:READ])
