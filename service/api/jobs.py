"""Work that failed and is not tried again by itself, and trying it again; for administrators."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict

from service.api.access import Administrator, Look, Work, note_read
from service.api.problems import responses
from service.failed_work import failed_work, try_again

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(401, 403, 404, 503))


class FailedOut(BaseModel):
    """One job that failed."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    job: str
    step: str
    error: str
    failed_at: datetime


@router.get("/failed")
def read_failed(request: Request, viewer: Administrator, session: Look) -> list[FailedOut]:
    """The newest failures of every kind but analyses, which stand on their studies."""
    found = failed_work(request.app.state.jobs)
    note_read(request, session, viewer, "job.list")
    return [FailedOut.model_validate(each) for each in found]


@router.post("/failed/{key:path}/retry", status_code=202)
def retry_failed(
    key: Annotated[str, Path(max_length=200)], request: Request, viewer: Administrator, session: Work
) -> dict[str, str]:
    """Put one in line again, from the step that failed."""
    try_again(session, viewer, request.app.state.jobs, key)
    return {"key": key}
