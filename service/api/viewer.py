"""The viewer's files, for people who are signed in; every image that it shows comes over DICOMweb."""

import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from service.api.access import Reader
from service.api.problems import responses
from service.descriptions import DICOMWEB
from service.errors import NotFound
from service.viewer import PREFIX, viewer_config

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


@router.get("/{path:path}", response_class=Response, responses={200: {"description": "The file"}})
def read_viewer_file(path: str, request: Request, viewer: Reader) -> Response:
    """A file of the viewer; any other path is one of its pages, which it finds its way in by itself."""
    folder: Path = request.app.state.settings.viewer
    if not (folder / INDEX).is_file():
        raise NotFound("the viewer is not installed; an administrator can fetch it with `hub viewer install`")
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


def _media_type(file: Path) -> str | None:
    """Those that browsers insist on, whatever this machine's own table says."""
    return {".js": SCRIPT, ".wasm": "application/wasm", ".html": "text/html"}.get(file.suffix)
