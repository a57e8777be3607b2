"""Language and theme: one click, kept in a cookie, before signing in too."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from service.api.csrf import OwnForm
from service.web.page import A_YEAR_S, LANGUAGE_COOKIE, THEME_COOKIE, THEMES, see_other, set_cookie
from service.web.words import Language

router = APIRouter(include_in_schema=False)


@router.post("/preferences", dependencies=[OwnForm])
def choose(
    request: Request,
    next: Annotated[str, Form(max_length=500)] = "/",
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Keep what was chosen and go back to the page."""
    response = see_other(request, next)
    if language is not None:
        set_cookie(request, response, LANGUAGE_COOKIE, language.value, max_age=A_YEAR_S)
    if theme in THEMES:
        set_cookie(request, response, THEME_COOKIE, theme, max_age=A_YEAR_S)
    return response
