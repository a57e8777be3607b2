"""Frozen data sets over HTTP: what there is, and what each says of itself; `hub cases freeze` makes them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.responses import FileResponse

from labeling.manifest import PICTURE, SHEET
from service.api.access import Curator, Look
from service.api.problems import responses
from service.data_sets import DataSet, data_sets, find_data_set
from service.errors import NotFound

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], responses=responses(401, 403, 404, 503))


class DataSetOut(BaseModel):
    """One frozen data set."""

    number: int
    name: str
    version: int
    digest: str
    studies: int
    about: dict[str, Any]
    made_by: str
    at: datetime


@router.get("")
def list_data_sets(viewer: Curator, session: Look) -> Sequence[DataSetOut]:
    """Every data set, the newest first."""
    return [_out(each) for each in data_sets(session)]


@router.get("/{number}")
def read_data_set(number: int, viewer: Curator, session: Look) -> DataSetOut:
    """One data set."""
    return _out(find_data_set(session, number))


@router.get("/{number}/datasheet.md", response_class=FileResponse)
def read_sheet(number: int, viewer: Curator, session: Look) -> Response:
    """Its data sheet, as Markdown."""
    return _file(find_data_set(session, number), SHEET, "text/markdown")


@router.get("/{number}/flow.svg", response_class=FileResponse)
def read_flow(number: int, viewer: Curator, session: Look) -> Response:
    """From upload to data set, as a picture."""
    return _file(find_data_set(session, number), PICTURE, "image/svg+xml")


def _file(found: DataSet, name: str, media: str) -> Response:
    path = Path(found.folder) / name
    if not path.is_file():
        raise NotFound(f"the folder of {found.name} v{found.version} is not on this machine")
    return FileResponse(path, media_type=media)


def _out(found: DataSet) -> DataSetOut:
    return DataSetOut(
        number=found.id,
        name=found.name,
        version=found.version,
        digest=found.digest,
        studies=found.studies,
        about=found.about,
        made_by=found.made_by,
        at=found.at,
    )
