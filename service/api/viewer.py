"""The viewer's files, for people who are signed in; every image that it shows comes over DICOMweb."""

import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from service.api.access import LabelReader, Look, Number, Reader
from service.api.problems import responses
from service.descriptions import DICOMWEB
from service.errors import NotFound
from service.reading_copies import Desk, case_to_read
from service.viewer import PREFIX, reading_index, viewer_config

router = APIRouter(prefix=PREFIX, tags=["viewer"], responses=responses(401, 403, 404))

ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self' blob: data:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; base-uri 'self'; frame-ancestors 'none'"
    ),
}
"""Browsers share memory between the decoder's threads only in pages that nobody else's code can reach; the
viewer's own build needs inline scripts and compiles its decoders, but nothing from elsewhere."""
KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
"""For files whose name holds the hash of their content."""
HASHED = re.compile(r"[0-9a-f]{16}\.(js|wasm|woff2)$")
INDEX = "index.html"
SCRIPT = "text/javascript"


FRAMED = {
    **ISOLATED,
    "Content-Security-Policy": ISOLATED["Content-Security-Policy"].replace(
        "frame-ancestors 'none'", "frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
"""The viewer of a read stands in a frame beside the form."""


@router.get("/labels/{number}/{path:path}", response_class=Response)
def show_for_read(
    number: Number, path: str, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """The viewer for one of the viewer's own open reads, which shows that case and nothing else."""
    case_to_read(session, viewer, Desk.LABELS, number)
    return _blind(request, Desk.LABELS, number, path)


@router.get("/adjudications/{number}/{path:path}", response_class=Response)
def show_for_decision(
    number: Number, path: str, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """The viewer for a case that waits for the viewer as adjudicator."""
    case_to_read(session, viewer, Desk.ADJUDICATIONS, number)
    return _blind(request, Desk.ADJUDICATIONS, number, path)


@router.get("/{path:path}", response_class=Response, responses={200: {"description": "The file"}})
def read_viewer_file(path: str, request: Request, viewer: Reader) -> Response:
    """A file of the viewer; any other path is one of its pages, which it finds its way in by itself."""
    folder = _installed(request)
    if path == "app-config.js":
        return Response(viewer_config(DICOMWEB), media_type=SCRIPT, headers=ISOLATED)
    file = (folder / path).resolve()
    if not file.is_file() or not file.is_relative_to(folder.resolve()):
        if Path(path).suffix in (".js", ".css", ".wasm", ".json"):
            raise NotFound("the viewer has no such file")
        file = folder / INDEX
    headers = dict(ISOLATED)
    if HASHED.search(file.name):
        headers |= KEPT
    packed = file.with_name(f"{file.name}.gz")
    if "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return FileResponse(packed, headers=headers, media_type=_media_type(file))
    return FileResponse(file, headers=headers, media_type=_media_type(file))


def _installed(request: Request) -> Path:
    folder: Path = request.app.state.settings.viewer
    if not (folder / INDEX).is_file():
        raise NotFound("the viewer is not installed; an administrator can fetch it with `hub viewer install`")
    return folder


def _blind(request: Request, desk: Desk, number: Number, path: str) -> Response:
    """Its page or its configuration; its other files lie where they always do."""
    index = _installed(request) / INDEX
    prefix = f"{PREFIX}/{desk.value}/{number}"
    if path == "app-config.js":
        config = viewer_config(f"/api/v1/{desk.value}/{number}/dicomweb", prefix=prefix, blind=True)
        return Response(config, media_type=SCRIPT, headers=FRAMED)
    page = reading_index(index.read_text(encoding="utf-8"), prefix)
    return Response(page, media_type="text/html", headers=FRAMED)


def _media_type(file: Path) -> str | None:
    """Those that browsers insist on, whatever this machine's own table says."""
    return {".js": SCRIPT, ".wasm": "application/wasm", ".html": "text/html"}.get(file.suffix)
