"""multipart/related: the same parts whatever pieces they arrive in, and nothing taken that is none."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_gateway.multipart import (
    LONGEST_HEADERS,
    BadMultipart,
    Multipart,
    PartBegin,
    PartData,
    read_media_type,
)

BOUNDARY = "ab-c"
LOOKALIKES = [b"\r\n--ab-", b"\r\n--ab-cd", b"\r\n--ab-c-x", b"\r", b"\n", b"--", b"\r\n\r\n", b"\r\r\n--ab-"]
CONTENT = st.lists(st.sampled_from(LOOKALIKES) | st.binary(max_size=20), max_size=6).map(b"".join)


def parts_of(pieces: Iterable[bytes], boundary: str = BOUNDARY) -> list[tuple[dict[str, str], bytes]]:
    reader = Multipart(boundary)
    parts: list[tuple[dict[str, str], bytes]] = []
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartBegin):
                parts.append((dict(event.headers), b""))
            elif isinstance(event, PartData):
                headers, content = parts[-1]
                parts[-1] = headers, content + event.content
    reader.close()
    return parts


def encode(contents: Sequence[bytes], *, preamble: bytes = b"", newline: bytes = b"\r\n") -> bytes:
    body = preamble
    for number, content in enumerate(contents):
        body += (b"\r\n" if number or preamble else b"") + b"--ab-c" + newline
        body += b"Content-Type: application/dicom" + newline + newline + content
    return body + b"\r\n--ab-c--\r\nepilogue"


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(body) + 1) for place in places}), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@given(st.lists(CONTENT, max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_pieces_give_the_same_parts(contents: list[bytes], places: list[int]) -> None:
    body = encode(contents)
    expected = [({"content-type": "application/dicom"}, content) for content in contents]
    assert parts_of(cut(body, places)) == expected
    assert parts_of([body[n : n + 1] for n in range(len(body))]) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_arbitrary_bytes_are_parts_or_refused_the_same_way_however_cut(
    body: bytes, places: list[int]
) -> None:
    def told(pieces: list[bytes]) -> object:
        try:
            return parts_of(pieces)
        except BadMultipart as error:
            return str(error)

    body = b"--ab-c\r\n" + body
    assert told(cut(body, places)) == told([body])


@pytest.mark.parametrize(
    "body",
    [
        encode([b"x"], preamble=b"This is DICOM."),
        encode([b"x"], preamble=b"\r\n"),
        encode([b"x"], newline=b"\n"),
        encode([b"x"]).replace(b"--ab-c\r\n", b"--ab-c \t\r\n"),
    ],
)
def test_what_senders_vary_is_forgiven(body: bytes) -> None:
    assert parts_of([body]) == [({"content-type": "application/dicom"}, b"x")]


def test_headers_are_optional_and_may_be_folded() -> None:
    assert parts_of([b"--ab-c\r\n\r\nx\r\n--ab-c--"]) == [({}, b"x")]
    folded = b"--ab-c\r\nContent-Type: a/b;\r\n  c=d\r\n\r\nx\r\n--ab-c--"
    assert parts_of([folded]) == [({"content-type": "a/b; c=d"}, b"x")]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "closing"),
        (b"--ab-c\r\n\r\nx", "closing"),
        (b"--ab-c\r\nno colon\r\n\r\nx\r\n--ab-c--", "colon"),
        (b"--ab-c\r\nA: " + b"x" * LONGEST_HEADERS, "exceed"),
    ],
)
def test_a_body_that_is_none_is_refused(body: bytes, word: str) -> None:
    with pytest.raises(BadMultipart, match=word):
        parts_of([body])


@pytest.mark.parametrize("boundary", ["", "x" * 201])
def test_a_boundary_has_1_to_200_characters(boundary: str) -> None:
    with pytest.raises(BadMultipart, match="1 to 200"):
        Multipart(boundary)


def test_little_is_held_back() -> None:
    reader = Multipart(BOUNDARY)
    list(reader.feed(b"--ab-c\r\n\r\n"))
    for _ in range(50):
        [data] = reader.feed(b"\0" * 100_000 + b"\r")
        assert isinstance(data, PartData)
        assert len(data.content) >= 100_000


@pytest.mark.parametrize("kind", ['"application/dicom"', "application/dicom", "Application/DICOM"])
def test_media_types_are_read_quoted_or_not(kind: str) -> None:
    media = read_media_type(
        f'Multipart/Related; type={kind}; transfer-syntax=1.2.840.10008.1.2.1; boundary="a b;c"'
    )
    assert media.name == "multipart/related"
    assert media.parameters["type"].lower() == "application/dicom"
    assert media.parameters["boundary"] == "a b;c"
