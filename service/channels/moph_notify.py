"""MOPH Notify: an alert to a service unit's group at the ministry, by the unit's own pair of keys."""

import json

from service.channels.message import Destination, Message
from service.channels.posting import Poster

SEND = "/api/notify/send"


class MophNotify:
    """The channel.

    Args:
        url: The ministry's address without path.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._poster = Poster(ours=False)

    def send(self, message: Message, to: Destination) -> str:
        """Post it; the proof is the status and the beginning of the answer."""
        body = json.dumps({"messages": [{"type": "text", "text": message.text}]}, ensure_ascii=False).encode()
        answer = self._poster.post(
            self._url + SEND, body, {"client-key": to.address, "secret-key": to.secret}
        )
        return f"HTTP {answer.status_code} {answer.text[:100]}".strip()
