"""Uploads over a line that may break: the tus protocol, version 1.0.0, and what became of each file.

Core protocol and the extensions creation, creation-with-upload, checksum (sha256) and termination.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.accounts import Viewer
from service.api.access import Bringer, Look, SignedIn, Work, note_read
from service.api.problems import responses
from service.db import session_scope
from service.errors import BadRequest, BadSyntax, HubError, UnsupportedMedia
from service.upload_files import Appending, UploadFiles
from service.uploads import (
    LARGEST,
    FileVerdict,
    UploadState,
    begin_upload,
    files_of,
    find_upload,
    list_uploads,
    note_whole,
    remove_upload,
)

router = APIRouter(
    prefix="/api/v1/uploads", tags=["uploads"], responses=responses(401, 403, 404, 409, 413, 422, 423, 507)
)

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,termination"
OCTETS = "application/offset+octet-stream"
TUS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}

Token = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Length = Annotated[int | None, Header(ge=0)]


class UploadOut(BaseModel):
    """One upload."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    token: str
    hcode: str
    name: str
    size: int
    state: UploadState
    reason: str
    kept: int
    refused: int
    created_at: datetime
    ended_at: datetime | None


class FileOut(BaseModel):
    """What became of one file."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    verdict: FileVerdict
    reason: str
    study_instance_uid: str


@router.options("", status_code=204, response_class=Response)
def tell_protocol(_: SignedIn) -> Response:
    """Which version and extensions of the protocol are spoken."""
    told = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(LARGEST),
        "Tus-Checksum-Algorithm": "sha256",
    }
    return Response(status_code=204, headers=TUS | told)


@router.get("")
def read_uploads(
    request: Request,
    viewer: Bringer,
    session: Look,
    state: UploadState | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> list[UploadOut]:
    """The hospital's uploads, newest first, 200 at most; `before` a number for those that follow."""
    found = list_uploads(session, viewer, before=before, state=state)
    answer = [UploadOut.model_validate(each) for each in found]
    note_read(request, session, viewer, "upload.read", detail={"uploads": len(answer)})
    return answer


@router.get("/{token}/files")
def read_files(
    token: Token,
    request: Request,
    viewer: Bringer,
    session: Look,
    after: Annotated[int, Query(ge=0)] = 0,
) -> list[FileOut]:
    """What became of each file of an upload, 200 at most; `after` a number for those that follow."""
    upload = find_upload(session, viewer, token)
    number = upload.id
    answer = [FileOut.model_validate(each) for each in files_of(session, upload, after=after)]
    note_read(request, session, viewer, "upload.read", detail={"upload": number})
    return answer


