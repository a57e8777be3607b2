"""STOW-RS: images over HTTP into the inbox, streamed, durable before the answer. PS3.18 10.5."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from pacs_gateway import status
from pacs_gateway.callers import Sender
from pacs_gateway.inbox import Inbox
from pacs_gateway.multipart import BadMultipart, read_media_type
from pacs_gateway.web_metadata import MetadataStore
from pacs_gateway.web_store import DICOM, PartResult, WebStore
from service import audit
from service.accounts import Viewer
from service.api.access import StudySender
from service.api.problems import responses
from service.db import session_scope
from service.errors import Malformed, NotAcceptable, NotAllowed, UnsupportedMedia

router = APIRouter(
    prefix="/dicomweb", tags=["dicomweb"], responses=responses(400, 401, 403, 406, 409, 413, 415, 503)
)

JSON = "application/dicom+json"
ACCEPTABLE = frozenset({JSON, "application/json", "application/*", "*/*"})
PIECE = 1 << 20
"""The body goes to disk in pieces of about this many bytes, one being written while the next arrives."""
AE_LENGTH = 16

BODY = {
    "requestBody": {
        "required": True,
        "description": "DICOM instances as they are, each a part, or one alone; or a part with metadata in "
        "the JSON model, and their bulk data as parts named by Content-Location",
        "content": {
            f'multipart/related; type="{DICOM}"': {"schema": {"type": "string", "format": "binary"}},
            f'multipart/related; type="{JSON}"': {"schema": {"type": "string", "format": "binary"}},
            DICOM: {"schema": {"type": "string", "format": "binary"}},
            JSON: {"schema": {"type": "array", "items": {"type": "object"}}},
        },
    }
}
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "Every instance is kept", "content": {JSON: {}}},
    202: {"description": "Some are kept, others not; the body says which and why", "content": {JSON: {}}},
}
StudyUid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$", description="Study Instance UID")]


@router.post("/studies", response_class=Response, responses=ANSWER, openapi_extra=BODY)
async def store_instances(request: Request, viewer: StudySender) -> Response:
    """Store instances of any studies; each is on disk before the answer says so."""
    return await store(request, viewer, "", request.app.state.inbox)


@router.post("/studies/{study}", response_class=Response, responses=ANSWER, openapi_extra=BODY)
async def store_instances_of_study(study: StudyUid, request: Request, viewer: StudySender) -> Response:
    """Store instances of this study alone; others are refused."""
    return await store(request, viewer, study, request.app.state.inbox)


async def store(
    request: Request, viewer: Viewer, study_instance_uid: str, inbox: Callable[[], Inbox]
) -> Response:
    """Take the instances of a request into an inbox, and answer what became of each.

    Args:
        request: its body is read once, in pieces.
        viewer: whose hospital sends.
        study_instance_uid: the only study taken; empty takes any.
        inbox: opens the one to fill.
    """
    if viewer.hcode is None:
        raise NotAllowed("this account belongs to no hospital, so nobody could tell whose patients these are")
    _check_accept(request)
    kind, boundary = _body(request)
    sender = Sender(
        _title(viewer.username), request.app.state.settings.ae_title, _address(request), viewer.hcode
    )
    try:
        store = await run_in_threadpool(
            _open, kind, inbox(), sender, boundary=boundary, study_instance_uid=study_instance_uid
        )
    except BadMultipart as error:
        raise Malformed(str(error)) from None
    malformed = ""
    try:
        await _receive(request, store)
    except BadMultipart as error:
        malformed = str(error)
    finally:
        await run_in_threadpool(store.close)
    if malformed and not store.results:
        raise Malformed(malformed)
    return await run_in_threadpool(_answer, request, viewer, store.results, malformed)


def _open(
    kind: str, inbox: Inbox, sender: Sender, *, boundary: str | None, study_instance_uid: str
) -> WebStore | MetadataStore:
    store = MetadataStore if kind == JSON else WebStore
    return store(inbox, sender, boundary=boundary, study_instance_uid=study_instance_uid)


async def _receive(request: Request, store: WebStore | MetadataStore) -> None:
    writing: asyncio.Future[None] | None = None
    pieces: list[bytes] = []
    try:
        async for chunk in request.stream():
            pieces.append(chunk)
            if sum(map(len, pieces)) >= PIECE:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(store.feed, b"".join(pieces)))
                pieces = []
    except ClientDisconnect:
        raise BadMultipart("the sender went away") from None
    finally:
        if writing is not None:
            await writing
    await run_in_threadpool(store.feed, b"".join(pieces))
    await run_in_threadpool(store.finish)


def _answer(request: Request, viewer: Viewer, results: Sequence[PartResult], malformed: str) -> Response:
    kept = [each for each in results if each.answer.status == status.SUCCESS]
    refused = [each for each in results if each.answer.status != status.SUCCESS]
    with session_scope(request.app.state.engine) as session:
        detail = {"kept": len(kept), "refused": len(refused)}
        audit.record(session, viewer.username, "instances.store", detail=detail)
    code = _status(kept, refused, malformed)
    base = str(request.base_url).rstrip("/") + router.prefix
    body = json.dumps(_report(base, kept, refused), separators=(",", ":"))
    headers = {"Retry-After": "30"} if code == 503 else None
    return Response(body, status_code=code, media_type=JSON, headers=headers)


def _status(kept: Sequence[PartResult], refused: Sequence[PartResult], malformed: str) -> int:
    """Of the whole request; PS3.18 table 10.5.3-1."""
    if kept:
        return 202 if refused or malformed else 200
    if malformed or not refused:
        return 400
    if all(each.wrong_type for each in refused):
        return 415
    if all(each.answer.too_large for each in refused):
        return 413
    if all(each.answer.status == status.OUT_OF_RESOURCES for each in refused):
        return 503
    return 409


def _report(base: str, kept: Sequence[PartResult], refused: Sequence[PartResult]) -> dict[str, Any]:
    """The Store Instances Response Module; PS3.3 C.12.1.1 and PS3.18 annex I."""
    report: dict[str, Any] = {}
    studies = {each.study_instance_uid for each in kept}
    if len(studies) == 1:
        report["00081190"] = _value("UR", f"{base}/studies/{studies.pop()}")
    if kept:
        report["00081199"] = _items(
            [{**_reference(each), "00081190": _value("UR", _url(base, each))} for each in kept]
        )
    known = [each for each in refused if each.sop_instance_uid]
    if known:
        report["00081198"] = _items([{**_reference(each), **_reason(each)} for each in known])
    if len(known) < len(refused):
        report["0008119A"] = _items([_reason(each) for each in refused if not each.sop_instance_uid])
    return report


def _url(base: str, each: PartResult) -> str:
    series = f"{base}/studies/{each.study_instance_uid}/series/{each.series_instance_uid}"
    return f"{series}/instances/{each.sop_instance_uid}"


def _reference(each: PartResult) -> dict[str, Any]:
    return {"00081150": _value("UI", each.sop_class_uid), "00081155": _value("UI", each.sop_instance_uid)}


def _reason(each: PartResult) -> dict[str, Any]:
    """FailureReason, and in words what was wrong: ErrorComment, which says no patient's data."""
    comment = each.answer.comment[: status.COMMENT_LIMIT]
    return {"00081197": _value("US", each.answer.status), "00000902": _value("LO", comment)}


