"""The pages' own files (style, scripts, fonts, icons): small, read once, kept by browsers by their digest."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from service.errors import NotFound

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    content: bytes
    packed: bytes | None
    """The content in gzip, where that is smaller; these files hold no secret that packing could reveal."""
    media_type: str
    digest: str


@cache
def load_assets() -> dict[str, Asset]:
    """Every static file by its path below the folder."""
    return {path.relative_to(STATIC).as_posix(): _load(path) for path in STATIC.rglob("*") if path.is_file()}


def address_of(name: str) -> str:
    """The address of a static file, with its digest, so that browsers may keep it for good."""
    return f"/static/{name}?v={load_assets()[name].digest}"


@router.get("/static/{name:path}")
def read_asset(name: str, request: Request) -> Response:
    """A static file; anybody may have it."""
    asset = load_assets().get(name)
    if asset is None:
        raise NotFound(f"no static file {name!r}")
    headers = {"Cache-Control": FOREVER, "ETag": f'"{asset.digest}"', "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    content = asset.content
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content = asset.packed
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=asset.media_type)


def _load(path: Path) -> Asset:
    content = path.read_bytes()
    packed = gzip.compress(content, mtime=0)
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(
        content=content,
        packed=packed if len(packed) < 0.9 * len(content) else None,
        media_type=kind,
        digest=hashlib.sha256(content).hexdigest()[:16],
    )
