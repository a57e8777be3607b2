"""Upload: instances to a DICOMweb server by STOW-RS, streamed, with its word on each. PS3.18 10.5."""

import ssl
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

DICOM = "application/dicom"
REFERENCED_SOPS, FAILED_SOPS = "00081199", "00081198"
SOP_INSTANCE, FAILURE_REASON = "00081155", "00081197"
PIECE = 8192
ANSWERS = frozenset({200, 202, 409})
"""Statuses whose body says of each instance what became of it."""


class ServerUnreachable(ValueError):
    """No answer, or one that says nothing of the instances; the text says which."""


@dataclass(frozen=True, slots=True)
class WebServer:
    """A DICOMweb server.

    Args:
        url: Of the service, without /studies.
        token: Sent as bearer, where it is not empty.
        authority: A file of certificates to trust beside the system's.
    """

    url: str
    token: str = ""
    authority: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Whom to trust."""
        context = ssl.create_default_context()
        if self.authority is not None and self.authority.is_file():
            context.load_verify_locations(self.authority)
        return context


def upload(
    files: Sequence[tuple[Path, str]],
    server: WebServer,
    *,
    pace: Callable[[int], object] = lambda count: None,
    timeout_seconds: float = 60.0,
) -> dict[str, int]:
    """Store files in one request.

    Args:
        files: Part 10 files with their SOP Instance UIDs.
        server: Where to.
        pace: Called with the number of bytes before they go.
        timeout_seconds: For each read and write, not for the whole.

    Returns:
        By SOP Instance UID 0 where the server has stored it, else its failure reason; instances that it says
        nothing of are left out.

    Raises:
        ServerUnreachable: no answer, or one that says nothing of the instances.
    """
    boundary = uuid.uuid4().hex
    opening = f"\r\n--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    closing = f"\r\n--{boundary}--\r\n".encode()
    size = sum(len(opening) + path.stat().st_size for path, _ in files) + len(closing)

    def body() -> Iterator[bytes]:
        for path, _ in files:
            yield from _pieces(opening, pace)
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    yield from _pieces(piece, pace)
        yield from _pieces(closing, pace)

    headers = {
        "Content-Type": f'multipart/related; type="{DICOM}"; boundary={boundary}',
        "Content-Length": str(size),
        "Accept": "application/dicom+json",
    }
    if server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    try:
        with httpx.Client(verify=server.context(), timeout=timeout_seconds) as client:
            answer = client.post(f"{server.url.rstrip('/')}/studies", content=body(), headers=headers)
    except (httpx.HTTPError, OSError) as error:
        raise ServerUnreachable(f"{server.url} cannot be reached: {error or type(error).__name__}") from error
    if answer.status_code not in ANSWERS:
        raise ServerUnreachable(f"{server.url} answers {answer.status_code}: {answer.text[:200]}")
    try:
        return _outcomes(answer.json())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ServerUnreachable(
            f"{server.url} answers {answer.status_code} with no result: {error}"
        ) from error


def _pieces(content: bytes, pace: Callable[[int], object]) -> Iterator[bytes]:
    pace(len(content))
    yield content


def _outcomes(answer: Any) -> dict[str, int]:
    report = answer[0] if isinstance(answer, list) else answer
    stored = {item[SOP_INSTANCE]["Value"][0]: 0 for item in report.get(REFERENCED_SOPS, {}).get("Value", [])}
    failed = {
        item[SOP_INSTANCE]["Value"][0]: int(item[FAILURE_REASON]["Value"][0])
        for item in report.get(FAILED_SOPS, {}).get("Value", [])
        if SOP_INSTANCE in item
    }
    return {**failed, **stored}
