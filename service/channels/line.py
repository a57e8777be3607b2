"""LINE: an alert as a push message of the LINE Messaging API.

`X-Line-Retry-Key` is made from the message's number, so a message that was taken before is not shown twice:
LINE answers 409 then, which counts as delivered.
"""

import json
import uuid

from service.channels.message import Destination, Message, Refused
from service.channels.posting import Poster

PUSH = "/v2/bot/message/push"
TAKEN_BEFORE = 409
SPACE = uuid.UUID("6f1f3f0e-6a54-4f37-9d53-0f1b4e6d2c11")
"""Any, the same for good: a retry must make the same key."""


class Line:
    """The channel.

    Args:
        url: The API's address without path.
        token: The channel access token of the hub's LINE Official Account.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token
        self._poster = Poster(ours=True)

    def send(self, message: Message, to: Destination) -> str:
        """Push it; the proof is LINE's request id."""
        content = {"to": to.address, "messages": [{"type": "text", "text": message.text}]}
        headers = {
            "Authorization": f"Bearer {self._token}",
            "X-Line-Retry-Key": str(uuid.uuid5(SPACE, f"{message.alert}.{message.number}")),
        }
        try:
            answer = self._poster.post(self._url + PUSH, json.dumps(content).encode(), headers)
        except Refused as refusal:
            if refusal.status == TAKEN_BEFORE:
                return "HTTP 409, taken before"
            raise
        return f"x-line-request-id {answer.headers.get('x-line-request-id', 'none')}"
