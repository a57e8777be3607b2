"""What a DICOMweb client accepts: media ranges with their parameters. PS3.18 8.3.3 and 8.7."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from fastapi import Request

from pacs_gateway.frames import OCTETS
from service.errors import NotAcceptable

DICOM = "application/dicom"
MULTIPART = "multipart/related"
EXPLICIT = "1.2.840.10008.1.2.1"
_PART = re.compile(r'\s*([^;=\s]+)\s*(?:=\s*("[^"]*"|[^;]*))?\s*(?:;|$)')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One range of an Accept header."""

    media_type: str
    """Of each part where the range is multipart."""
    multipart: bool
    transfer_syntax: str | None


def accepted(request: Request) -> Sequence[MediaRange]:
    """The ranges of the `accept` parameter, else of the header, in order; none accepts anything."""
    return _ranges(request.query_params.get("accept") or request.headers.get("accept") or "*/*")


@dataclass(frozen=True, slots=True)
class Form:
    """How an instance is sent."""

    as_stored: bool
    multipart: bool


def dicom_form(ranges: Sequence[MediaRange], stored_syntaxes: set[str], *, single: bool) -> Form:
    """How whole instances are sent: the first range that can be served.

    Raises:
        NotAcceptable: there is none.
    """
    for each in ranges:
        if each.media_type not in ("*/*", DICOM) or not (
            each.multipart or single or each.media_type == "*/*"
        ):
            continue
        multipart = each.multipart or each.media_type == "*/*"
        if each.transfer_syntax == "*" or {each.transfer_syntax} == stored_syntaxes:
            return Form(as_stored=True, multipart=multipart)
        if each.transfer_syntax in (None, EXPLICIT):
            return Form(as_stored=False, multipart=multipart)
    raise NotAcceptable(
        f'instances are sent as {MULTIPART}; type="{DICOM}" with transfer-syntax=* (as stored), '
        f"{EXPLICIT} or none, and one instance also as {DICOM}"
    )


def frames_as_stored(ranges: Sequence[MediaRange], stored_media_type: str, stored_syntax: str) -> bool:
    """Whether frames go out as they are stored, rather than uncompressed.

    Raises:
        NotAcceptable: neither is accepted.
    """
    for each in ranges:
        if each.media_type not in ("*/*", OCTETS, stored_media_type, "image/*"):
            continue
        if each.transfer_syntax in ("*", stored_syntax) or each.media_type == stored_media_type != OCTETS:
            return True
        if each.media_type in ("*/*", OCTETS) and each.transfer_syntax in (None, EXPLICIT):
            return False
    raise NotAcceptable(f'frames are sent as {MULTIPART}; type="{OCTETS}" or type="{stored_media_type}"')


def wants_picture(ranges: Sequence[MediaRange], known: Sequence[str]) -> str:
    """The media type of a rendered picture; the first of `known` where anything goes.

    Raises:
        NotAcceptable: none of `known` is accepted.
    """
    for each in ranges:
        if each.media_type in known:
            return each.media_type
        if each.media_type in ("*/*", "image/*"):
            return known[0]
    raise NotAcceptable(f"pictures are sent as {', '.join(known)}")


@lru_cache(64)
def _ranges(text: str) -> tuple[MediaRange, ...]:
    """A viewer sends the same few headers with every image."""
    return tuple(_range(part) for part in _split(text))


def _split(text: str) -> list[str]:
    parts, quoted, start = [], False, 0
    for position, letter in enumerate(text):
        quoted = quoted != (letter == '"')
        if letter == "," and not quoted:
            parts.append(text[start:position])
            start = position + 1
    return [part for part in (*parts, text[start:]) if part.strip()]


def _range(text: str) -> MediaRange:
    media_type, _, rest = text.strip().partition(";")
    parameters = {
        name.lower(): (value or "").strip().strip('"') for name, value in _PART.findall(rest) if name
    }
    media_type = media_type.strip().lower()
    multipart = media_type == MULTIPART
    if multipart:
        media_type = parameters.get("type", "*/*").lower()
    return MediaRange(media_type, multipart, parameters.get("transfer-syntax"))
