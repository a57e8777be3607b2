"""Saving, deleting and opening first a person's own views of the worklist."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response

from service.accounts import Permission
from service.api.access import Browser, Work
from service.saved_views import delete_view, open_first, save_view
from service.web.page import see_other
from service.web.worklist import Choice, chosen

router = APIRouter(include_in_schema=False)

Number = Annotated[int, Path(ge=1, le=2**53)]
Word = Annotated[str, Form(max_length=24)]


@router.post("/views")
def save(
    entry: Browser,
    request: Request,
    session: Work,
    name: Annotated[str, Form(max_length=100)] = "",
    state: Word = "",
    hospital: Word = "",
    finding: Word = "",
) -> Response:
    """Keep what the list shows now under a name."""
    entry.chosen().must(Permission.READ_STUDIES)
    choice = chosen(state, hospital, finding)
    save_view(
        session,
        entry.account_id,
        name,
        state=choice.state,
        hospital=choice.hospital,
        finding=choice.finding,
    )
    return see_other(request, choice.address(), flash="view_saved")


@router.post("/views/{number}/delete")
def delete(number: Number, entry: Browser, request: Request, session: Work) -> Response:
    """Forget a view."""
    delete_view(session, entry.account_id, number)
    return see_other(request, Choice().address(), flash="view_deleted")


@router.post("/views/{number}/first")
def first(number: Number, entry: Browser, request: Request, session: Work) -> Response:
    """Open the list with a view, or no longer."""
    open_first(session, entry.account_id, number)
    return see_other(request, Choice().address(), flash="view_first")
