"""The thresholds of one hospital on a page: in force and why, proposed, and the verbs."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request, Response

from model.stroke import StrokeType
from service.accounts import Permission
from service.api.access import Browser, Look, Work
from service.errors import Changed, NotFound
from service.hospital_thresholds import (
    FLOOR,
    HIGHEST,
    LOWEST,
    apply_threshold,
    threshold_rows,
    undo_threshold,
)
from service.hospitals import find_hospital
from service.own_thresholds import own_at
from service.threshold_standings import standings_at
from service.thresholds import LEAST
from service.web.page import render, see_other

router = APIRouter(include_in_schema=False)

Hcode = Annotated[str, Path(pattern=r"^\d{5}$")]
ReasonField = Annotated[str, Form(max_length=2000)]
FlagField = Annotated[float | None, Form(ge=0, le=1)]


@router.get("/console/thresholds/{hcode}")
def show_thresholds(hcode: Hcode, entry: Browser, request: Request, session: Look) -> Response:
    """Every finding that the package answers for which reads there."""
    viewer = entry.chosen().must(Permission.MODELS)
    if not viewer.sees_region and viewer.hcode != hcode:
        raise NotFound(f"no hospital has the code {hcode}")
    own = own_at(session, request.app.state.settings, hcode)
    return render(
        request,
        "thresholds.html",
        viewer,
        hospital=find_hospital(session, hcode),
        own=own,
        rows=standings_at(session, viewer, own, hcode),
        steps=threshold_rows(session, viewer, hcode=hcode),
        may_override=viewer.may(Permission.ADMINISTER),
        least=LEAST,
        lowest=LOWEST,
        highest=HIGHEST,
        floor=FLOOR,
    )


@router.post("/console/thresholds/{hcode}/{verb}")
def change(
    hcode: Hcode,
    verb: Literal["apply", "undo"],
    entry: Browser,
    request: Request,
    session: Work,
    digest: Annotated[str, Form(max_length=64)],
    finding: Annotated[StrokeType, Form()],
    seen: FlagField = None,
    flag: FlagField = None,
    reason: ReasonField = "",
    override: Annotated[bool, Form()] = False,
) -> Response:
    """Set a threshold, or go back to the package's; of the package that the page showed."""
    viewer = entry.chosen().must(Permission.MODELS)
    own = own_at(session, request.app.state.settings, hcode)
    if own.digest != digest:
        raise Changed(f"{own.name} reads at {hcode} now")
    if verb == "undo":
        undo_threshold(session, viewer, own, hcode, finding, reason=reason, seen=seen)
    else:
        apply_threshold(
            session, viewer, own, hcode, finding, flag=flag, reason=reason, seen=seen, override=override
        )
    return see_other(request, f"/console/thresholds/{hcode}", flash="threshold_set")
