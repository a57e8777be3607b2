"""The portal: a technician brings cases from the archive, and sees what became of every file."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from service.api.access import Bringer, Look, note_read
from service.case_quotas import standings
from service.cases import states_of
from service.db import now
from service.uploads import brought, studies_brought
from service.web.page import render

router = APIRouter(include_in_schema=False)

WEEK = timedelta(days=7)


@router.get("/upload")
def show_upload(request: Request, viewer: Bringer, session: Look) -> Response:
    """Where to drop files, and what was brought in the last seven days."""
    found = brought(session, viewer, now() - WEEK)
    studies = studies_brought(session, viewer, found)
    cases = states_of(session, studies)
    own = next((each for each in standings(session, viewer) if each.hcode == viewer.hcode), None)
    note_read(request, session, viewer, "upload.read", detail={"studies": len(found.studies)})
    return render(
        request,
        "upload.html",
        viewer,
        brought=found,
        studies=studies,
        cases=cases,
        own=own,
    )
