"""DICOMweb for whoever reads a case blind: its slices without the patient, and nothing else of anybody.

Beside what `/dicomweb` serves stands nothing here of the study's other series, the AI's objects, other cases,
or whole files; a number that is not the viewer's own open read is not there.
"""

from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from pacs_gateway.dicomjson import Attributes
from service.accounts import Viewer
from service.api.access import LabelReader, Look, Number, note_read
from service.api.lean import LeanRoute
from service.api.problems import responses
from service.api.qido import MEDIA_TYPE, Uid, page_of, search_of
from service.api.wado import Numbers, frames_answer, frames_of
from service.cases import Case
from service.descriptions import write_json
from service.errors import NotFound
from service.reading_copies import Desk, ReadingCopy, case_to_read, reading_copy

router = APIRouter(
    prefix="/api/v1/{desk}/{number}/dicomweb",
    tags=["labels"],
    route_class=LeanRoute,
    responses=responses(400, 401, 403, 404, 406, 409, 422, 503),
)


@router.get("/studies", response_class=Response)
def find_read_study(
    desk: Desk, number: Number, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """The one study of the read, where it matches."""
    case, copy = _open(request, session, viewer, desk, number)
    row = _study_row(copy) | {"00201208": {"vr": "IS", "Value": [len(copy.headers)]}}
    return _found(request, session, viewer, case, [row])


@router.get("/studies/{study}/series", response_class=Response)
def find_read_series(
    desk: Desk, number: Number, study: Uid, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """The one series of the read, where it matches."""
    case, copy = _open(request, session, viewer, desk, number, study)
    first = copy.headers[0]
    row = _study_row(copy) | {tag: first[tag] for tag in ("00080060", "0020000E", "00200011") if tag in first}
    row |= {"00201209": {"vr": "IS", "Value": [len(copy.headers)]}}
    return _found(request, session, viewer, case, [row])


@router.get("/studies/{study}/series/{series}/instances", response_class=Response)
def find_read_instances(
    desk: Desk, number: Number, study: Uid, series: Uid, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """The slices of the read that match, bottom to top."""
    case, copy = _open(request, session, viewer, desk, number, study, series)
    return _found(request, session, viewer, case, copy.headers)


@router.get("/studies/{study}/metadata", response_class=Response)
def read_study_metadata(
    desk: Desk, number: Number, study: Uid, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """Of every slice, what an image is shown by."""
    case, copy = _open(request, session, viewer, desk, number, study)
    return _metadata(request, session, viewer, case, copy.headers)


@router.get("/studies/{study}/series/{series}/metadata", response_class=Response)
def read_series_metadata(
    desk: Desk, number: Number, study: Uid, series: Uid, request: Request, viewer: LabelReader, session: Look
) -> Response:
    """Of every slice, what an image is shown by."""
    case, copy = _open(request, session, viewer, desk, number, study, series)
    return _metadata(request, session, viewer, case, copy.headers)


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata", response_class=Response)
def read_instance_metadata(
    desk: Desk,
    number: Number,
    study: Uid,
    series: Uid,
    instance: Uid,
    request: Request,
    viewer: LabelReader,
    session: Look,
) -> Response:
    """Of one slice, what an image is shown by."""
    case, copy = _open(request, session, viewer, desk, number, study, series)
    found = [header for header in copy.headers if header["00080018"]["Value"] == [instance]]
    if not found:
        raise NotFound(f"this read has no slice {instance!r}")
    return _metadata(request, session, viewer, case, found)


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}", response_class=Response)
def read_frames_of_slice(
    desk: Desk,
    number: Number,
    study: Uid,
    series: Uid,
    instance: Uid,
    numbers: Numbers,
    request: Request,
    viewer: LabelReader,
    session: Look,
) -> Response:
    """The pixels of one slice, as in the copy where that is accepted, else uncompressed."""
    case, copy = _open(request, session, viewer, desk, number, study, series)
    if instance not in copy.files:
        raise NotFound(f"this read has no slice {instance!r}")
    frames = frames_of(request, copy.files[instance], numbers)
    _note(request, session, viewer, "case.frames", case)
    return frames_answer(frames)


def _open(
    request: Request,
    session: Session,
    viewer: Viewer,
    desk: Desk,
    number: Number,
    study: str | None = None,
    series: str | None = None,
) -> tuple[Case, ReadingCopy]:
    """The viewer's open case and its copy.

    Raises:
        NotFound: the case is not theirs to read, or has no such study or series.
    """
    case = case_to_read(session, viewer, desk, number)
    copy = reading_copy(request.app.state.settings, request.app.state.storage, session, case)
    if study not in (None, copy.study_instance_uid) or series not in (None, copy.series_instance_uid):
        raise NotFound("this read has no such study or series")
    return case, copy


def _study_row(copy: ReadingCopy) -> Attributes:
    return {
        "00080020": {"vr": "DA"},
        "00080030": {"vr": "TM"},
        "00080050": {"vr": "SH"},
        "00080061": {"vr": "CS", "Value": ["CT"]},
        "00100010": {"vr": "PN"},
        "00100020": {"vr": "LO"},
        "0020000D": {"vr": "UI", "Value": [copy.study_instance_uid]},
        "00201206": {"vr": "IS", "Value": [1]},
    }


def _found(
    request: Request, session: Session, viewer: Viewer, case: Case, rows: Iterable[Attributes]
) -> Response:
    search = search_of(request)
    found, _ = page_of(rows, search, search.matches)
    _note(request, session, viewer, "case.search", case)
    if not found:
        return Response(status_code=204)
    return Response(write_json(found), media_type=MEDIA_TYPE)


def _metadata(
    request: Request, session: Session, viewer: Viewer, case: Case, headers: Sequence[Attributes]
) -> Response:
    _note(request, session, viewer, "case.metadata", case)
    return Response(write_json(list(headers)), media_type=MEDIA_TYPE)


def _note(request: Request, session: Session, viewer: Viewer, action: str, case: Case) -> None:
    note_read(request, session, viewer, action, study_id=case.study_id, detail={"case": case.id})