def _value(vr: str, value: object) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value != "" else {"vr": vr}


def _items(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _body(request: Request) -> tuple[str, str | None]:
    """What the parts are, or the body alone, and the boundary between parts."""
    media = read_media_type(request.headers.get("content-type", ""))
    if media.name in (DICOM, JSON):
        return media.name, None
    kind = media.parameters.get("type", DICOM).lower()
    if media.name != "multipart/related" or kind not in (DICOM, JSON):
        named = f"{media.name}; type={kind}" if media.name == "multipart/related" else media.name or "none"
        raise UnsupportedMedia(
            f'the body is {named}; send multipart/related; type="{DICOM}" with instances, or type="{JSON}"'
            f" with metadata and their bulk data, or one instance as {DICOM}. Metadata in XML are not taken"
        )
    if "boundary" not in media.parameters:
        raise Malformed("the media type multipart/related gives no boundary")
    return kind, media.parameters["boundary"]


def _check_accept(request: Request) -> None:
    asked = [read_media_type(each).name for each in request.headers.get("accept", "*/*").split(",")]
    if not ACCEPTABLE.intersection(asked):
        raise NotAcceptable(f"the answer is {JSON}")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _title(username: str) -> str:
    """The account as an AE title, which receipts and file meta groups name it by."""
    return username.encode("ascii", "replace").decode().replace("\\", "?")[:AE_LENGTH]
