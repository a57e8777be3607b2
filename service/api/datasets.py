"""Data sets over HTTP: have one frozen and see how far it is, what each says of itself, and take it away."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import FileResponse, StreamingResponse

from labeling.export import labels_csv, objects_folder, zipped
from labeling.manifest import PICTURE, SHEET, BadDataSet, read_data_set
from labeling.splits import Shares
from service.api.access import Curator, Look, Number, Work, note_read
from service.api.problems import responses
from service.data_set_orders import (
    LONGEST_LICENCE,
    DataSetOrder,
    OrderKind,
    OrderState,
    find_order,
    list_orders,
    order_freeze,
    order_objects,
)
from service.data_sets import DataSet, data_sets, find_data_set
from service.errors import NotFound, NotReady

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], responses=responses(401, 403, 404, 503))


class FreezeIn(BaseModel):
    """What to freeze: every settled case, as the next version of this name."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "r8", "licence": "research within Region 8 only"}]},
    )

    name: str = Field(max_length=60)
    licence: str = Field(min_length=1, max_length=LONGEST_LICENCE)
    """Under which it may be used, in words."""
    held_out_hospitals: list[str] = []
    held_out_months: int = Field(default=0, ge=0, le=60)
    calibration: float = Field(default=Shares().calibration, ge=0, lt=1)
    test: float = Field(default=Shares().test, ge=0, lt=1)
    simulated: bool = False
    """Studies or readers are made up: the set, its sheet and every row of it say so for good."""


class OrderOut(BaseModel):
    """An order and how far it is."""

    number: int
    kind: OrderKind
    name: str
    state: OrderState
    done: int
    """Studies, of `total`."""
    total: int
    error: str
    simulated: bool
    data_set: int | None
    ordered_by: str
    at: datetime


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


@router.post("", status_code=202, responses=responses(409, 422))
def freeze(body: FreezeIn, viewer: Curator, session: Work) -> OrderOut:
    """Have a data set frozen; a worker does it, and the order tells how far it is."""
    shares = Shares(tuple(body.held_out_hospitals), body.held_out_months, body.calibration, body.test)
    return order_out(
        order_freeze(session, viewer, body.name, shares, licence=body.licence, simulated=body.simulated)
    )


@router.get("/orders")
def read_orders(viewer: Curator, session: Look) -> Sequence[OrderOut]:
    """The newest orders."""
    return [order_out(each) for each in list_orders(session)]


@router.get("/orders/{number}")
def read_order(number: Number, viewer: Curator, session: Look) -> OrderOut:
    """One order; when it is done it names its data set."""
    return order_out(find_order(session, number))


@router.get("/{number}")
def read_data_set_row(number: Number, viewer: Curator, session: Look) -> DataSetOut:
    """One data set."""
    return _out(find_data_set(session, number))


@router.get("/{number}/datasheet.md", response_class=FileResponse)
def read_sheet(number: Number, viewer: Curator, session: Look) -> Response:
    """Its data sheet, as Markdown."""
    return _file(find_data_set(session, number), SHEET, "text/markdown")


@router.get("/{number}/flow.svg", response_class=FileResponse)
def read_flow(number: Number, viewer: Curator, session: Look) -> Response:
    """From upload to data set, as a picture."""
    return _file(find_data_set(session, number), PICTURE, "image/svg+xml")


@router.get("/{number}/labels.csv", response_class=Response)
def read_labels(request: Request, number: Number, viewer: Curator, session: Look) -> Response:
    """Its labels as a table: one line a study."""
    found = find_data_set(session, number)
    name, text = f"{found.name}-v{found.version}.csv", labels_of(found)
    note_read(request, session, viewer, "data_set.labels", detail={"data_set": number})
    return Response(text, media_type="text/csv; charset=utf-8", headers=_as_file(name))


@router.get("/{number}/export.zip", response_class=Response)
def export(request: Request, number: Number, viewer: Curator, session: Look) -> Response:
    """The whole of it as it was frozen, de-identified, with labels.csv, written while it is sent."""
    found = find_data_set(session, number)
    folder, name = folder_of(found), f"{found.name}-v{found.version}.zip"
    more = [("labels.csv", labels_of(found).encode())]
    note_read(request, session, viewer, "data_set.export", detail={"data_set": number})
    return StreamingResponse(zipped(folder, more=more), media_type="application/zip", headers=_as_file(name))


@router.post("/{number}/objects", status_code=202)
def order_dicom(number: Number, viewer: Curator, session: Work) -> OrderOut:
    """Have its labels written as DICOM SR and SEG; asked for twice it is one order."""
    return order_out(order_objects(session, viewer, number))


@router.get("/{number}/objects.zip", response_class=Response, responses=responses(409))
def export_objects(request: Request, number: Number, viewer: Curator, session: Look) -> Response:
    """Its labels as DICOM SR and SEG, once they were ordered and made."""
    found = find_data_set(session, number)
    folder = objects_folder(folder_of(found))
    if not folder.is_dir():
        raise NotReady(
            f"the labels of {found.name} v{found.version} were not written as DICOM yet; order them"
        )
    note_read(request, session, viewer, "data_set.export", detail={"data_set": number})
    headers = _as_file(f"{folder.name}.zip")
    return StreamingResponse(zipped(folder), media_type="application/zip", headers=headers)


def folder_of(found: DataSet) -> Path:
    """Where it lies.

    Raises:
        NotFound: it is not on this machine.
    """
    folder = Path(found.folder)
    if not folder.is_dir():
        raise NotFound(f"the folder of {found.name} v{found.version} is not on this machine")
    return folder


def labels_of(found: DataSet) -> str:
    """Its labels as CSV.

    Raises:
        NotFound: its folder is not on this machine, or is not what was frozen.
    """
    try:
        return labels_csv(read_data_set(folder_of(found), verify=False).rows)
    except BadDataSet as error:
        raise NotFound(f"{found.name} v{found.version} is not what was frozen: {error}") from None


def order_out(order: DataSetOrder) -> OrderOut:
    """What is answered of an order."""
    return OrderOut(
        number=order.id,
        kind=order.kind,
        name=order.name,
        state=order.state,
        done=order.done,
        total=order.total,
        error=order.error,
        simulated=order.simulated,
        data_set=order.data_set_id,
        ordered_by=order.ordered_by,
        at=order.at,
    )


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _file(found: DataSet, name: str, media: str) -> Response:
    path = folder_of(found) / name
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
