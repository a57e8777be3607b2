"""QIDO-RS: search for studies, series and instances. PS3.18 section 10.6."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.orm import Session

from pacs_gateway.dicomjson import Attributes
from pacs_gateway.searching import BadSearch, Match, Search, read_search
from service.accounts import Permission, Viewer
from service.api.access import Look, Reader, note_read
from service.api.lean import LeanRoute
from service.api.problems import responses
from service.descriptions import DICOMWEB, without_identity, write_json
from service.errors import BadSyntax
from service.imaging_headers import instance_headers, series_attributes
from service.imaging_search import FoundStudy, search_studies, study_attributes

router = APIRouter(
    prefix=DICOMWEB,
    tags=["dicomweb"],
    route_class=LeanRoute,
    responses=responses(400, 401, 403, 404, 422, 503),
)

MEDIA_TYPE = "application/dicom+json"
SERIES_TAGS = frozenset({"00080060", "0008103E", "0020000E", "00200011", "00201209"})
INSTANCE_TAGS = (
    "00080016",
    "00080018",
    "00080056",
    "00081190",
    "00083002",
    "00200013",
    "00280008",
    "00280010",
    "00280011",
    "00280100",
)
STUDIES_LOOKED_AT = 100
"""A search for series or instances over all studies looks into this many of the newest that match."""

Uid = Annotated[str, Path(max_length=64, pattern=r"^[0-9A-Za-z.\-_]+$")]


@router.get("/studies")
def find_studies(request: Request, viewer: Reader, session: Look) -> Response:
    """Studies that match, newest first."""
    search = search_of(request)
    page = search_studies(session, viewer, search)
    base = _base(request)
    found = [
        study_attributes(each, retrieve_url=f"{base}/studies/{each.study.study_instance_uid}")
        for each in page.studies
    ]
    return _answer(request, session, viewer, search, found, page.studies, remaining=page.remaining)


@router.get("/series")
def find_series(request: Request, viewer: Reader, session: Look) -> Response:
    """Series that match, over all studies."""
    return _series(request, viewer, session, None)


@router.get("/studies/{study}/series")
def find_series_of_study(study: Uid, request: Request, viewer: Reader, session: Look) -> Response:
    """Series of one study."""
    return _series(request, viewer, session, study)


@router.get("/instances")
def find_instances(request: Request, viewer: Reader, session: Look) -> Response:
    """Instances that match, over all studies."""
    return _instances(request, viewer, session, None, None)


@router.get("/studies/{study}/instances")
def find_instances_of_study(study: Uid, request: Request, viewer: Reader, session: Look) -> Response:
    """Instances of one study."""
    return _instances(request, viewer, session, study, None)


@router.get("/studies/{study}/series/{series}/instances")
def find_instances_of_series(
    study: Uid, series: Uid, request: Request, viewer: Reader, session: Look
) -> Response:
    """Instances of one series."""
    return _instances(request, viewer, session, study, series)


def _series(request: Request, viewer: Viewer, session: Session, study: str | None) -> Response:
    search = search_of(request)
    studies = _studies(session, viewer, search, study)
    base = _base(request)

    def rows() -> Iterator[Attributes]:
        for each in studies:
            above = study_attributes(each, retrieve_url="")
            place = f"{base}/studies/{each.study.study_instance_uid}/series"
            for attributes in series_attributes(request.app.state, session, each):
                url = f"{place}/{attributes['0020000E']['Value'][0]}"
                yield {**above, **attributes, "00081190": {"vr": "UR", "Value": [url]}}

    found, remaining = page_of(rows(), search, _below_study(search))
    return _answer(request, session, viewer, search, found, studies, remaining=remaining)


def _instances(
    request: Request, viewer: Viewer, session: Session, study: str | None, series: str | None
) -> Response:
    search = search_of(request)
    studies = _studies(session, viewer, search, study)
    base = _base(request)

    def rows() -> Iterator[Attributes]:
        for each in studies:
            place = f"{base}/studies/{each.study.study_instance_uid}/series"
            for header in instance_headers(request.app.state, session, each, series=series):
                uid, instance = header["0020000E"]["Value"][0], header["00080018"]["Value"][0]
                yield {
                    **header,
                    "00080056": {"vr": "CS", "Value": ["ONLINE"]},
                    "00081190": {"vr": "UR", "Value": [f"{place}/{uid}/instances/{instance}"]},
                }

    found, remaining = page_of(rows(), search, _below_study(search))
    wanted = {*INSTANCE_TAGS, *search.include}
    if study is None or series is None:
        wanted |= SERIES_TAGS
    if study is None:
        wanted |= {"0020000D", "00100010", "00100020", "00080020", "00080050"}
    if not search.include_all:
        found = [{tag: value for tag, value in each.items() if tag in wanted} for each in found]
    return _answer(request, session, viewer, search, found, studies, remaining=remaining)


def search_of(request: Request) -> Search:
    """What a request searches for.

    Raises:
        BadSyntax: a parameter makes no sense.
    """
    try:
        return read_search(request.query_params.multi_items())
    except BadSearch as error:
        raise BadSyntax(str(error)) from None


def _studies(session: Session, viewer: Viewer, search: Search, study: str | None) -> list[FoundStudy]:
    above = [match for match in search.matches if study is None]
    if study is not None:
        above = [Match(("0020000D",), "UI", study)]
    looked_at = Search(tuple(above), frozenset(), False, STUDIES_LOOKED_AT, 0, False)
    return list(search_studies(session, viewer, looked_at).studies)


def _below_study(search: Search) -> list[Match]:
    """The attributes that a study's own search has not already compared."""
    return [match for match in search.matches if match.path[0] != "00080061"]


def page_of(
    rows: Iterable[Attributes], search: Search, wanted: Sequence[Match]
) -> tuple[list[Attributes], int]:
    """The rows that match, as many as were asked for, and how many more there are."""
    matching = (row for row in rows if all(match(row) for match in wanted))
    found = list(islice(matching, search.offset, search.offset + search.limit))
    return found, sum(1 for _ in matching)


def _answer(
    request: Request,
    session: Session,
    viewer: Viewer,
    search: Search,
    found: list[Attributes],
    studies: Iterable[FoundStudy],
    *,
    remaining: int,
) -> Response:
    if not viewer.may(Permission.READ_IDENTITY):
        found = [without_identity(each) for each in found]
    warnings = []
    if remaining:
        warnings.append(f'299 imaging-hub "There are {remaining} additional results that can be requested"')
    if search.fuzzy:
        warnings.append(
            '299 imaging-hub "The fuzzymatching parameter is not supported. '
            'Only literal matching has been performed."'
        )
    ids = [each.study.id for each in studies]
    note_read(request, session, viewer, "dicomweb.search", detail={"studies": ids})
    headers = {"Warning": ", ".join(warnings)} if warnings else None
    if not found:
        return Response(status_code=204, headers=headers)
    return Response(write_json(found), media_type=MEDIA_TYPE, headers=headers)


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}{DICOMWEB}"
