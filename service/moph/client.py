"""NRefer: MOPH Refer's own interface, as hospital systems speak it: sign in with a key, then post records.

Every body is gzipped JSON; the records travel inside it as a JSON text. The answer has its own `statusCode`,
which counts: an error may come with HTTP 200. Standards 3.4.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from service.channels.message import Later, Refused, Unreachable
from service.channels.posting import BUSY, SAID, Poster
from service.db import now
from service.moph.records import Record, Value
from service.thai_time import THAILAND

LOGIN: Final = "/login/api-key"
HISTORY: Final = "/nrefer/save-refer-history"
INVESTIGATION: Final = "/nrefer/save-investigation-refer"
RESULT: Final = "/nrefer/save-refer-result"
SOURCE: Final = "ImagingHub"
API_VERSION: Final = "1"
"""Of what this module sends."""
UNAUTHORISED: Final = 401
OWN_ADDRESS: Final = "127.0.0.1"
"""`ip` of the body: asked for, and not known from behind a hospital's firewall; others say this too."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a hospital signs in with."""

    hcode: str
    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)


class NotLetIn(Exception):
    """The hospital's keys are refused: all of its messages must wait for better ones."""


class NRefer:
    """The interface; a token is kept for as long as it is taken.

    Args:
        base: Its address, such as https://refer.moph.go.th/api/his.
        provider: The name by which the ministry knows the system that sends.
    """

    def __init__(self, base: str, *, provider: str) -> None:
        self._base = base.rstrip("/")
        self._provider = provider
        self._poster = Poster(ours=False)
        self._tokens: dict[Keys, str] = {}

    def save(self, path: str, data: Record | Sequence[Record], keys: Keys) -> str:
        """Post records; returns what the other side said.

        A token that is no longer taken is renewed, once.

        Raises:
            Unreachable: no answer, or none of MOPH Refer.
            Later: not now.
            Refused: it does not take these records.
            NotLetIn: it does not take these keys.
        """
        body = {"data": json.dumps(_plain(data), ensure_ascii=False)}
        known = self._tokens.get(keys)
        try:
            return _said(self._post(path, body, keys, token=known or self._login(keys)))
        except Refused as refusal:
            if refusal.status != UNAUTHORISED:
                raise
            self._tokens.pop(keys, None)
            if known is None:
                raise NotLetIn(str(refusal)) from refusal
        return self.save(path, data, keys)  # with a fresh token: only an old one comes to this line

    def _login(self, keys: Keys) -> str:
        body = {"apiKey": keys.api_key, "secretKey": keys.secret_key}
        try:
            answer = self._post(LOGIN, body, keys)
        except Refused as refusal:
            raise NotLetIn(f"sign-in: {refusal}") from refusal
        token = answer.get("token")
        if not isinstance(token, str) or not token:
            raise Unreachable("sign-in: an answer without a token")
        self._tokens[keys] = token
        return token

    def _post(self, path: str, body: Mapping[str, Any], keys: Keys, *, token: str = "") -> Mapping[str, Any]:
        envelope = {
            "ip": OWN_ADDRESS,
            "hospcode": keys.hcode,
            **body,
            "dateTime": api_moment(now()),
            "sourceApiName": SOURCE,
            "apiVersion": API_VERSION,
            "hisProvider": self._provider,
        }
        headers = {
            "Content-Encoding": "gzip",
            "Source-Agent": f"{SOURCE}-{API_VERSION}-{keys.hcode}",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = gzip.compress(json.dumps(envelope, ensure_ascii=False).encode(), mtime=0)
        return _judge(self._poster.post(self._base + path, content, headers).text)


def api_moment(value: datetime) -> str:
    """2026-11-28 08:30:00, in Thailand."""
    return value.astimezone(THAILAND).strftime("%Y-%m-%d %H:%M:%S")


def _judge(text: str) -> Mapping[str, Any]:
    """The answer, if it says that all went well."""
    try:
        answer = json.loads(text)
        status = answer["statusCode"]
    except (ValueError, TypeError, LookupError):
        raise Unreachable("an answer that is none of MOPH Refer: it has no statusCode") from None
    if status == 200:
        assert isinstance(answer, dict)
        return answer
    said = f"statusCode {status} {answer.get('message', '')}".strip()[:SAID]
    if not isinstance(status, int) or status >= 500 or status in BUSY:
        raise Later(said)
    raise Refused(said, status=status)


def _said(answer: Mapping[str, Any]) -> str:
    return f"statusCode {answer['statusCode']}"


def _plain(data: Record | Sequence[Record]) -> Any:
    if isinstance(data, Mapping):
        return {name: _value(value) for name, value in data.items()}
    return [_plain(each) for each in data]


def _value(value: Value) -> str | int | float | None:
    return api_moment(value) if isinstance(value, datetime) else value
