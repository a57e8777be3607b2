"""WADO-RS pictures: frames drawn for people, and thumbnails; not for diagnosis. PS3.18 section 10.4.1.1.3."""

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.orm import Session

from pacs_gateway.dicomjson import Attributes
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.frames import NoFrame
from pacs_gateway.rendering import FORMATS, LARGEST_SIDE, render
from pacs_gateway.rendering import Look as Drawing
from pacs_gateway.transcode import CannotTranscode
from service.accounts import Viewer
from service.api.accepting import accepted, wants_picture
from service.api.access import Look, Reader, note_read
from service.api.problems import responses
from service.api.qido import Uid
from service.api.wado import instance_header, stored_file
from service.descriptions import DICOMWEB
from service.errors import BadSyntax, NotFound
from service.imaging import instances_of
from service.sight import find_study
from service.storage import Storage
from service.studies import Study

router = APIRouter(prefix=DICOMWEB, tags=["dicomweb"], responses=responses(400, 401, 403, 404, 406, 422, 503))

THUMBNAIL = 128
"""Pixels of a thumbnail's longer side."""
KEY_SLICE = 512
"""Pixels of a key slice's sides."""

Window = Annotated[str | None, Query(description="centre,width[,function] in HU")]
Viewport = Annotated[str | None, Query(description="columns,rows that the picture must fit into")]


@router.get("/studies/{study}/series/{series}/instances/{instance}/rendered")
def rendered_instance(
    study: Uid,
    series: Uid,
    instance: Uid,
    request: Request,
    viewer: Reader,
    session: Look,
    window: Window = None,
    viewport: Viewport = None,
) -> Response:
    """The first frame as a picture; not for diagnosis."""
    return _picture(
        request, viewer, session, (study, series, instance), 1, _drawing(request, window, viewport)
    )


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{number}/rendered")
def rendered_frame(
    study: Uid,
    series: Uid,
    instance: Uid,
    number: Annotated[int, Path(ge=1)],
    request: Request,
    viewer: Reader,
    session: Look,
    window: Window = None,
    viewport: Viewport = None,
) -> Response:
    """One frame as a picture; not for diagnosis."""
    drawing = _drawing(request, window, viewport)
    return _picture(request, viewer, session, (study, series, instance), number, drawing)


@router.get("/studies/{study}/series/{series}/instances/{instance}/thumbnail")
def instance_thumbnail(
    study: Uid, series: Uid, instance: Uid, request: Request, viewer: Reader, session: Look
) -> Response:
    """The first frame, small."""
    drawing = _drawing(request, None, f"{THUMBNAIL},{THUMBNAIL}")
    return _picture(request, viewer, session, (study, series, instance), 1, drawing)


@router.get("/studies/{study}/series/{series}/thumbnail")
def series_thumbnail(study: Uid, series: Uid, request: Request, viewer: Reader, session: Look) -> Response:
    """The middle instance of a series, small."""
    found = find_study(session, study, viewer)
    rows = instances_of(session, found, series=series)
    middle = rows[len(rows) // 2].sop_instance_uid
    drawing = _drawing(request, None, f"{THUMBNAIL},{THUMBNAIL}")
    return _picture(request, viewer, session, (study, series, middle), 1, drawing)


def drawn_slice(
    session: Session,
    storage: Storage,
    study: Study,
    series: str,
    instance: str,
    *,
    window: tuple[float, float],
) -> bytes:
    """The first frame of an instance as WebP, at the size of a key slice; nothing is asked about who looks.

    Raises:
        NotFound: there is no such instance, or none that can be drawn.
    """
    [row] = instances_of(session, study, series=series, instance=instance)
    header = instance_header(session, storage, study, series, instance)
    look = Drawing(window=window, size=(KEY_SLICE, KEY_SLICE), media_type="image/webp")
    return _drawn(storage.path(row.storage_key), header, 1, look)


def _picture(
    request: Request,
    viewer: Viewer,
    session: Session,
    uids: tuple[str, str, str],
    number: int,
    drawing: Drawing,
) -> Response:
    study, series, instance = uids
    found, path = stored_file(request, viewer, session, study, series, instance)
    header = instance_header(session, request.app.state.storage, found, series, instance)
    picture = _drawn(path, header, number, drawing)
    note_read(request, session, viewer, "dicomweb.rendered", study_id=found.id)
    return Response(picture, media_type=drawing.media_type)


def _drawn(path: FilePath, header: Attributes, number: int, drawing: Drawing) -> bytes:
    try:
        return render(path, header, number, drawing)
    except (NoFrame, CannotTranscode, UnreadableDataSet) as error:
        raise NotFound(f"no picture: {error}") from None


def _drawing(request: Request, window: str | None, viewport: str | None) -> Drawing:
    media_type = wants_picture(accepted(request), list(FORMATS))
    size = _two("viewport", viewport)
    if size and not all(1 <= side <= LARGEST_SIDE for side in size):
        raise BadSyntax(f"viewport is {viewport!r}; sides may be 1 to {LARGEST_SIDE}")
    return Drawing(
        window=_two("window", window),
        size=(int(size[0]), int(size[1])) if size else None,
        media_type=media_type,
    )


def _two(name: str, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        first, second, *_ = (float(part) for part in text.split(",")[:2])
    except ValueError:
        raise BadSyntax(f"{name} is {text!r}; it must be two numbers with a comma between") from None
    return first, second
