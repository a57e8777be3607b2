"""Webhook: an alert posted to a hospital's own system, signed so that it can tell who sent it and when.

`X-Hub-Signature: sha256=HEX` is the HMAC-SHA256, with the contact's secret, of timestamp, dot and body. A
receiver refuses a timestamp that is more than minutes old, and passes over an `id` that it has seen before.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable

from service.channels.message import Destination, Message
from service.channels.posting import Poster


class Webhook:
    """The channel.

    Args:
        clock: Seconds since 1970; only tests give another.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._poster = Poster(ours=False)
        self._clock = clock

    def send(self, message: Message, to: Destination) -> str:
        """Post it; the proof is the status of the answer."""
        body = json.dumps(
            {
                "id": f"alert-message-{message.number}",
                "alert": message.alert,
                "kind": message.kind,
                "title": {"th": message.titles[0], "en": message.titles[-1]},
                "case": message.case,
                "hospital": message.hcode,
                "link": message.link,
                "raised_at": message.raised_at.isoformat(),
                "hop": message.hop,
            },
            ensure_ascii=False,
        ).encode()
        moment = str(int(self._clock()))
        headers = {"X-Hub-Timestamp": moment, "X-Hub-Signature": f"sha256={sign(to.secret, moment, body)}"}
        return f"HTTP {self._poster.post(to.address, body, headers).status_code}"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature in hex."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
