"""The ML team's pages that close the loop: drift, and the next cases to label."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.case_keys import open_research_key
from service.db import now
from service.drift import REFERENCE, SHOWN, drift
from service.hospitals import hospital_names
from service.next_cases import Why, next_cases, take_next
from service.retraining import retraining
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

OFFERED = 50


@router.get("/console/drift")
def show_drift(entry: Browser, request: Request, session: Look) -> Response:
    """The last weeks of each hospital, those with alarms first."""
    viewer = entry.chosen().must(Permission.MODELS)
    rows = drift(session, viewer, now())
    return render(
        request,
        "drift.html",
        viewer,
        rows=rows,
        alarmed=any(each.alarms for each in rows),
        retraining=retraining(session),
        names=hospital_names(session, thai=words_of(request).language is Language.TH),
        shown=SHOWN,
        reference=REFERENCE,
    )


@router.get("/console/next-cases")
def show_next(
    entry: Browser, request: Request, session: Look, why: Annotated[Why | None, Query()] = None
) -> Response:
    """What to label next."""
    viewer = entry.chosen().must(Permission.CURATE)
    rows = next_cases(session, viewer, limit=OFFERED, why=why)
    note_read(request, session, viewer, "case.next.list", detail={"studies": [e.study.id for e in rows]})
    return render(request, "next_cases.html", viewer, rows=rows, whys=list(Why), why=why)


@router.post("/console/next-cases")
def take(
    entry: Browser,
    request: Request,
    session: Work,
    study: Annotated[list[str], Form(max_length=OFFERED)] = [],  # noqa: B006
) -> Response:
    """Make cases of those chosen."""
    viewer = entry.chosen().must(Permission.CURATE)
    take_next(session, viewer, open_research_key(request.app.state.settings), study)
    return see_other(request, "/console/next-cases", flash="next_taken" if study else None)
