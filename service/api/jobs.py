"""Work that failed and is not tried again by itself, and trying it again; for administrators."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

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


class RetryIn(BaseModel):
    """Which job."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"key": "sign:7"}]})

    key: str = Field(max_length=200)


@router.get("/failed")
def read_failed(request: Request, viewer: Administrator, session: Look) -> list[FailedOut]:
    """The newest failures of every kind but analyses, which stand on their studies."""
    found = failed_work(request.app.state.jobs)
    note_read(request, session, viewer, "job.list")
    return [FailedOut.model_validate(each) for each in found]


@router.post("/failed/retry", status_code=202)
def retry_failed(body: RetryIn, request: Request, viewer: Administrator, session: Work) -> RetryIn:
    """Put one in line again, from the step that failed."""
    try_again(session, viewer, request.app.state.jobs, body.key)
    return body
