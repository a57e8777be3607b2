"""How far the study is: the flow of cases as a picture, and quotas and progress by hospital and province."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup

from labeling.flow import flow_svg
from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.case_quotas import by_province, in_all, propose_quotas, set_quotas, standings
from service.cases import flow_of
from service.errors import BadRequest
from service.web.page import render, see_other, words_of

router = APIRouter(include_in_schema=False)


@router.get("/cases/progress")
def show_progress(entry: Browser, request: Request, session: Look) -> Response:
    """The flow picture, and a bar for every province and hospital."""
    viewer = entry.chosen().must(Permission.CURATE)
    rows = standings(session, viewer)
    values: dict[str, Any] = {
        "flow": Markup(flow_svg(flow_of(session, viewer), words_of(request).language.value)),
        "hospitals": rows,
        "provinces": by_province(session, rows),
        "region": in_all(rows, "", ""),
    }
    note_read(request, session, viewer, "case.progress")
    return render(request, "case_progress.html", viewer, **values)


@router.post("/cases/quotas")
def ask_for(
    entry: Browser,
    request: Request,
    session: Work,
    hospital: Annotated[str, Form(max_length=5)] = "",
    cases: Annotated[str, Form(max_length=7)] = "",
    total: Annotated[str, Form(max_length=7)] = "",
) -> Response:
    """Set one hospital's quota, or part a total over the hospitals by their CT patients."""
    viewer = entry.chosen().must(Permission.CURATE)
    quotas = propose_quotas(session, _number(total)) if total else {hospital: _number(cases)}
    set_quotas(session, viewer, quotas)
    return see_other(request, "/cases/progress", flash="quotas_set")


def _number(text: str) -> int:
    if not text.strip().isdecimal():
        raise BadRequest(f"{text!r} is no number of cases")
    return int(text)
