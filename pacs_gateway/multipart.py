"""multipart/related taken apart while it arrives, in whatever pieces. RFC 2046 5.1, PS3.18 8.6.1.2."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from enum import Enum, auto

LONGEST_BOUNDARY = 200
"""RFC 2046 allows 70; Orthanc sends 73."""
LONGEST_HEADERS = 16 * 1024
LONGEST_PADDING = 64
_HEADERS_END = re.compile(rb"(?:\A|\r?\n)\r?\n")
_LINE_END = re.compile(rb"--|[ \t]*\r?\n")
_UNDECIDED = re.compile(rb"-?|[ \t]*\r?")


class BadMultipart(ValueError):
    """The body is not made of parts as its media type promises."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type with its parameters, all in lower case but for the parameters' values."""

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins; its headers by name in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """Some of its content."""

    content: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole."""


Event = PartBegin | PartData | PartEnd


class _Place(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    CONTENT = auto()
    END = auto()


def read_media_type(text: str) -> MediaType:
    """A Content-Type or one member of Accept; parameters may be quoted or not, as senders please."""
    message = Message()
    message["content-type"] = text
    parameters = message.get_params(failobj=[("", "")])
    return MediaType(
        name=parameters[0][0].strip().lower(),
        parameters={name.lower(): str(value).strip() for name, value in parameters[1:]},
    )


class Multipart:
    """Feed it what arrives; it tells where parts begin and end, and holds back a line's length at most.

    Args:
        boundary: of the body's media type.

    Raises:
        BadMultipart: the boundary is empty, or far longer than RFC 2046 allows.
    """

    def __init__(self, boundary: str) -> None:
        if not 1 <= len(boundary) <= LONGEST_BOUNDARY:
            raise BadMultipart(f"a boundary of {len(boundary)} characters; it has 1 to {LONGEST_BOUNDARY}")
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        # as if a line had ended before: a first delimiter without a preamble is found like any other
        self._held = b"\r\n"
        self._place = _Place.PREAMBLE

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the next piece of the body brings.

        Raises:
            BadMultipart: a part's headers are no headers, or longer than 16 KiB.
        """
        self._held += data
        moved = True
        while moved and self._place is not _Place.END:
            if self._place is _Place.HEADERS:
                begin = self._headers()
                moved = begin is not None
                if begin is not None:
                    yield begin
            else:
                inside = self._place is _Place.CONTENT
                content, moved = self._content()
                if inside and content:
                    yield PartData(content)
                if inside and moved:
                    yield PartEnd()
        if self._place is _Place.END:
            self._held = b""  # an epilogue is of no meaning

    def close(self) -> None:
        """The body has ended.

        Raises:
            BadMultipart: before its closing delimiter.
        """
        if self._place is not _Place.END:
            raise BadMultipart("the body ends before its closing delimiter")

    def _headers(self) -> PartBegin | None:
        found = _HEADERS_END.search(self._held)
        if (len(self._held) if found is None else found.end()) > LONGEST_HEADERS:
            raise BadMultipart(f"headers of a part exceed {LONGEST_HEADERS} bytes")
        if found is None:
            return None
        headers = _read_headers(self._held[: found.start()])
        self._held = self._held[found.end() :]
        self._place = _Place.CONTENT
        return PartBegin(headers)

    def _content(self) -> tuple[bytes, bool]:
        """Content up to the next delimiter, and whether that was reached."""
        held, delimiter, start = self._held, self._delimiter, 0
        while (at := held.find(delimiter, start)) >= 0:
            behind = held[at + len(delimiter) : at + len(delimiter) + LONGEST_PADDING]
            if line := _LINE_END.match(behind):
                self._place = _Place.END if line.group() == b"--" else _Place.HEADERS
                self._held = held[at + len(delimiter) + line.end() :]
                return held[:at], True
            if len(behind) < LONGEST_PADDING and _UNDECIDED.fullmatch(behind):
                self._held = held[at:]
                return held[:at], False
            start = at + 1  # content that only looks like a delimiter
        # of the rest, only a beginning of a delimiter may have to wait
        safe = held.find(b"\r", max(start, len(held) - len(delimiter) + 1))
        while safe >= 0 and not delimiter.startswith(held[safe:]):
            safe = held.find(b"\r", safe + 1)
        safe = len(held) if safe < 0 else safe
        self._held = held[safe:]
        return held[:safe], False


def _read_headers(block: bytes) -> dict[str, str]:
    headers = {}
    for line in re.split(rb"\r?\n(?![ \t])", block):
        if not line:
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadMultipart("a line of a part's headers has no colon")
        headers[name.strip().lower()] = " ".join(value.split())
    return headers
