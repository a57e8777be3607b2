"""WADO-RS: instances, metadata, frames and bulk data. PS3.18 section 10.4."""

import json
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from pacs_gateway.dicomjson import Attributes
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.frames import OCTETS, Frame, NoFrame, decoded_frames, read_bulk, read_frames
from pacs_gateway.transcode import CannotTranscode, to_explicit
from service.accounts import Permission, Viewer
from service.api.accepting import DICOM, EXPLICIT, accepted, dicom_form, frames_as_stored
from service.api.access import IdentityReader, Look, Reader, note_read
from service.api.lean import LeanRoute
from service.api.problems import responses
from service.api.qido import MEDIA_TYPE, Uid
from service.descriptions import (
    DICOMWEB,
    as_instance_rows,
    described_series,
    read_headers,
    without_identity,
    write_json,
)
from service.errors import NotAcceptable, NotFound
from service.imaging import StoredInstance, find_instance, instances_of, made_series
from service.imaging_headers import ensure_description
from service.result_objects import as_instances
from service.sight import find_study, find_study_number
from service.storage import Storage
from service.studies import Study

router = APIRouter(
    prefix=DICOMWEB,
    tags=["dicomweb"],
    route_class=LeanRoute,
    responses=responses(401, 403, 404, 406, 422, 503),
)

CHUNK = 1 << 20

Numbers = Annotated[str, Path(pattern=r"^\d+(,\d+)*$", max_length=2000)]


@router.get("/studies/{study}")
def retrieve_study(study: Uid, request: Request, viewer: IdentityReader, session: Look) -> Response:
    """Every instance of a study."""
    return _retrieve(request, viewer, session, study)


@router.get("/studies/{study}/series/{series}")
def retrieve_series(
    study: Uid, series: Uid, request: Request, viewer: IdentityReader, session: Look
) -> Response:
    """Every instance of a series."""
    return _retrieve(request, viewer, session, study, series=series)


@router.get("/studies/{study}/series/{series}/instances/{instance}")
def retrieve_instance(
    study: Uid, series: Uid, instance: Uid, request: Request, viewer: IdentityReader, session: Look
) -> Response:
    """One instance."""
    return _retrieve(request, viewer, session, study, series=series, instance=instance)


@router.get("/studies/{study}/metadata")
def study_metadata(study: Uid, request: Request, viewer: Reader, session: Look) -> Response:
    """The headers of every instance of a study."""
    return _metadata(request, viewer, session, study, None)


@router.get("/studies/{study}/series/{series}/metadata")
def series_metadata(study: Uid, series: Uid, request: Request, viewer: Reader, session: Look) -> Response:
    """The headers of every instance of a series."""
    return _metadata(request, viewer, session, study, series)


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata")
def instance_metadata(
    study: Uid, series: Uid, instance: Uid, request: Request, viewer: Reader, session: Look
) -> Response:
    """The header of one instance."""
    found = find_study(session, study, viewer)
    header = instance_header(session, request.app.state.storage, found, series, instance)
    note_read(request, session, viewer, "dicomweb.metadata", study_id=found.id)
    if not viewer.may(Permission.READ_IDENTITY):
        header = without_identity(header)
    return Response(write_json([header]), media_type=MEDIA_TYPE)


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}")
def retrieve_frames(
    study: Uid, series: Uid, instance: Uid, numbers: Numbers, request: Request, viewer: Reader, session: Look
) -> Response:
    """Frames of one instance, as stored where that is accepted, else uncompressed."""
    number, [row] = _rows(session, viewer, study, series, instance)
    frames = frames_of(request, request.app.state.storage.path(row.storage_key), numbers)
    note_read(request, session, viewer, "dicomweb.frames", study_id=number)
    return frames_answer(frames)


@router.get("/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag}")
def bulk_data(
    study: Uid,
    series: Uid,
    instance: Uid,
    tag: Annotated[str, Path(pattern=r"^[0-9A-Fa-f]{8}$")],
    request: Request,
    viewer: IdentityReader,
    session: Look,
) -> Response:
    """The value that a BulkDataURI stands for."""
    found, path = stored_file(request, viewer, session, study, series, instance)
    try:
        content = read_bulk(path, int(tag, 16))
    except (NoFrame, UnreadableDataSet) as error:
        raise NotFound(str(error)) from None
    note_read(request, session, viewer, "dicomweb.bulk_data", study_id=found.id)
    return frames_answer([Frame(content, EXPLICIT, OCTETS)])


def _retrieve(
    request: Request,
    viewer: Viewer,
    session: Session,
    study: str,
    *,
    series: str | None = None,
    instance: str | None = None,
) -> Response:
    number, rows = _rows(session, viewer, study, series, instance)
    syntaxes = {row.transfer_syntax_uid for row in rows}
    form = dicom_form(accepted(request), syntaxes, single=instance is not None)
    storage: Storage = request.app.state.storage
    if not form.as_stored and instance is not None:
        _check_transcodes(storage.path(rows[0].storage_key))
    note_read(request, session, viewer, "dicomweb.retrieve", study_id=number)
    if not form.multipart:
        content = next(_contents(storage, rows, as_stored=form.as_stored))
        return Response(content, media_type=DICOM)
    boundary = secrets.token_hex(16)
    parts = _parts(_contents(storage, rows, as_stored=form.as_stored), boundary)
    media_type = f'multipart/related; type="{DICOM}"; boundary={boundary}'
    if instance is not None:
        return Response(b"".join(parts), media_type=media_type)
    return StreamingResponse(parts, media_type=media_type)