@router.post("", status_code=201, response_class=Response)
async def begin(
    request: Request,
    viewer: Bringer,
    upload_length: Length = None,
    upload_metadata: Annotated[str, Header(max_length=4000)] = "",
    upload_checksum: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Announce a file of so many bytes, with its `filename`; bytes that come along are its first."""
    if upload_length is None:
        raise BadRequest("Upload-Length is missing: how many bytes the file has")
    token = await run_in_threadpool(_begin, request, viewer, _filename(upload_metadata), upload_length)
    headers = TUS | {"Location": f"{router.prefix}/{token}"}
    if request.headers.get("content-type") == OCTETS:
        headers["Upload-Offset"] = str(await _take(request, viewer, token, 0, upload_checksum))
    return Response(status_code=201, headers=headers)


@router.head("/{token}", response_class=Response)
def tell_offset(token: Token, request: Request, viewer: Bringer, session: Look) -> Response:
    """How many bytes are here: where to go on."""
    upload = find_upload(session, viewer, token)
    size = upload.size
    arriving = upload.state is UploadState.ARRIVING
    here = _files(request).offset(token) if arriving else upload.size
    if arriving and here == upload.size:  # the hub went down between the last byte and its note
        number = upload.id
        session.close()
        _whole(request, number)
    return Response(headers=TUS | {"Upload-Offset": str(here), "Upload-Length": str(size)})


@router.patch("/{token}", status_code=204, response_class=Response)
async def go_on(
    token: Token,
    request: Request,
    viewer: Bringer,
    upload_offset: Length = None,
    upload_checksum: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Send bytes from an offset on; what came before the line broke is kept."""
    if request.headers.get("content-type") != OCTETS:
        raise UnsupportedMedia(f"the body must be {OCTETS}")
    if upload_offset is None:
        raise BadRequest("Upload-Offset is missing: where the bytes go on")
    here = await _take(request, viewer, token, upload_offset, upload_checksum)
    return Response(status_code=204, headers=TUS | {"Upload-Offset": str(here)})


@router.delete("/{token}", status_code=204, response_class=Response)
def end(token: Token, request: Request, viewer: Bringer, session: Work) -> Response:
    """Give up an upload that is not whole yet."""
    remove_upload(session, viewer, find_upload(session, viewer, token))
    _files(request).remove(token)
    return Response(status_code=204, headers=TUS)


def _begin(request: Request, viewer: Viewer, name: str, size: int) -> str:
    with session_scope(request.app.state.engine) as session:
        token = begin_upload(session, viewer, name=name, size=size).token
        _files(request).begin(token, size)
    return token


async def _take(request: Request, viewer: Viewer, token: str, at: int, checksum: str) -> int:
    """The offset after what came; the last byte makes the upload whole."""
    number, size = await run_in_threadpool(_arriving, request, viewer, token)
    appending = await run_in_threadpool(_Open, _files(request), token, at, size, _sha256(checksum))
    broken: Exception | None = None
    try:
        async for chunk in request.stream():
            await run_in_threadpool(appending.taken.write, chunk)
    except (ClientDisconnect, HubError) as error:
        broken = error
    finally:
        await run_in_threadpool(appending.close)
    if isinstance(broken, HubError):
        raise broken
    here = appending.taken.offset
    if here == size:
        await run_in_threadpool(_whole, request, number)
    return here


class _Open:
    """`UploadFiles.appending`, opened in one thread and closed in another."""

    def __init__(self, files: UploadFiles, token: str, at: int, size: int, sha256: bytes | None) -> None:
        self._context = files.appending(token, at, size, sha256=sha256)
        self.taken: Appending = self._context.__enter__()

    def close(self) -> None:
        self._context.__exit__(None, None, None)


def _arriving(request: Request, viewer: Viewer, token: str) -> tuple[int, int]:
    with session_scope(request.app.state.engine, write=False) as session:
        upload = find_upload(session, viewer, token)
        if upload.state is not UploadState.ARRIVING:
            raise BadRequest("all bytes of this upload are here")
        return upload.id, upload.size


def _whole(request: Request, number: int) -> None:
    with session_scope(request.app.state.engine) as session:
        note_whole(session, number)


def _files(request: Request) -> UploadFiles:
    settings = request.app.state.settings
    return UploadFiles(settings.data, reserve_bytes=settings.disk_reserve_bytes)


def _filename(metadata: str) -> str:
    """`filename` of an Upload-Metadata header: keys and Base64 values, with commas between."""
    pairs = [each.split() for each in metadata.split(",")]
    coded = next((pair[1] for pair in pairs if len(pair) == 2 and pair[0] == "filename"), None)
    if coded is None:
        raise BadRequest("Upload-Metadata has no filename")
    try:
        return b64decode(coded, validate=True).decode("utf-8")
    except (NotBase64, UnicodeDecodeError):
        raise BadSyntax("the filename in Upload-Metadata is no Base64 of UTF-8") from None


def _sha256(checksum: str) -> bytes | None:
    if not checksum:
        return None
    algorithm, _, coded = checksum.partition(" ")
    try:
        digest = b64decode(coded, validate=True)
    except NotBase64:
        digest = b""
    if algorithm != "sha256" or len(digest) != 32:
        raise BadSyntax("Upload-Checksum must be sha256 and the Base64 of 32 bytes")
    return digest
