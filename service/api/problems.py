"""Every error as RFC 9457 problem JSON for a machine, and as a page for a person."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from service.errors import HubError
from service.fhir.bundle import outcome
from service.fhir.versions import FHIR_JSON

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
    "required": ["type", "title", "status"],
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer, for its OpenAPI description."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
        }
        for status in statuses
    }


ErrorPage = Callable[[Request, int, str, str], Response | None]
"""The page for a person, of status, kind of problem and detail; None where a machine is asking."""


def add_handlers(app: FastAPI, page: ErrorPage) -> None:
    """Make the app answer every error with a problem, or with `page` where a person is asking."""
    app.state.error_page = page
    app.add_exception_handler(HubError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _other)
    app.add_exception_handler(OperationalError, _database)
    app.add_exception_handler(Exception, _broken)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    name = type(error).__name__
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return _problem(
        request,
        error.status,
        error.title,
        error.message,
        kind=f"urn:imaging-hub:problem:{name}",
        extra=error.members,
        headers=headers,
    )


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Where and what is wrong, but not the value: it may be a patient's.
    errors = [{"at": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
    detail = "; ".join(f"{each['at']}: {each['message']}" for each in errors)
    return _problem(
        request,
        422,
        "Unacceptable value",
        detail,
        kind="urn:imaging-hub:problem:BadRequest",
        extra={"errors": errors},
    )


def _other(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    return _problem(request, error.status_code, title, str(error.detail), headers=error.headers)


def _database(request: Request, error: Exception) -> Response:
    log.error("the database did not answer", exc_info=error, extra={"path": request.url.path})
    return _problem(
        request,
        503,
        "Unavailable",
        "the database is busy or not reachable; try again",
        kind="urn:imaging-hub:problem:Unavailable",
        headers={"Retry-After": "5"},
    )


def _broken(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error, extra={"path": request.url.path})
    return _problem(request, 500, "Internal Server Error", "the hub failed; the failure is in its log")


def _problem(
    request: Request,
    status: int,
    title: str,
    detail: str,
    *,
    kind: str = "about:blank",
    extra: dict[str, Any] | None = None,
    headers: Any = None,
) -> Response:
    if (page := request.app.state.error_page(request, status, kind.rpartition(":")[2], detail)) is not None:
        answer: Response = page
        return answer
    if request.url.path.startswith("/fhir/"):
        said = outcome(status, detail)
        return JSONResponse(said, status_code=status, headers=headers, media_type=FHIR_JSON)
    content = {
        "type": kind,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **(extra or {}),
    }
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)