def _check_transcodes(path: FilePath) -> None:
    try:
        to_explicit(path)
    except (CannotTranscode, UnreadableDataSet) as error:
        raise NotAcceptable(f"{error}; ask for transfer-syntax=* to have it as it is stored") from None


def _contents(storage: Storage, rows: Sequence[StoredInstance], *, as_stored: bool) -> Iterator[bytes]:
    for row in rows:
        path = storage.path(row.storage_key)
        try:
            yield path.read_bytes() if as_stored else to_explicit(path)
        except CannotTranscode:
            yield path.read_bytes()  # better as it is than missing; its file meta says which syntax it is


def _parts(contents: Iterator[bytes], boundary: str) -> Iterator[bytes]:
    for content in contents:
        head = f"--{boundary}\r\nContent-Type: {DICOM}\r\nContent-Length: {len(content)}\r\n\r\n"
        yield b"".join((head.encode(), content, b"\r\n"))  # each piece costs a change of threads
    yield f"--{boundary}--\r\n".encode()


def frames_of(request: Request, path: FilePath, numbers: str) -> list[Frame]:
    """Frames of a file by numbers with commas between, as stored where the request accepts that.

    Raises:
        NotFound: the file has no such frame. NotAcceptable: it cannot be sent as asked.
    """
    wanted = [int(number) for number in numbers.split(",")]
    try:
        frames = read_frames(path, wanted)
        if not frames_as_stored(accepted(request), frames[0].media_type, frames[0].transfer_syntax_uid):
            frames = decoded_frames(path, wanted)
    except (NoFrame, UnreadableDataSet) as error:
        raise NotFound(str(error)) from None
    except CannotTranscode as error:
        raise NotAcceptable(f"{error}; ask for transfer-syntax=* to have it as it is stored") from None
    return frames


def frames_answer(frames: Sequence[Frame]) -> Response:
    """Frames as the parts of one answer."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for frame in frames:
        kind = f"{frame.media_type};transfer-syntax={frame.transfer_syntax_uid}"
        head = f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(frame.content)}\r\n\r\n"
        pieces += [head.encode(), frame.content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    whole = f'multipart/related; type="{frames[0].media_type}"; boundary={boundary}'
    return Response(b"".join(pieces), media_type=whole)


def _metadata(request: Request, viewer: Viewer, session: Session, study: str, series: str | None) -> Response:
    found = find_study(session, study, viewer)
    storage: Storage = request.app.state.storage
    description = ensure_description(request.app.state, session, found)
    arrays = [
        storage.path(each.metadata).read_bytes()
        for each in (described_series(description) if description else ())
        if series in (None, each.uid)
    ]
    for uid, rows in made_series(session, found).items():
        if series in (None, uid):
            arrays.append(write_json(read_headers(found, uid, as_instances(rows), storage)))
    if not arrays:
        raise NotFound(f"the study has no series {series!r}" if series else "the study has no image")
    note_read(request, session, viewer, "dicomweb.metadata", study_id=found.id)
    # each is a JSON array; together they are one
    content = b"[" + b",".join(array[1:-1] for array in arrays) + b"]"
    if not viewer.may(Permission.READ_IDENTITY):
        content = write_json([without_identity(each) for each in json.loads(content)])
    return Response(content, media_type=MEDIA_TYPE)


def _rows(
    session: Session, viewer: Viewer, study: str, series: str | None, instance: str | None
) -> tuple[int, Sequence[StoredInstance]]:
    """The number of a study in the viewer's sight, and the instances asked for.

    Raises:
        NotFound: the viewer sees none.
    """
    if series is not None and instance is not None:
        number = find_study_number(session, study, viewer)
        if row := find_instance(session, number, series, instance):
            return number, [row]  # nearly always: a hospital sent it
    found = find_study(session, study, viewer)
    return found.id, instances_of(session, found, series=series, instance=instance)


def stored_file(
    request: Request, viewer: Viewer, session: Session, study: str, series: str, instance: str
) -> tuple[Study, FilePath]:
    """The study of an instance, and the instance's file.

    Raises:
        NotFound: the viewer sees no such instance.
    """
    found = find_study(session, study, viewer)
    [row] = instances_of(session, found, series=series, instance=instance)
    return found, request.app.state.storage.path(row.storage_key)


def instance_header(
    session: Session, storage: Storage, study: Study, series: str, instance: str
) -> Attributes:
    """The header of one instance.

    Raises:
        NotFound: there is no such instance, or its header cannot be read.
    """
    rows = instances_of(session, study, series=series, instance=instance)
    headers = read_headers(study, series, as_instance_rows(rows), storage)
    if not headers:
        raise NotFound(f"the header of instance {instance!r} cannot be read")
    return headers[0]
