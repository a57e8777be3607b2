"""The routes that the API describes; the same for every app, and two seconds to put together."""

from functools import cache
from typing import Any

from fastapi import FastAPI

from service.app import PARTS


@cache
def described_routes() -> dict[str, dict[str, Any]]:
    """The paths of the OpenAPI document, each with its verbs."""
    app = FastAPI()
    for part in PARTS:
        app.router.routes.extend(part.router.routes)
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return paths
