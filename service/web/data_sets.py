"""Data sets: what was frozen, with sheet, flow and licence, and a button that has the next one frozen."""

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request, Response
from markupsafe import Markup

from labeling.export import objects_folder
from labeling.manifest import PICTURE, SHEET
from labeling.splits import Shares
from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.assignments import last_round, shares_of
from service.case_states import CaseState
from service.cases import count_states
from service.data_set_orders import OPEN, OrderState, list_orders, order_freeze, order_objects
from service.data_sets import data_sets, find_data_set
from service.errors import BadRequest
from service.web.page import render, see_other

router = APIRouter(include_in_schema=False)


@router.get("/datasets")
def show_data_sets(entry: Browser, request: Request, session: Look) -> Response:
    """Every data set, what is on its way, and what would be frozen now."""
    viewer = entry.chosen().must(Permission.CURATE)
    counts = count_states(session, viewer)
    orders = list_orders(session)
    values: dict[str, Any] = {
        "rows": data_sets(session),
        "orders": [each for each in orders if each.state is not OrderState.DONE],
        "working": any(each.state in OPEN for each in orders),
        "settled": sum(counts.get(state, 0) for state in (CaseState.AGREED, CaseState.ADJUDICATED)),
        "frozen": counts.get(CaseState.FROZEN, 0),
        "shares": shares_of(last_round(session)),
    }
    note_read(request, session, viewer, "data_set.list")
    return render(request, "data_sets.html", viewer, **values)


@router.post("/datasets")
def freeze(
    entry: Browser,
    request: Request,
    session: Work,
    name: Annotated[str, Form(max_length=60)] = "",
    licence: Annotated[str, Form(max_length=2000)] = "",
    hospitals: Annotated[str, Form(max_length=400)] = "",
    months: Annotated[str, Form(max_length=2)] = "0",
    simulated: Annotated[bool, Form()] = False,
) -> Response:
    """Have every settled case frozen as the next version."""
    viewer = entry.chosen().must(Permission.CURATE)
    if not months.isdecimal() or int(months) > 60:
        raise BadRequest(f"{months!r} is no number of months from 0 to 60")
    rest = shares_of(last_round(session))
    held = tuple(hospitals.replace(",", " ").split())
    shares = Shares(held, int(months), rest.calibration, rest.test)
    order_freeze(session, viewer, name, shares, licence=licence, simulated=simulated)
    return see_other(request, "/datasets", flash="freezing")


@router.get("/datasets/{number:int}")
def show_data_set(
    number: Annotated[int, Path(ge=1, le=2**53)], entry: Browser, request: Request, session: Look
) -> Response:
    """One data set with its sheet."""
    viewer = entry.chosen().must(Permission.CURATE)
    found = find_data_set(session, number)
    folder = FilePath(found.folder)
    here = (folder / SHEET).is_file()
    values: dict[str, Any] = {
        "found": found,
        "sheet": (folder / SHEET).read_text(encoding="utf-8") if here else None,
        "objects": objects_folder(folder).is_dir(),
        "flow": Markup((folder / PICTURE).read_text(encoding="utf-8")) if here else None,
    }
    note_read(request, session, viewer, "data_set.read", detail={"data_set": number})
    return render(request, "data_set.html", viewer, **values)


@router.post("/datasets/{number:int}/objects")
def order_dicom(
    number: Annotated[int, Path(ge=1, le=2**53)], entry: Browser, request: Request, session: Work
) -> Response:
    """Have its labels written as DICOM SR and SEG."""
    viewer = entry.chosen().must(Permission.CURATE)
    order_objects(session, viewer, number)
    return see_other(request, "/datasets", flash="freezing")
